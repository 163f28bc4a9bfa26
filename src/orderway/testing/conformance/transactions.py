"""What every store must do: transactions of the user's own, that end with a fact."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from dataclasses import replace

import pytest

from orderway.core.order import Stage
from orderway.errors import DeliveryFailed, HoldLost, OrderNotFound, OrderwayError, StaleOrder, Unavailable
from orderway.ports.store import Statement
from orderway.testing.conformance.backend import Backend
from orderway.testing.conformance.builders import finish, make_id, make_order
from orderway.testing.conformance.recording import NOT_ALLOWED, make_goods

__all__ = ["TransactionConformance"]

LIMIT_S = 10.0
SHORT_S = 0.05
ADD = "UPDATE goods SET coins = coins + :n WHERE uid = 'u'"


class Dropped(Exception):
    """What the user's own code raises."""


async def coins(backend: Backend) -> int:
    rows = await backend.fetch("SELECT coins FROM goods WHERE uid = 'u'")
    return int(rows[0][0])


@pytest.mark.asyncio
class TransactionConformance:
    """``transaction``."""

    async def test_goods_and_fact_commit_together(self, backend: Backend) -> None:
        await make_goods(backend)
        one, other = await backend.connect(), await backend.connect()
        order = await one.store.create(*make_order(amount_minor=0, holder=7))
        change = finish(order, guard=7)
        async with one.store.transaction(order.id, LIMIT_S) as transaction:
            assert await transaction.execute(ADD, {"n": 5}) == 1
            assert await transaction.execute("UPDATE goods SET coins = 0 WHERE uid = 'nobody'") == 0
            rows = await transaction.fetch("SELECT uid, coins FROM goods WHERE uid = :uid", {"uid": "u"})
            assert [tuple(row) for row in rows] == [("u", 105)]
            await transaction.commit_with(change)
        assert await other.store.get(order.id) == change.order
        assert list(await other.store.entries(order.id))[1:] == list(change.entries)
        assert await coins(backend) == 105

    async def test_statements_of_the_change_commit_with_it_or_roll_all_back(self, backend: Backend) -> None:
        await make_goods(backend)
        one = await backend.connect()
        order = await one.store.create(*make_order(amount_minor=0, holder=7))
        for expect, coins_then in ((2, 100), (1, 106)):
            change = replace(finish(order, guard=7), statements=(Statement(ADD, {"n": 1}, expect),))
            with pytest.raises(DeliveryFailed) if expect == 2 else nullcontext():
                async with one.store.transaction(order.id, LIMIT_S) as transaction:
                    await transaction.execute(ADD, {"n": 5})
                    await transaction.commit_with(change)
            assert await coins(backend) == coins_then
        assert (await one.store.get(order.id)).stage is Stage.FINISHED

    async def test_uncommitted_goods_are_not_seen_by_others(self, backend: Backend) -> None:
        await make_goods(backend)
        one, other = await backend.connect(), await backend.connect()
        order = await one.store.create(*make_order(amount_minor=0))
        async with one.store.transaction(order.id, LIMIT_S) as transaction:
            await transaction.execute(ADD, {"n": 5})
            assert await other.store.get(order.id) == order
            await transaction.commit_with(finish(order))
            assert (await other.store.get(order.id)).stage is Stage.FINISHED

    async def test_left_without_commit_is_rolled_back(self, backend: Backend) -> None:
        await make_goods(backend)
        one = await backend.connect()
        async with one.store.transaction(make_id("u"), LIMIT_S) as transaction:
            await transaction.execute(ADD, {"n": 5})
        assert await coins(backend) == 100

    async def test_left_by_an_error_is_rolled_back_and_the_error_passes(self, backend: Backend) -> None:
        await make_goods(backend)
        one = await backend.connect()

        async def drop() -> None:
            async with one.store.transaction(make_id("u"), LIMIT_S) as transaction:
                await transaction.execute(ADD, {"n": 5})
                raise Dropped

        with pytest.raises(Dropped):
            await drop()
        assert await coins(backend) == 100

    async def test_left_by_cancellation_is_rolled_back(self, backend: Backend) -> None:
        await make_goods(backend)
        one = await backend.connect()
        written = asyncio.Event()

        async def hang() -> None:
            async with one.store.transaction(make_id("u"), LIMIT_S) as transaction:
                await transaction.execute(ADD, {"n": 5})
                written.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(hang())
        await written.wait()
        task.cancel()
        assert isinstance((await asyncio.gather(task, return_exceptions=True))[0], asyncio.CancelledError)
        assert await coins(backend) == 100
        await one.store.create(*make_order())

    @pytest.mark.parametrize("error", [StaleOrder, HoldLost, OrderNotFound])
    async def test_refused_fact_rolls_everything_back(self, backend: Backend, error: type[OrderwayError]) -> None:
        await make_goods(backend)
        one = await backend.connect()
        order = await one.store.create(*make_order(amount_minor=0, holder=7))
        change = finish(order, guard=7)
        if error is StaleOrder:
            await one.store.record(change)
        elif error is HoldLost:
            change = finish(order, guard=8)
        else:
            change = finish(make_order(amount_minor=0)[0])
        before = await one.store.get(order.id)

        async def deliver() -> None:
            async with one.store.transaction(order.id, LIMIT_S) as transaction:
                await transaction.execute(ADD, {"n": 5})
                await transaction.commit_with(change)

        with pytest.raises(error):
            await deliver()
        assert await coins(backend) == 100
        assert await one.store.get(order.id) == before

    async def test_failing_statement_rolls_everything_back(self, backend: Backend) -> None:
        await make_goods(backend)
        one = await backend.connect()

        async def deliver() -> None:
            async with one.store.transaction(make_id("u"), LIMIT_S) as transaction:
                await transaction.execute(ADD, {"n": 5})
                await transaction.execute("UPDATE no_such_table SET x = 1")

        with pytest.raises(Exception, match=r"(?i)no_such_table"):
            await deliver()
        assert await coins(backend) == 100

    @pytest.mark.parametrize("sql", NOT_ALLOWED)
    async def test_statement_that_would_leave_the_transaction_is_refused(self, backend: Backend, sql: str) -> None:
        await make_goods(backend)
        one = await backend.connect()
        async with one.store.transaction(make_id("u"), LIMIT_S) as transaction:
            await transaction.execute(ADD, {"n": 5})
            for run in (transaction.execute, transaction.fetch):
                with pytest.raises(DeliveryFailed, match="not allowed in a delivery"):
                    await run(sql)
        assert await coins(backend) == 100

    async def test_past_the_limit_it_is_rolled_back_without_being_left(self, backend: Backend) -> None:
        await make_goods(backend)
        one, other = await backend.connect(), await backend.connect()
        order = await one.store.create(*make_order(amount_minor=0))
        late = await one.store.create(*make_order(amount_minor=0))
        async with one.store.transaction(order.id, SHORT_S) as transaction:
            await transaction.execute(ADD, {"n": 5})
            # The other transaction wants the same row: that it gets it shows that the first was rolled back.
            async with other.store.transaction(order.id, LIMIT_S) as second:
                await second.execute(ADD, {"n": 1})
                await second.commit_with(finish(order))
            for use in (
                transaction.execute(ADD, {"n": 5}),
                transaction.fetch("SELECT coins FROM goods"),
                transaction.commit_with(finish(late)),
            ):
                with pytest.raises(Unavailable):
                    await use
        assert await coins(backend) == 101
        assert await one.store.get(late.id) == late

    async def test_store_goes_on_after_a_transaction_in_any_way(self, backend: Backend) -> None:
        await make_goods(backend)
        one, other = await backend.connect(), await backend.connect()
        for round_ in range(10):
            order = await one.store.create(*make_order(amount_minor=0))
            async with one.store.transaction(order.id, LIMIT_S) as transaction:
                await transaction.execute(ADD, {"n": 1})
                if round_ % 2:
                    await transaction.commit_with(finish(order))
            await asyncio.gather(*(each.store.create(*make_order()) for each in (one, other)))
        assert await coins(backend) == 105

    async def test_transactions_and_other_writes_at_once(self, backend: Backend) -> None:
        await make_goods(backend)
        one, other = await backend.connect(), await backend.connect()
        orders = [await one.store.create(*make_order(amount_minor=0)) for _ in range(20)]

        seen: list[int] = []

        async def deliver(number: int) -> None:
            connection = (one, other)[number % 2]
            async with connection.store.transaction(orders[number].id, LIMIT_S) as transaction:
                await transaction.execute(ADD, {"n": 1})
                [(after,)] = await transaction.fetch("SELECT coins FROM goods WHERE uid = 'u'")
                seen.append(after)
                await transaction.commit_with(finish(orders[number]))

        await asyncio.gather(
            *(deliver(number) for number in range(20)),
            *(each.store.create(*make_order(f"v{n}")) for n in range(20) for each in (one, other)),
        )
        assert {(await one.store.get(order.id)).stage for order in orders} == {Stage.FINISHED}
        assert (await one.store.overview(0))["by_status"] == {1: 40, 2: 20}
        assert await coins(backend) == 120
        assert sorted(seen) == list(range(101, 121)), "two transactions changed one row at once"
