"""What every store must do: hold, claim, postpone and hint orders, by who lives and what is due."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from orderway.core.order import Order
from orderway.errors import InvalidValue, OrderNotFound
from orderway.testing.conformance.backend import Backend, Connection
from orderway.testing.conformance.builders import NOW_US, finish, make_change, make_id, make_order, paid, uids_in_shards

__all__ = ["DueConformance"]

ME, OTHER, DEAD = 11, 22, 33
LATER_US = NOW_US + 60_000_000


async def connect(backend: Backend) -> Connection:
    """A connection to a database in which ME and OTHER live; DEAD was buried."""
    connection = await backend.connect()
    for incarnation in (ME, OTHER, DEAD):
        await connection.workers.join(incarnation, f"worker {incarnation}")
    await connection.workers.bury(DEAD)
    return connection


async def created(connection: Connection, uid: str = "u", **options: Any) -> Order[Any]:
    return await connection.store.create(*make_order(uid, **options))


async def finished(connection: Connection) -> Order[Any]:
    change = finish(await created(connection, amount_minor=0))
    await connection.store.record(change)
    return change.order


@pytest.mark.asyncio
class DueConformance:
    """``hold``, ``claim``, ``postpone`` and ``hint``."""

    @pytest.mark.parametrize("holder", [None, ME, DEAD, 44], ids=["free", "mine", "buried", "never joined"])
    async def test_hold_takes_what_no_one_alive_has(self, backend: Backend, holder: int | None) -> None:
        one, other = await connect(backend), await backend.connect()
        order = await created(one, holder=holder)
        held = await one.store.hold(order.id, ME, LATER_US)
        assert held == replace(order, holder=ME, due_at_us=LATER_US)
        assert await other.store.get(order.id) == held

    async def test_hold_leaves_what_another_living_worker_has(self, backend: Backend) -> None:
        one, other = await connect(backend), await backend.connect()
        order = await created(one, holder=OTHER)
        assert await other.store.hold(order.id, ME, LATER_US) == order
        assert await one.store.get(order.id) == order

    async def test_hold_returns_a_finished_order_as_it_is(self, backend: Backend) -> None:
        one = await connect(backend)
        order = await finished(one)
        assert await one.store.hold(order.id, ME, LATER_US) == order
        assert await one.store.get(order.id) == order

    async def test_hold_of_an_unknown_order(self, backend: Backend) -> None:
        one = await connect(backend)
        with pytest.raises(OrderNotFound):
            await one.store.hold(make_id("u"), ME, LATER_US)

    async def test_claim_gives_out_the_longest_due_first(self, backend: Backend) -> None:
        one, other = await connect(backend), await backend.connect()
        uids = uids_in_shards(backend.shards)
        dues = [7, 3, 11, 1, 9, 5, 13, 2]
        orders = [await created(one, uids[n % len(uids)], due_at_us=NOW_US - due) for n, due in enumerate(dues)]
        oldest = [orders[dues.index(due)] for due in (13, 11, 9, 7, 5)]
        claimed = await other.store.claim([1], ME, NOW_US, LATER_US, 5)
        assert list(claimed) == [replace(order, holder=ME, due_at_us=LATER_US) for order in oldest]
        assert [await one.store.get(order.id) for order in claimed] == list(claimed)
        rest = await other.store.claim([1], ME, NOW_US, LATER_US, 5)
        assert [order.id for order in rest] == [orders[dues.index(due)].id for due in (3, 2, 1)]
        assert list(await other.store.claim([1], ME, NOW_US, LATER_US, 5)) == []

    async def test_claim_takes_due_orders_only(self, backend: Backend) -> None:
        one = await connect(backend)
        due = await created(one, due_at_us=NOW_US)
        await created(one, due_at_us=NOW_US + 1)
        await created(one, due_at_us=None)
        await finished(one)
        assert [order.id for order in await one.store.claim([1], ME, NOW_US, LATER_US, 10)] == [due.id]

    async def test_claim_takes_these_types_only(self, backend: Backend) -> None:
        one = await connect(backend)
        orders = {order_type: await created(one, order_type=order_type) for order_type in (0, 1, 2, 65_535)}
        assert list(await one.store.claim([], ME, NOW_US, LATER_US, 10)) == []
        assert list(await one.store.claim([3], ME, NOW_US, LATER_US, 10)) == []
        claimed = await one.store.claim([2, 65_535, 3], ME, NOW_US, LATER_US, 10)
        assert {order.id for order in claimed} == {orders[2].id, orders[65_535].id}

    async def test_claim_takes_what_no_one_else_alive_holds(self, backend: Backend) -> None:
        one = await connect(backend)
        orders = {holder: await created(one, holder=holder) for holder in (None, ME, OTHER, DEAD, 44)}
        claimed = await one.store.claim([1], ME, NOW_US, LATER_US, 10)
        assert {order.id for order in claimed} == {orders[holder].id for holder in (None, ME, DEAD, 44)}
        assert {order.holder for order in claimed} == {ME}
        assert await one.store.get(orders[OTHER].id) == orders[OTHER]

    async def test_living_holders_do_not_use_up_the_limit(self, backend: Backend) -> None:
        one = await connect(backend)
        for number in range(5):
            await created(one, holder=OTHER, due_at_us=NOW_US - 100 + number)
        free = await created(one, due_at_us=NOW_US)
        assert [order.id for order in await one.store.claim([1], ME, NOW_US, LATER_US, 1)] == [free.id]

    async def test_orders_of_a_worker_are_free_once_it_is_buried(self, backend: Backend) -> None:
        one, other = await connect(backend), await backend.connect()
        order = await created(one)
        await one.store.claim([1], ME, NOW_US, LATER_US, 10)
        assert list(await other.store.claim([1], OTHER, LATER_US, LATER_US + 1, 10)) == []
        await other.workers.bury(ME)
        assert [each.id for each in await other.store.claim([1], OTHER, LATER_US, LATER_US + 1, 10)] == [order.id]

    async def test_claiming_adds_no_fact(self, backend: Backend) -> None:
        one = await connect(backend)
        order = await created(one)
        await one.store.claim([1], ME, NOW_US, LATER_US, 10)
        await one.store.hold(order.id, ME, LATER_US)
        assert (await one.store.get(order.id)).version == 1
        assert len(await one.store.entries(order.id)) == 1

    async def test_postpone_lets_go_without_a_fact(self, backend: Backend) -> None:
        one, other = await connect(backend), await backend.connect()
        order = await created(one, holder=ME)
        assert await one.store.postpone(order.id, 1, ME, LATER_US, 4, "no answer 🧾") is True
        assert await other.store.get(order.id) == replace(
            order, holder=None, due_at_us=LATER_US, attempts=4, last_error="no answer 🧾"
        )
        assert len(await one.store.entries(order.id)) == 1

    @pytest.mark.parametrize("holder", [None, OTHER, DEAD])
    async def test_postpone_without_the_hold_changes_nothing(self, backend: Backend, holder: int | None) -> None:
        one = await connect(backend)
        order = await created(one, holder=holder)
        assert await one.store.postpone(order.id, 1, ME, LATER_US, 4, "error") is False
        assert await one.store.get(order.id) == order

    async def test_postpone_does_not_put_off_a_fact_from_outside(self, backend: Backend) -> None:
        one, other = await connect(backend), await backend.connect()
        order = await created(one, holder=ME)
        change = make_change(order, paid(order), keep_holder=True, due_at_us=NOW_US)
        await other.store.record(change)
        assert await one.store.postpone(order.id, 1, ME, LATER_US, 4, "error") is False
        assert await one.store.get(order.id) == replace(change.order, holder=ME)
        assert await one.store.postpone(order.id, 2, ME, LATER_US, 4, "error") is True

    async def test_postpone_of_an_unknown_order(self, backend: Backend) -> None:
        one = await connect(backend)
        assert await one.store.postpone(make_id("u"), 1, ME, LATER_US, 1, "") is False

    @pytest.mark.parametrize(("due_at_us", "last_error"), [(2**63, ""), (LATER_US, "\ud800")])
    async def test_postpone_with_what_fits_no_column(self, backend: Backend, due_at_us: int, last_error: str) -> None:
        one = await connect(backend)
        order = await created(one, holder=ME)
        with pytest.raises(InvalidValue):
            await one.store.postpone(order.id, 1, ME, due_at_us, 1, last_error)
        assert await one.store.get(order.id) == order

    async def test_postpones_at_once_each_have_their_own_answer(self, backend: Backend) -> None:
        one = await connect(backend)
        orders = [await created(one, f"u{n}", holder=(ME, OTHER)[n % 2]) for n in range(20)]
        calls = [one.store.postpone(order.id, 1, ME, LATER_US + n, n, f"e{n}") for n, order in enumerate(orders)]
        assert await asyncio.gather(*calls) == [True, False] * 10
        after = [await one.store.get(order.id) for order in orders]
        assert after[1::2] == orders[1::2]
        assert [(order.due_at_us, order.attempts, order.last_error) for order in after[::2]] == [
            (LATER_US + n, n, f"e{n}") for n in range(0, 20, 2)
        ]

    async def test_hint_makes_due_now(self, backend: Backend) -> None:
        one, other = await connect(backend), await backend.connect()
        order = await created(one, holder=OTHER, due_at_us=LATER_US)
        assert await other.store.hint(order.id, NOW_US) is True
        assert await one.store.get(order.id) == replace(order, due_at_us=NOW_US)

    async def test_hint_leaves_what_is_due_earlier(self, backend: Backend) -> None:
        one = await connect(backend)
        order = await created(one, due_at_us=NOW_US - 5)
        assert await one.store.hint(order.id, NOW_US) is True
        assert await one.store.get(order.id) == order

    async def test_hint_for_what_is_not_due_at_all(self, backend: Backend) -> None:
        one = await connect(backend)
        order = await finished(one)
        assert await one.store.hint(order.id, NOW_US) is False
        assert await one.store.get(order.id) == order
        assert await one.store.hint(make_id("u"), NOW_US) is False

    async def test_hinted_order_of_a_living_worker_is_not_given_to_others(self, backend: Backend) -> None:
        one = await connect(backend)
        order = await created(one, holder=OTHER, due_at_us=LATER_US)
        await one.store.hint(order.id, NOW_US)
        assert list(await one.store.claim([1], ME, NOW_US, LATER_US, 10)) == []
        assert [each.id for each in await one.store.claim([1], OTHER, NOW_US, LATER_US, 10)] == [order.id]
