"""What every store must do: record facts, guarded by version and holder, with the user's own statements."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from orderway.core.facts import Delivered, Finished, Resumed, StepDone, Stuck, UnexpectedPayment
from orderway.core.journal import check_chain, differences, replay
from orderway.core.order import Order, Stage
from orderway.errors import DeliveryFailed, HoldLost, InvalidValue, OrderNotFound, StaleOrder
from orderway.ports.store import Change, Statement
from orderway.testing.conformance.backend import Backend, Connection
from orderway.testing.conformance.builders import HOUR_US, NOW_US, finish, make_change, make_order, paid

__all__ = ["NOT_ALLOWED", "RecordConformance", "make_goods"]

ME, OTHER = 11, 22

NOT_ALLOWED = [
    " commit;",
    "/* one\ntwo */ COMMIT",
    "-- one\n-- two\nRollback",
    "; COMMIT",
    "\ufeffCOMMIT",
    "END TRANSACTION",
    "SAVEPOINT mine",
    "ATTACH ':memory:' AS other",
    "PRAGMA synchronous = OFF",
]
"""Statements that would end the transaction that they run in, or change the connection for those after them."""


async def make_goods(backend: Backend) -> None:
    """Make a table of the user's own, with one row: uid 'u' owns 100 coins."""
    await backend.execute("CREATE TABLE goods (uid VARCHAR(64) NOT NULL PRIMARY KEY, coins BIGINT NOT NULL)")
    await backend.execute("INSERT INTO goods (uid, coins) VALUES ('u', 100)")


def add_coins(coins: int, uid: str = "u", expect: int | None = 1) -> Statement:
    return Statement("UPDATE goods SET coins = coins + :coins WHERE uid = :uid", {"coins": coins, "uid": uid}, expect)


async def created(connection: Connection, uid: str = "u", **options: Any) -> Order[Any]:
    return await connection.store.create(*make_order(uid, **options))


@pytest.mark.asyncio
class RecordConformance:
    """``record``."""

    async def test_fact_and_row_are_written_together(self, backend: Backend) -> None:
        one, other = await backend.connect(), await backend.connect()
        order = await created(one)
        change = make_change(order, paid(order), holder=ME, due_at_us=NOW_US + 77)
        change = replace(change, order=replace(change.order, attempts=3, last_error="why 🧾"))
        await one.store.record(change)
        assert await other.store.get(order.id) == change.order
        assert (await other.store.entries(order.id))[-1] == change.entries[0]

    async def test_whole_life_replays_to_the_row(self, backend: Backend) -> None:
        one, other = await backend.connect(), await backend.connect()
        order, entry = make_order("u", data='{"x":1}', remark="hello")
        await one.store.create(order, entry)
        for facts in (
            (UnexpectedPayment(channel="wechat", amount_minor=3, currency="EUR", reference="W1"), paid(order)),
            (StepDone(step="one", result='{"ok":true}', data='{"x":2}'), StepDone(step="zwei 🧾")),
            (Stuck(why="deadline", error="boom\n'quoted'"),),
            (Resumed(deadline_at_us=NOW_US + HOUR_US),),
            (Delivered(data='{"x":3}'), Finished()),
        ):
            change = make_change(order, *facts)
            await one.store.record(change)
            order = change.order
            entries = await other.store.entries(order.id)
            assert await other.store.get(order.id) == order
            assert check_chain(entries) == []
            assert differences(order, replay(entries)) == []
        assert order.stage is Stage.FINISHED
        assert [each.version for each in entries] == list(range(1, 10))

    async def test_stale_version_writes_nothing(self, backend: Backend) -> None:
        one, other = await backend.connect(), await backend.connect()
        order = await created(one)
        change = make_change(order, paid(order))
        await one.store.record(change)
        for store in (one.store, other.store):
            with pytest.raises(StaleOrder) as caught:
                await store.record(make_change(order, paid(order, reference="again")))
            assert caught.value.order_id == order.id
        assert await one.store.get(order.id) == change.order
        assert len(await one.store.entries(order.id)) == 2

    async def test_version_ahead_of_the_row_is_stale_too(self, backend: Backend) -> None:
        one = await backend.connect()
        order = await created(one, amount_minor=0)
        ahead = make_change(make_change(order, Delivered()).order, Finished())
        with pytest.raises(StaleOrder):
            await one.store.record(ahead)
        assert await one.store.get(order.id) == order

    @pytest.mark.parametrize("holder", [None, OTHER])
    async def test_guard_that_does_not_hold_is_refused(self, backend: Backend, holder: int | None) -> None:
        one = await backend.connect()
        order = await created(one, amount_minor=0, holder=holder)
        with pytest.raises(HoldLost) as caught:
            await one.store.record(finish(order, guard=ME))
        assert caught.value.order_id == order.id
        assert await one.store.get(order.id) == order
        assert len(await one.store.entries(order.id)) == 1

    async def test_guard_that_holds_may_record_and_let_go(self, backend: Backend) -> None:
        one = await backend.connect()
        order = await created(one, amount_minor=0, holder=ME)
        change = finish(order, guard=ME)
        await one.store.record(change)
        assert await one.store.get(order.id) == change.order
        assert change.order.holder is None

    async def test_stale_version_is_told_before_a_lost_hold(self, backend: Backend) -> None:
        one = await backend.connect()
        order = await created(one, holder=ME)
        await one.store.record(make_change(order, paid(order), holder=OTHER))
        with pytest.raises(StaleOrder):
            await one.store.record(make_change(order, paid(order), guard=ME))

    @pytest.mark.parametrize("holder", [None, OTHER])
    async def test_fact_from_outside_keeps_the_holder(self, backend: Backend, holder: int | None) -> None:
        one = await backend.connect()
        order = await created(one, holder=holder)
        change = make_change(order, paid(order), keep_holder=True, holder=ME)
        await one.store.record(change)
        assert await one.store.get(order.id) == replace(change.order, holder=holder)

    async def test_unknown_order_is_not_found(self, backend: Backend) -> None:
        one = await backend.connect()
        order, _ = make_order("u")
        with pytest.raises(OrderNotFound):
            await one.store.record(make_change(order, paid(order)))

    async def test_value_that_fits_no_column_writes_nothing(self, backend: Backend) -> None:
        one = await backend.connect()
        order = await created(one)
        for values in ({"due_at_us": 2**63}, {"last_error": "\ud800"}):
            change = make_change(order, paid(order))
            with pytest.raises(InvalidValue):
                await one.store.record(replace(change, order=replace(change.order, **values)))
        assert await one.store.get(order.id) == order
        assert len(await one.store.entries(order.id)) == 1

    async def test_statements_commit_with_the_fact(self, backend: Backend) -> None:
        await make_goods(backend)
        one = await backend.connect()
        order = await created(one, amount_minor=0)
        insert = Statement(
            "INSERT INTO goods (uid, coins) VALUES (:uid, :coins)", {"uid": "é'🧾", "coins": -(2**63)}, 1
        )
        await one.store.record(
            finish(order, statements=[add_coins(5), insert, add_coins(9, uid="nobody", expect=None)])
        )
        rows = dict(await backend.fetch("SELECT uid, coins FROM goods"))
        assert rows == {"u": 105, "é'🧾": -(2**63)}
        assert (await one.store.get(order.id)).stage is Stage.FINISHED

    @pytest.mark.parametrize(
        "statement",
        [
            add_coins(1, uid="nobody"),
            add_coins(1, expect=2),
            add_coins(1, expect=0),
            Statement("INSERT INTO goods (uid, coins) VALUES ('u', 1)", {}, 1),
            Statement("UPDATE no_such_table SET x = 1", {}, None),
            Statement("this is no SQL", {}, None),
        ],
        ids=["no row", "fewer rows", "more rows", "duplicate key", "no table", "no SQL"],
    )
    async def test_failing_statement_writes_nothing(self, backend: Backend, statement: Statement) -> None:
        await make_goods(backend)
        one = await backend.connect()
        order = await created(one, amount_minor=0)
        for statements in ([add_coins(5), statement], [statement, add_coins(5)]):
            with pytest.raises(DeliveryFailed) as caught:
                await one.store.record(finish(order, statements=statements))
            assert caught.value.order_id == order.id
        assert await one.store.get(order.id) == order
        assert len(await one.store.entries(order.id)) == 1
        assert await backend.fetch("SELECT uid, coins FROM goods") == [("u", 100)]
        await one.store.record(finish(order, statements=[add_coins(5)]))
        assert await backend.fetch("SELECT uid, coins FROM goods") == [("u", 105)]

    @pytest.mark.parametrize("sql", NOT_ALLOWED)
    async def test_statement_that_would_leave_the_transaction_is_refused(self, backend: Backend, sql: str) -> None:
        await make_goods(backend)
        one = await backend.connect()
        order = await created(one, amount_minor=0)
        with pytest.raises(DeliveryFailed, match="not allowed in a delivery") as caught:
            await one.store.record(finish(order, statements=[add_coins(5), Statement(sql, {}, None)]))
        assert caught.value.order_id == order.id
        assert await one.store.get(order.id) == order
        assert await backend.fetch("SELECT uid, coins FROM goods") == [("u", 100)]

    async def test_statements_of_a_refused_change_are_not_run(self, backend: Backend) -> None:
        await make_goods(backend)
        one = await backend.connect()
        order = await created(one, amount_minor=0, holder=OTHER)
        with pytest.raises(HoldLost):
            await one.store.record(finish(order, guard=ME, statements=[add_coins(5)]))
        await one.store.record(finish(order, guard=OTHER))
        with pytest.raises(StaleOrder):
            await one.store.record(finish(order, statements=[add_coins(5)]))
        assert await backend.fetch("SELECT uid, coins FROM goods") == [("u", 100)]

    async def test_bad_operations_fail_alone(self, backend: Backend) -> None:
        await make_goods(backend)
        one = await backend.connect()
        good = [await created(one, f"u{n}", amount_minor=0, holder=ME) for n in range(20)]
        bad = [await created(one, f"b{n}", amount_minor=0, holder=OTHER) for n in range(20)]
        stale = [make_change(make_change(order, Delivered()).order, Finished(), guard=OTHER) for order in bad[:5]]
        lost = [finish(order, guard=ME) for order in bad[5:10]]
        failing = [finish(order, statements=[add_coins(1000), add_coins(1, "nobody")]) for order in bad[10:15]]
        missing = [finish(make_order("gone", amount_minor=0)[0]) for _ in range(5)]
        changes: list[Change] = [finish(order, guard=ME, statements=[add_coins(1)]) for order in good]
        mixed = [each for group in zip(changes, stale + lost + failing + missing, strict=True) for each in group]
        results = await asyncio.gather(*(one.store.record(each) for each in mixed), return_exceptions=True)
        assert results[::2] == [None] * 20
        expected = [StaleOrder] * 5 + [HoldLost] * 5 + [DeliveryFailed] * 5 + [OrderNotFound] * 5
        assert [type(result) for result in results[1::2]] == expected
        assert [await one.store.get(order.id) for order in bad] == bad
        assert {(await one.store.get(order.id)).stage for order in good} == {Stage.FINISHED}
        assert await backend.fetch("SELECT uid, coins FROM goods") == [("u", 120)]

    async def test_reference_too_long_for_its_column_fails_alone(self, backend: Backend) -> None:
        one = await backend.connect()
        orders = [await created(one, f"u{n}") for n in range(3)]
        references = ["R" * 128, "R" * 129, "\U0001f9fe" * 128]
        changes = [make_change(each, paid(each, ref)) for each, ref in zip(orders, references, strict=True)]
        results = await asyncio.gather(*map(one.store.record, changes), return_exceptions=True)
        assert [results[0], results[2]] == [None, None]
        assert type(results[1]) is InvalidValue
        assert results[1].order_id == orders[1].id
        assert "reference has 129 characters, at most 128 are allowed" in str(results[1])
        stored = [await one.store.get(order.id) for order in orders]
        assert stored == [changes[0].order, orders[1], changes[2].order]

    async def test_one_version_many_times_at_once_is_recorded_once(self, backend: Backend) -> None:
        await make_goods(backend)
        one = await backend.connect()
        order = await created(one, amount_minor=0)
        changes = [finish(order, statements=[add_coins(1)]) for _ in range(20)]
        results = await asyncio.gather(*(one.store.record(each) for each in changes), return_exceptions=True)
        assert results.count(None) == 1
        assert sum(isinstance(result, StaleOrder) for result in results) == 19
        assert (await one.store.get(order.id)).digest == changes[results.index(None)].order.digest
        assert len(await one.store.entries(order.id)) == 3
        assert await backend.fetch("SELECT coins FROM goods") == [(101,)]
