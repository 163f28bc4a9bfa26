"""What every store must do: keep mixed payments and refunds as they are, and never let more go back than came."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from orderway.core import facts as f
from orderway.core.journal import check_chain, differences, replay
from orderway.core.order import Order, Stage
from orderway.core.payment import Leg, LegState, Refund, RefundState
from orderway.errors import IllegalTransition, InvalidValue, StaleOrder
from orderway.ports.store import Change, Query, Store
from orderway.testing.conformance import situations
from orderway.testing.conformance.backend import PROCESSES, Backend, require
from orderway.testing.conformance.builders import (
    HOUR_US,
    NOW_US,
    finish,
    make_change,
    make_order,
    paid,
    refund,
    uids_in_shards,
)
from orderway.testing.conformance.racing import ProcessRaces, Racers

__all__ = ["RefundConformance", "refund_until_refused"]

ME = 11
ROUNDS = 25
PROCESS_ROUNDS = 10
LATER_US = NOW_US + HOUR_US
PLAN = (
    Leg(0, "points", 300, "POINTS", worth_minor=30, holds=True),
    Leg(1, "wallet", 470, "USD", worth_minor=470, holds=True, at_most=True),
    Leg(2, "wechat", 470, "USD", worth_minor=470, at_most=True),
)


def returning(number: int, **amounts: int) -> f.RefundRequested:
    values: dict[str, Any] = {"refund": number, **amounts}
    return f.RefundRequested(**values, key="all 🧾", why="revoked", deadline_at_us=LATER_US)


LIFE: Sequence[tuple[f.Fact, ...]] = (
    (f.Held(leg=0, amount_minor=300, worth_minor=30, reference="H-0"),),
    (f.Held(leg=1, amount_minor=100, worth_minor=100, reference="H-1 🧾"),),
    (f.PaymentPending(leg=2, reference="W-2", details='{"link":"x"}'), f.PaymentUnknown(leg=2)),
    (f.PlanChanged(legs=(Leg(3, "alipay", 370, "USD", worth_minor=370, at_most=True),)), f.PaymentClosed(leg=2)),
    (f.PartPaid(leg=3, amount_minor=370, reference="A-3"),),
    (f.PartPaid(leg=0, amount_minor=300, reference="P-0"),),
    (f.Paid(leg=1, amount_minor=100, reference="P-1", deadline_at_us=LATER_US), f.Delivered(), f.Finished()),
    (f.UnexpectedPayment(channel="wechat", amount_minor=7, currency="EUR", reference="W-2"),),
    (f.UnexpectedAccepted(leg=4),),
    (f.DisputeOpened(leg=3, amount_minor=20, reference="D-1"),),
    (f.DisputeLost(leg=3, amount_minor=20, reference="D-1"),),
    (f.Amended(data='{"x":2}', before="{}"), f.Revoked(why="regret", deadline_at_us=LATER_US), f.TakenBack()),
    (returning(1, leg=0, amount_minor=300, worth_minor=30), returning(2, leg=1, amount_minor=100, worth_minor=100)),
    (f.RefundPending(refund=1, reference="B-1"), f.RefundUnknown(refund=2), f.RefundRefused(refund=1, error="no")),
    (returning(3, leg=3, amount_minor=350, worth_minor=370), f.RefundStuck(refund=3, error="no answer 🧾")),
    (f.RefundResumed(refund=3, deadline_at_us=LATER_US + 1), f.Refunded(refund=3, reference="B-3")),
    (returning(4, leg=0, amount_minor=300, worth_minor=30), f.Refunded(refund=4, reference="B-4")),
    (f.Refunded(refund=2, reference="B-2"), f.Ended()),
)
IMPOSSIBLE: dict[str, dict[str, int]] = {
    "more refunding than is left": {"refunding_minor": 401, "refunded_minor": 100},
    "more refunded than captured": {"refunded_minor": 501},
    "refunding below 0": {"refunding_minor": -1},
    "refunded below 0": {"refunded_minor": -1},
    "captured more than authorized": {"captured_minor": 501},
    "worth below 0": {"worth_minor": -1},
    "disputed below 0": {"disputed_minor": -1},
    "asked below 0": {"amount_minor": -1},
    "an overflow on the way": {"refunding_minor": 2**63 - 1, "refunded_minor": 2**63 - 1},
}


async def paid_order(store: Store, **options: Any) -> Order[Any]:
    """A stored order that is paid."""
    order = await store.create(*make_order(**options))
    change = make_change(order, paid(order))
    await store.record(change)
    return change.order


async def refund_until_refused(store: Store, order_id: str, amount_minor: int) -> int:
    """Ask for refunds of this amount until the core finds nothing left; how many went through."""
    done = 0
    while True:
        order = await store.get(order_id)
        try:
            await store.record(make_change(order, refund(order, amount_minor)))
        except StaleOrder:
            continue
        except IllegalTransition:
            return done
        done += 1


def spoilt(change: Change, amounts: dict[str, int]) -> Change:
    """The change past the core: its first leg has amounts that no fact leads to."""
    leg, *others = change.order.legs
    return replace(change, order=replace(change.order, legs=(replace(leg, **cast(Any, amounts)), *others)))


@pytest.mark.asyncio
class RefundConformance(ProcessRaces):
    """Orders with several legs and with refunds, through ``create``, ``record``, ``get`` and ``list``."""

    async def test_mixed_order_is_kept_through_its_whole_life(self, backend: Backend) -> None:
        one, other = await backend.connect(), await backend.connect()
        order = await one.store.create(*make_order(legs=PLAN))
        assert await other.store.get(order.id) == order
        for facts in LIFE:
            change = make_change(order, *facts)
            await one.store.record(change)
            order = change.order
            entries = await other.store.entries(order.id)
            assert await other.store.get(order.id) == order
            assert list((await other.store.list(Query())).orders) == [order]
            assert check_chain(entries) == []
            assert differences(order, replay(entries)) == []
        assert (order.stage, order.is_wound_up) == (Stage.REFUNDED, True)
        assert {each.state for each in order.refunds} == {RefundState.RETURNED, RefundState.REFUSED}

    @pytest.mark.parametrize("holds", [False, True])
    async def test_legs_in_every_state_come_back_equal(self, backend: Backend, holds: bool) -> None:
        one, other = await backend.connect(), await backend.connect()
        amounts: dict[str, Any] = {
            "authorized_minor": 90,
            "captured_minor": 80,
            "refunding_minor": 30,
            "refunded_minor": 20,
        }
        legs = tuple(
            Leg(number, "wallet", 100, "USD", state, 3, f"R-{number} 🧾", **amounts, worth_minor=70, disputed_minor=60)
            for number, state in enumerate(LegState)
        )
        legs = tuple(replace(leg, holds=holds, at_most=not holds) for leg in legs)
        order, entry = make_order(legs=legs)
        await one.store.create(order, entry)
        read = await other.store.get(order.id)
        assert read == order
        assert [(type(leg.holds), type(leg.at_most), type(leg.state)) for leg in read.legs] == [
            (bool, bool, LegState)
        ] * len(LegState)
        moved = tuple(replace(leg, state=legs[leg.number - 1].state, amount_minor=99, disputed_minor=1) for leg in legs)
        change = make_change(order, f.Cancelled(why="w"))
        change = replace(change, order=replace(change.order, legs=moved))
        await one.store.record(change)
        assert await other.store.get(order.id) == change.order

    async def test_refunds_in_every_state_come_back_equal(self, backend: Backend) -> None:
        one, other = await backend.connect(), await backend.connect()
        refunds = tuple(
            Refund(number, number % 2, 2**63 - number, number, f"k'\"{{}}[] 🧾 {number}\n", "é", LATER_US, state, "R\\")
            for number, state in enumerate(RefundState, 1)
        )
        order = await paid_order(one.store)
        change = make_change(order, f.Delivered())
        change = replace(change, order=replace(change.order, refunds=refunds))
        await one.store.record(change)
        read = await other.store.get(order.id)
        assert read == change.order
        assert {type(each.state) for each in read.refunds} == {RefundState}
        await one.store.close()
        assert await (await backend.connect()).store.get(order.id) == change.order

    async def test_every_fact_in_every_stage_is_kept(self, backend: Backend) -> None:
        one, other = await backend.connect(), await backend.connect()
        uids = uids_in_shards(backend.shards)
        orders, changes = [], []
        for number, (stage, kind) in enumerate(situations.allowed()):
            order, entry = make_order(uids[number % len(uids)], amount_minor=situations.PRICE, legs=situations.UNPAID)
            orders.append((situations.in_situation(order, stage, kind), entry))
            changes.append(make_change(orders[-1][0], situations.FACTS[kind]))
        await asyncio.gather(*(one.store.create(*each) for each in orders))
        assert [await other.store.get(order.id) for order, _ in orders] == [order for order, _ in orders]
        await asyncio.gather(*map(one.store.record, changes))
        for change in changes:
            assert await other.store.get(change.order.id) == change.order, change.entries[0].fact
        for needs_person in (True, False):
            listed = (await other.store.list(Query(needs_person=needs_person, limit=1000))).orders
            expected = [change.order for change in changes if change.order.needs_person is needs_person]
            assert list(listed) == sorted(expected, key=lambda order: order.id)

    async def test_refunds_text_that_is_not_unicode_is_refused(self, backend: Backend) -> None:
        store = (await backend.connect()).store
        order = await paid_order(store)
        change = make_change(order, refund(order, 5))
        change.order.refunds = (replace(change.order.refunds[0], key="\ud800"),)
        with pytest.raises(InvalidValue):
            await store.record(change)
        assert await store.get(order.id) == order

    @pytest.mark.parametrize("case", IMPOSSIBLE)
    async def test_leg_that_cannot_be_is_refused_alone(self, backend: Backend, case: str) -> None:
        store = (await backend.connect()).store
        orders = [await paid_order(store, uid=f"u{number}") for number in range(5)]
        changes = [make_change(order, refund(order, 5)) for order in orders]
        changes[2] = spoilt(changes[2], IMPOSSIBLE[case])
        results = await asyncio.gather(*map(store.record, changes), return_exceptions=True)
        error = results.pop(2)
        assert results == [None] * 4
        assert type(error) is InvalidValue
        assert error.order_id == orders[2].id
        assert "its leg 0" in str(error)
        assert "0 <= refunded + refunding <= captured <= authorized must hold" in str(error)
        expected = [change.order for change in changes]
        expected[2] = orders[2]
        assert [await store.get(order.id) for order in orders] == expected
        assert len(await store.entries(orders[2].id)) == 2

    async def test_order_with_a_leg_that_cannot_be_is_not_created(self, backend: Backend) -> None:
        store = (await backend.connect()).store
        made = [make_order(f"u{number}") for number in range(3)]
        made[1][0].legs = (replace(made[1][0].legs[0], captured_minor=1),)
        results = await asyncio.gather(*(store.create(*each) for each in made), return_exceptions=True)
        assert [type(result).__name__ for result in results] == ["Order", "InvalidValue", "Order"]
        assert "1 captured" in str(results[1])
        assert len((await store.list(Query())).orders) == 2

    async def test_finished_order_is_due_while_money_of_it_is_on_its_way(self, backend: Backend) -> None:
        store = (await backend.connect()).store
        order = await paid_order(store)
        await store.record(finish(order))
        order = await store.get(order.id)
        assert (await store.hold(order.id, ME, NOW_US + 5)).holder is None
        asked = make_change(order, refund(order, 5))
        await store.record(asked)
        assert (asked.order.stage, asked.order.due_at_us) == (Stage.FINISHED, NOW_US)
        held = await store.hold(order.id, ME, NOW_US + 5)
        assert held == replace(asked.order, holder=ME, due_at_us=NOW_US + 5)
        assert (await store.overview(NOW_US + 5))["due_by_type"] == {1: 1}
        assert await store.postpone(order.id, held.version, ME, NOW_US + 9, 1, "no answer") is True
        assert await store.hint(order.id, NOW_US + 7) is True
        (claimed,) = await store.claim([1], ME, NOW_US + 7, NOW_US + 20, 10)
        back = make_change(claimed, f.Refunded(refund=1, reference="B-1"), guard=ME)
        await store.record(back)
        assert (back.order.is_final, back.order.due_at_us) == (True, None)
        assert await store.hold(order.id, ME, NOW_US + 5) == back.order
        assert list(await store.claim([1], ME, LATER_US, LATER_US, 10)) == []

    async def test_two_connections_refund_on_one_version(self, backend: Backend) -> None:
        one, other = await backend.connect(), await backend.connect()
        for _ in range(ROUNDS):
            order = await paid_order(one.store)
            changes = [make_change(order, refund(order, 400)) for _ in range(2)]
            results = await asyncio.gather(
                one.store.record(changes[0]), other.store.record(changes[1]), return_exceptions=True
            )
            assert sorted(type(result).__name__ for result in results) == ["NoneType", StaleOrder.__name__]
            stored = await other.store.get(order.id)
            assert stored == changes[results.index(None)].order
            assert (stored.legs[0].refunding_minor, stored.legs[0].refundable_minor) == (400, 100)
            with pytest.raises(IllegalTransition, match="leg 0 has 100 left"):
                make_change(stored, refund(stored, 400))

    async def test_racing_refunds_never_exceed_what_was_captured(self, backend: Backend) -> None:
        stores = [(await backend.connect()).store for _ in range(2)]
        order = await paid_order(stores[0])
        racers = [refund_until_refused(stores[number % 2], order.id, 30) for number in range(8)]
        done = await asyncio.gather(*racers)
        stored = await stores[1].get(order.id)
        assert sum(done) == len(stored.refunds) == 500 // 30
        assert (stored.legs[0].refunding_minor, stored.legs[0].refundable_minor) == (480, 20)
        assert [each.number for each in stored.refunds] == list(range(1, 17))
        assert differences(stored, replay(await stores[0].entries(order.id))) == []

    async def test_two_processes_refund_on_one_version(self, backend: Backend, racers: Racers) -> None:
        require(backend, PROCESSES)
        store = (await backend.connect()).store
        for _ in range(PROCESS_ROUNDS):
            order = await paid_order(store)
            answers = await racers.race(backend, "request_refund", order_id=order.id, amount_minor=400)
            stored = await store.get(order.id)
            assert answers.count({"digest": stored.digest}) == 1
            assert answers.count({"error": StaleOrder.code}) == 1
            assert (stored.legs[0].refunding_minor, len(stored.refunds)) == (400, 1)

    async def test_two_processes_refund_until_nothing_is_left(self, backend: Backend, racers: Racers) -> None:
        require(backend, PROCESSES)
        store = (await backend.connect()).store
        for _ in range(PROCESS_ROUNDS):
            order = await paid_order(store)
            answers = await racers.race(backend, "refund_all", order_id=order.id, amount_minor=30)
            stored = await store.get(order.id)
            assert sum(answer["refunds"] for answer in answers) == len(stored.refunds) == 500 // 30
            assert (stored.legs[0].refunding_minor, stored.legs[0].refundable_minor) == (480, 20)
