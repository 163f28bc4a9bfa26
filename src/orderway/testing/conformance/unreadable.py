"""What every store in a database must do with a row that it cannot read: it harms nobody but its own order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from orderway.core.order import Order
from orderway.errors import OrderUnreadable
from orderway.ports.store import Query
from orderway.sql.shards import ShardMap
from orderway.testing.conformance.backend import ROWS, Backend, Connection, require
from orderway.testing.conformance.builders import NOW_US, finish, make_id, make_order, uids_in_shards

__all__ = ["UnreadableConformance"]

ME = 11
LATER_US = NOW_US + 3_000_000
A_MINUTE_US = 60_000_000

DAMAGES = {
    "stage": "UPDATE ow_orders_{shard} SET stage = 'teleporting' WHERE id = '{id}'",
    "resume-stage": "UPDATE ow_orders_{shard} SET resume_stage = 'teleporting' WHERE id = '{id}'",
    "steps": "UPDATE ow_orders_{shard} SET steps = '[' WHERE id = '{id}'",
    "refunds": """UPDATE ow_orders_{shard} SET refunds = '[{{"colour": 1}}]' WHERE id = '{id}'""",
    "leg": "UPDATE ow_legs_{shard} SET state = 'teleporting' WHERE order_id = '{id}'",
}
"""What a newer version may write, or a hand."""

WRONG_IDS: dict[str, Callable[[str], str]] = {
    "mistyped": lambda order_id: order_id[:-1] + ("A" if order_id[-1] != "A" else "B"),
    "no-id": lambda _: "order-1",
}


async def connect(backend: Backend) -> Connection:
    require(backend, ROWS)
    connection = await backend.connect()
    await connection.workers.join(ME, "me")
    return connection


async def created(connection: Connection, uid: str = "u", **options: Any) -> Order[Any]:
    return await connection.store.create(*make_order(uid, **options))


async def damage(backend: Backend, connection: Connection, order: Order[Any], statement: str) -> None:
    """Change an order's row behind the store's back, in a transaction of another order that lives beside it."""
    beside = await created(connection, order.uid, amount_minor=0, holder=ME, due_at_us=None)
    shard = ShardMap.even(backend.shards).of_order(order.id)
    async with connection.store.transaction(beside.id, 10) as transaction:
        assert await transaction.execute(statement.format(shard=shard, id=order.id)) == 1
        await transaction.commit_with(finish(beside, guard=ME))


async def claimed(connection: Connection, now_us: int, limit: int = 10) -> list[str]:
    return [order.id for order in await connection.store.claim([1], ME, now_us, now_us + 3_000_000, limit)]


@pytest.mark.asyncio
class UnreadableConformance:
    """Rows that say something that this version does not know."""

    @pytest.mark.parametrize("what", DAMAGES)
    async def test_it_is_told_so_and_whoever_asks_beside_it_is_not(self, backend: Backend, what: str) -> None:
        one = await connect(backend)
        damaged, whole = await created(one), await created(one)
        await damage(backend, one, damaged, DAMAGES[what])
        asked = await asyncio.gather(
            one.store.get(whole.id),
            one.store.get(damaged.id),
            one.store.get(whole.id),
            return_exceptions=True,
        )
        assert asked[0] == asked[2] == whole
        assert isinstance(asked[1], OrderUnreadable)
        assert asked[1].order_id == damaged.id
        assert damaged.id in str(asked[1])
        held = await asyncio.gather(
            *(one.store.hold(each.id, ME, LATER_US) for each in (whole, damaged)), return_exceptions=True
        )
        assert held[0] == replace(whole, holder=ME, due_at_us=LATER_US)
        assert isinstance(held[1], OrderUnreadable)

    async def test_what_is_created_beside_it_is_created(self, backend: Backend) -> None:
        one = await connect(backend)
        damaged, entry = make_order()
        await one.store.create(damaged, entry)
        await damage(backend, one, damaged, DAMAGES["stage"])
        new = make_order()
        results = await asyncio.gather(one.store.create(damaged, entry), one.store.create(*new), return_exceptions=True)
        assert isinstance(results[0], OrderUnreadable)
        assert results[1] == new[0]

    @pytest.mark.parametrize("what", DAMAGES)
    async def test_a_claim_passes_over_it_and_comes_back_a_minute_later(
        self, backend: Backend, what: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        one = await connect(backend)
        damaged = await created(one, due_at_us=NOW_US - 1_000)
        whole = [await created(one, uid) for uid in uids_in_shards(backend.shards)]
        await damage(backend, one, damaged, DAMAGES[what])
        assert await claimed(one, NOW_US, 1) == [], "the longest due is the one that cannot be read"
        assert sorted(await claimed(one, NOW_US)) == sorted(order.id for order in whole)
        assert [record.levelname for record in caplog.records if damaged.id in record.message] == ["ERROR"]
        assert damaged.id not in await claimed(one, NOW_US + A_MINUTE_US - 1)
        assert len([record for record in caplog.records if damaged.id in record.message]) == 1
        assert damaged.id not in await claimed(one, NOW_US + A_MINUTE_US)
        assert len([record for record in caplog.records if damaged.id in record.message]) == 2

    async def test_it_goes_on_as_soon_as_it_can_be_read(self, backend: Backend) -> None:
        one = await connect(backend)
        damaged = await created(one)
        await damage(backend, one, damaged, DAMAGES["stage"])
        assert await claimed(one, NOW_US) == []
        await damage(backend, one, damaged, "UPDATE ow_orders_{shard} SET stage = 'created' WHERE id = '{id}'")
        assert await claimed(one, NOW_US + A_MINUTE_US) == [damaged.id]
        order = await one.store.get(damaged.id)
        assert (order.stage, order.version, order.legs) == (damaged.stage, damaged.version, damaged.legs)

    @pytest.mark.parametrize("how", WRONG_IDS)
    async def test_a_row_that_its_id_does_not_lead_to_is_passed_over(
        self, backend: Backend, how: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        one = await connect(backend)
        moved = await created(one, amount_minor=0, due_at_us=NOW_US - 1_000)
        whole = [await created(one, uid) for uid in uids_in_shards(backend.shards)]
        wrong_id = WRONG_IDS[how](moved.id)
        await damage(backend, one, moved, f"UPDATE ow_orders_{{shard}} SET id = '{wrong_id}' WHERE id = '{{id}}'")
        assert sorted(await claimed(one, NOW_US)) == sorted(order.id for order in whole)
        assert [record.levelname for record in caplog.records if wrong_id in record.message] == ["ERROR"]
        assert wrong_id not in await claimed(one, NOW_US + A_MINUTE_US - 1), "it was not let go for a minute"

    async def test_an_order_in_the_tables_of_another_shard_is_passed_over(
        self, backend: Backend, caplog: pytest.LogCaptureFixture
    ) -> None:
        one = await connect(backend)
        first, *others = uids_in_shards(backend.shards)
        moved = await created(one, first, amount_minor=0)
        of_another = make_id(others[-1]) if others else make_id(first)
        await damage(backend, one, moved, f"UPDATE ow_orders_{{shard}} SET id = '{of_another}' WHERE id = '{{id}}'")
        assert await claimed(one, NOW_US) == ([] if others else [of_another])
        assert [record.levelname for record in caplog.records] == ["ERROR"] * bool(others)

    async def test_a_list_names_it_and_shows_the_others(self, backend: Backend) -> None:
        one = await connect(backend)
        orders = [await created(one, amount_minor=0) for _ in range(4)]
        await damage(backend, one, orders[1], DAMAGES["stage"])
        query, shown, named = Query(uid="u", order_type=1, limit=1), [], []
        while True:
            page = await one.store.list(query)
            assert len(page.orders) + len(page.unreadable) == 1
            shown += [order.id for order in page.orders]
            named += [error.order_id for error in page.unreadable]
            if page.next is None:
                break
            query = query.following(page.next)
        assert named == [orders[1].id]
        assert shown[:3] == [orders[0].id, orders[2].id, orders[3].id]
