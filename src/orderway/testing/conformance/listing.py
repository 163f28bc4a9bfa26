"""What every store must do: list orders by any condition, in stable pages, and count them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from orderway.core.facts import (
    Cancelled,
    DisputeOpened,
    DisputeWon,
    Ended,
    Fact,
    Held,
    PaymentClosed,
    PaymentUnknown,
    RefundResumed,
    Released,
    Stuck,
    UnexpectedAccepted,
)
from orderway.core.ids import slot_of_uid
from orderway.core.order import Order, Stage, Status
from orderway.core.payment import Leg
from orderway.errors import InvalidValue
from orderway.ports.store import Query, Store
from orderway.testing.conformance.backend import Backend
from orderway.testing.conformance.builders import (
    HOUR_US,
    NOW_US,
    finish,
    make_change,
    make_order,
    paid,
    refund_stuck,
    uids_in_shards,
    unexpected,
)

__all__ = ["ListConformance"]


async def ids(store: Store, **conditions: Any) -> list[str]:
    return [order.id for order in (await store.list(Query(**conditions))).orders]


async def pages(store: Store, **conditions: Any) -> AsyncIterator[list[Order[Any]]]:
    """All pages, one after the other."""
    page = await store.list(Query(**conditions))
    yield list(page.orders)
    while page.next is not None:
        cursor = page.next
        page = await store.list(Query(after=cursor, **conditions))
        assert page.next != cursor, "the cursor stands still"
        yield list(page.orders)


async def create_everywhere(store: Store, shards: int, count: int, **options: Any) -> list[Order[Any]]:
    """Orders one microsecond apart, whose users live in all shards in turn."""
    uids = uids_in_shards(shards)
    made = [make_order(uids[n % shards], at_us=NOW_US + n, **options) for n in range(count)]
    return [await store.create(*each) for each in made]


@pytest.mark.asyncio
class ListConformance:
    """``list`` and ``overview``."""

    async def test_empty_store(self, backend: Backend) -> None:
        store = (await backend.connect()).store
        page = await store.list(Query())
        assert (list(page.orders), page.next) == ([], None)
        overview = await store.overview(NOW_US)
        assert {status: n for status, n in overview["by_status"].items() if n} == {}
        assert (overview["due"], overview["due_by_type"], overview["oldest_due_at_us"]) == (0, {}, None)

    async def test_orders_of_all_shards_come_by_id(self, backend: Backend) -> None:
        one, other = await backend.connect(), await backend.connect()
        orders = await create_everywhere(one.store, backend.shards, 12)
        assert list((await other.store.list(Query())).orders) == sorted(orders, key=lambda order: order.id)
        assert await ids(other.store, descending=True) == sorted((order.id for order in orders), reverse=True)

    async def test_each_condition_restricts(self, backend: Backend) -> None:
        store = (await backend.connect()).store
        new = await store.create(*make_order("ann", order_type=1, own_number="N-1", at_us=NOW_US))
        bought = await store.create(*make_order("bob", order_type=2, at_us=NOW_US + 10))
        await store.record(make_change(bought, paid(bought, reference="R-7")))
        done = await store.create(*make_order("bob", order_type=1, amount_minor=0, at_us=NOW_US + 20))
        await store.record(finish(done))
        gone = await store.create(*make_order("cid", order_type=2, at_us=NOW_US + 30))
        await store.record(make_change(gone, Cancelled(why="w")))
        everything = [new.id, bought.id, done.id, gone.id]
        for conditions, expected in (
            ({}, everything),
            ({"uid": "bob"}, [bought.id, done.id]),
            ({"uid": "Bob"}, []),
            ({"statuses": [Status.FORWARDING]}, [new.id, bought.id]),
            ({"statuses": [Status.FINISHED, Status.CANCELLED]}, [done.id, gone.id]),
            ({"statuses": []}, []),
            ({"stages": [Stage.PAID]}, [bought.id]),
            ({"stages": [Stage.CREATED, Stage.CANCELLING]}, [new.id, gone.id]),
            ({"stages": []}, []),
            ({"order_type": 2}, [bought.id, gone.id]),
            ({"order_type": 3}, []),
            ({"created_from_us": NOW_US + 10}, [bought.id, done.id, gone.id]),
            ({"created_to_us": NOW_US + 10}, [new.id]),
            ({"created_from_us": NOW_US + 10, "created_to_us": NOW_US + 30}, [bought.id, done.id]),
            ({"own_number": "N-1"}, [new.id]),
            ({"own_number": "n-1"}, []),
            ({"reference": "R-7"}, [bought.id]),
            ({"reference": "R-8"}, []),
            ({"uid": "bob", "order_type": 1, "statuses": [Status.FINISHED]}, [done.id]),
            ({"uid": "bob", "own_number": "N-1"}, []),
        ):
            assert await ids(store, **conditions) == sorted(expected), conditions
            assert await ids(store, descending=True, **conditions) == sorted(expected, reverse=True), conditions

    async def test_orders_that_need_a_person(self, backend: Backend) -> None:
        one, other = await backend.connect(), await backend.connect()
        calm, doubled, late, broken, disputed, *_ = orders = await create_everywhere(one.store, backend.shards, 9)
        free = await one.store.create(*make_order(uids_in_shards(backend.shards)[0], amount_minor=0))
        unpaid = await one.store.create(*make_order(uids_in_shards(backend.shards)[0], amount_minor=0))
        opened = DisputeOpened(leg=0, amount_minor=5, reference="D-1")
        for order, facts in (
            (calm, (paid(calm),)),
            (doubled, (paid(doubled), unexpected(doubled, "R-2"), unexpected(doubled, "R-3"))),
            (late, (Cancelled(why="w"), unexpected(late, "R-4"))),
            (broken, (paid(broken), *refund_stuck(broken))),
            (disputed, (paid(disputed), opened)),
            (free, (Stuck(why="hook"),)),
        ):
            await one.store.record(make_change(order, *facts))
        waiting = sorted(order.id for order in (doubled, late, broken, disputed, free))
        rest = sorted({order.id for order in (*orders, unpaid)} - set(waiting))
        for wanted, expected in ((True, waiting), (False, rest)):
            for descending in (False, True):
                found = [page async for page in pages(other.store, needs_person=wanted, limit=2, descending=descending)]
                assert [order.id for page in found for order in page] == sorted(expected, reverse=descending)
                assert all(order.needs_person is wanted for page in found for order in page)
        assert await ids(other.store) == sorted(waiting + rest)
        assert await ids(other.store, needs_person=True, statuses=[Status.STUCK]) == sorted([disputed.id, free.id])
        assert await ids(other.store, needs_person=True, reference="R-4") == [late.id]
        of_one_user = sorted(order.id for order in (*orders, free) if order.uid == late.uid and order.id in waiting)
        assert await ids(other.store, needs_person=True, uid=late.uid) == of_one_user

    async def test_order_that_a_person_has_decided_needs_none_any_more(self, backend: Backend) -> None:
        store = (await backend.connect()).store
        order = await store.create(*make_order())
        for facts, needs_person in (
            ((paid(order), unexpected(order, "R-2")), True),
            ((UnexpectedAccepted(leg=1),), False),
            (refund_stuck(order), True),
            ((RefundResumed(refund=1, deadline_at_us=NOW_US + HOUR_US),), False),
            ((DisputeOpened(leg=0, amount_minor=5, reference="D-1"),), True),
            ((DisputeWon(leg=0, reference="D-1"),), False),
        ):
            change = make_change(order, *facts)
            await store.record(change)
            order = change.order
            assert await ids(store, needs_person=True) == [order.id] * needs_person
            assert await ids(store, needs_person=False) == [order.id] * (not needs_person)

    async def test_users_are_compared_byte_for_byte(self, backend: Backend) -> None:
        store = (await backend.connect()).store
        uids = ["bob", "Bob", "bob ", "bób", "bo\u0301b", "b%", "b_b", "bob🧾", ""]
        made = {uid: (await store.create(*make_order(uid))).id for uid in uids}
        for uid in uids:
            assert await ids(store, uid=uid) == [made[uid]]

    @pytest.mark.parametrize("descending", [False, True])
    async def test_pages_add_up_to_the_whole(self, backend: Backend, descending: bool) -> None:
        store = (await backend.connect()).store
        orders = await create_everywhere(store, backend.shards, 11)
        expected = sorted((order.id for order in orders), reverse=descending)
        for limit in (1, 2, 5, 10, 11, 12):
            found = [page async for page in pages(store, limit=limit, descending=descending)]
            assert [order.id for page in found for order in page] == expected
            assert all(len(page) == limit for page in found[:-1])
            assert found[-1] != []

    async def test_pages_of_a_condition_add_up_to_the_whole(self, backend: Backend) -> None:
        store = (await backend.connect()).store
        await create_everywhere(store, backend.shards, 8, order_type=1)
        wanted = await create_everywhere(store, backend.shards, 8, order_type=2)
        found = [page async for page in pages(store, limit=3, order_type=2)]
        assert [len(page) for page in found] == [3, 3, 2]
        assert [order.id for page in found for order in page] == sorted(order.id for order in wanted)

    @pytest.mark.parametrize("descending", [False, True])
    async def test_pages_are_stable_while_orders_arrive(self, backend: Backend, descending: bool) -> None:
        one, other = await backend.connect(), await backend.connect()
        before = {order.id for order in await create_everywhere(one.store, backend.shards, 12)}
        found: list[str] = []
        number = 0
        async for page in pages(one.store, limit=3, descending=descending):
            found += [order.id for order in page]
            if number < 5:
                # On both sides of the cursor, and right at it.
                for at_us in (NOW_US - 50 + number, NOW_US + number * 3, NOW_US + 50 + number):
                    await other.store.create(*make_order(uids_in_shards(backend.shards)[-1], at_us=at_us))
                number += 1
        assert number > 3
        assert found == sorted(found, reverse=descending)
        assert len(found) == len(set(found))
        assert before <= set(found)

    @pytest.mark.parametrize("limit", [0, -1, 1001])
    async def test_limit_beyond_its_bounds_is_refused(self, backend: Backend, limit: int) -> None:
        store = (await backend.connect()).store
        with pytest.raises(InvalidValue):
            await store.list(Query(limit=limit))

    async def test_largest_limit_is_allowed(self, backend: Backend) -> None:
        store = (await backend.connect()).store
        assert (await store.list(Query(limit=1000))).next is None

    @pytest.mark.parametrize("cursor", ["", "nonsense", "0' OR 1=1"])
    async def test_what_is_no_cursor_is_refused(self, backend: Backend, cursor: str) -> None:
        store = (await backend.connect()).store
        with pytest.raises(InvalidValue):
            await store.list(Query(after=cursor))

    async def test_listed_orders_are_whole(self, backend: Backend) -> None:
        store = (await backend.connect()).store
        order = await store.create(*make_order("u", data='{"a":"🧾"}', remark="r", holder=3, own_number="N"))
        change = make_change(order, paid(order), holder=4)
        await store.record(change)
        assert list((await store.list(Query(uid="u"))).orders) == [change.order]

    async def test_overview_counts_orders_of_all_shards(self, backend: Backend) -> None:
        one, other = await backend.connect(), await backend.connect()
        await create_everywhere(one.store, backend.shards, 4, order_type=1, due_at_us=NOW_US + 100)
        await create_everywhere(one.store, backend.shards, 3, order_type=2, due_at_us=NOW_US + 50, holder=9)
        for order in await create_everywhere(one.store, backend.shards, 5, amount_minor=0):
            await one.store.record(finish(order))
        overview = await other.store.overview(NOW_US + 99)
        assert {status: n for status, n in overview["by_status"].items() if n} == {
            Status.FORWARDING: 7,
            Status.FINISHED: 5,
        }
        assert (overview["due"], overview["due_by_type"]) == (3, {2: 3})
        assert overview["oldest_due_at_us"] == NOW_US + 50
        overview = await other.store.overview(NOW_US + 100)
        assert (overview["due"], overview["due_by_type"]) == (7, {1: 4, 2: 3})

    async def test_overview_tells_what_stands_still(self, backend: Backend) -> None:
        one, other = await backend.connect(), await backend.connect()
        overview = await other.store.overview(NOW_US)
        assert (overview["oldest_due_by_type"], overview["stuck_by_reason"]) == ({}, {})
        assert (overview["held_minor_by_currency"], overview["oldest_unknown_payment_at_us"]) == ({}, None)
        due: tuple[tuple[int, int], ...] = ((1, NOW_US + 5), (1, NOW_US + 3), (2, NOW_US + 4), (3, NOW_US + 100))
        for order_type, due_at_us in due:
            await create_everywhere(one.store, backend.shards, 2, order_type=order_type, due_at_us=due_at_us)
        points = Leg(0, "points", 90, "POINTS", worth_minor=90, holds=True)
        mixed = {"amount_minor": 500, "legs": (points, Leg(1, "wallet", 410, "USD", worth_minor=410))}
        held, back, over, dead = await create_everywhere(one.store, backend.shards, 4, due_at_us=None, **mixed)
        put_aside = Held(leg=0, amount_minor=90, worth_minor=90, reference="H")
        changes: tuple[tuple[Order[Any], tuple[Fact, ...], int | None], ...] = (
            (held, (put_aside,), NOW_US + 100),
            (back, (put_aside, Cancelled(why="w")), NOW_US + 100),
            (over, (put_aside, Cancelled(why="w"), Released(leg=0), PaymentClosed(leg=1), Ended()), None),
            (dead, (put_aside, PaymentUnknown(leg=1), Stuck(why="hook_failed"), Ended()), None),
        )
        for order, facts, due_at in changes:
            await one.store.record(make_change(order, *facts, due_at_us=due_at, at_us=NOW_US + 7))
        early, lost = await create_everywhere(one.store, backend.shards, 2, due_at_us=None)
        await one.store.record(make_change(lost, PaymentUnknown(leg=0), at_us=NOW_US + 6))
        await one.store.record(make_change(early, Stuck(why="held"), at_us=NOW_US + 5))
        overview = await other.store.overview(NOW_US + 50)
        assert overview["oldest_due_by_type"] == {1: NOW_US, 2: NOW_US + 4}
        assert overview["stuck_by_reason"] == {"hook_failed": 1, "held": 1}
        assert overview["held_minor_by_currency"] == {"POINTS": 270}
        assert overview["oldest_unknown_payment_at_us"] == NOW_US + 6

    async def test_uids_in_shards_really_live_apart(self, backend: Backend) -> None:
        # A test of the tests: with one shard only, nothing above would tell shards apart.
        slots = [slot_of_uid(uid) for uid in uids_in_shards(backend.shards)]
        assert [slot * backend.shards // 65_536 for slot in slots] == list(range(backend.shards))
