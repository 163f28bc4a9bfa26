"""Tests of the test: each rule of the engine, broken on purpose, is found by the simulation within a few seeds."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from orderway import odd, outside, paying, settling
from orderway.core.changes import CHANGES
from orderway.core.facts import Fact, RefundRequested, TakenBack
from orderway.core.order import Order
from orderway.core.payment import Leg, LegState
from orderway.journey import Journey
from orderway.membership import Membership
from orderway.memory import MemoryStore
from orderway.moves import Move, record
from orderway.odd import payment_facts
from orderway.paying import Paying
from orderway.payments import Payments
from orderway.ports.channel import ClosedThere, Outcome
from orderway.recorder import Recorder
from orderway.testing.simulation import simulate

MOST_SEEDS = 60
Patch = pytest.MonkeyPatch
pytestmark = pytest.mark.slow


def no_version_check(patch: Patch) -> None:
    patch.setattr(MemoryStore, "_check_current", lambda self, change: None)


def no_holder_check(patch: Patch) -> None:
    check = MemoryStore._check_current
    patch.setattr(MemoryStore, "_check_current", lambda self, change: check(self, replace(change, guard=None)))


def nobody_notices_the_dead(patch: Patch) -> None:
    begin = Membership.__init__

    def patient(self: Membership, *arguments: Any, **named: Any) -> None:
        begin(self, *arguments, **named)
        self.dead_after_s = 1e9

    patch.setattr(Membership, "__init__", patient)


def no_due_at(patch: Patch) -> None:
    change = Recorder.change

    def without(self: Recorder, *arguments: Any, **named: Any) -> Any:
        made = change(self, *arguments, **named)
        if named.get("due_in_us"):
            made.order.due_at_us = None
        return made

    patch.setattr(Recorder, "change", without)


def another_key_each_time(patch: Patch) -> None:
    numbers = itertools.count()
    patch.setattr(Order, "payment_key", lambda self, leg: f"{self.id}-{leg.number}-{next(numbers)}")


def another_refund_key_each_time(patch: Patch) -> None:
    numbers = itertools.count()
    patch.setattr(Order, "refund_key", lambda self, refund: f"{self.id}-r{next(numbers)}")


def refunds_are_not_reserved(patch: Patch) -> None:
    right = CHANGES[RefundRequested]

    def unreserved(order: Order[Any], fact: RefundRequested) -> None:
        right(order, fact)
        order.legs = tuple([replace(leg, refunding_minor=0) for leg in order.legs])

    patch.setitem(CHANGES, RefundRequested, unreserved)


def refunds_have_no_limit(patch: Patch) -> None:
    patch.setattr(Leg, "refundable_minor", property(lambda self: self.captured_minor))


def closing_without_asking(patch: Patch) -> None:
    async def end_unpaid(self: Paying, run: Any, end: Any) -> Move:
        return record(end)

    async def close(self: Payments, order: Order[Any], leg: Leg) -> Outcome:
        return ClosedThere()

    patch.setattr(Paying, "end_unpaid", end_unpaid)
    patch.setattr(Payments, "_close", close)


def holds_are_not_released(patch: Patch) -> None:
    close = Payments._close

    async def forgetful(self: Payments, order: Order[Any], leg: Leg) -> Outcome:
        is_hold = leg.state is LegState.CLOSING and leg.authorized_minor > 0
        return ClosedThere() if is_hold else await close(self, order, leg)

    patch.setattr(Payments, "_close", forgetful)


def dropped(patch: Patch, when: Callable[[Order[Any]], bool]) -> None:
    def dropping(order: Order[Any], *arguments: Any) -> Sequence[Fact]:
        return () if when(order) else payment_facts(order, *arguments)

    for module in (outside, paying, settling):
        patch.setattr(module, "payment_facts", dropping)


def late_payments_are_dropped(patch: Patch) -> None:
    dropped(patch, lambda order: order.is_final)


def second_payments_are_swallowed(patch: Patch) -> None:
    dropped(patch, lambda order: bool(order.pay_status))


def told_twice_counts_twice(patch: Patch) -> None:
    patch.setattr(odd, "_is_known", lambda *_: False)


def goods_are_not_taken_back(patch: Patch) -> None:
    async def take_back(self: Journey, run: Any) -> Move:
        return record(TakenBack())

    patch.setattr(Journey, "take_back", take_back)


BREAKAGES: dict[Callable[[Patch], None], str] = {
    no_version_check: "was written over version",
    no_holder_check: "who does not hold it",
    nobody_notices_the_dead: "is still .* after all rounds",
    no_due_at: "nobody will ever look at it",
    another_key_each_time: "no order knows of it",
    another_refund_key_each_time: "no order knows of it",
    refunds_are_not_reserved: "and no end",
    refunds_have_no_limit: "its amounts cannot be",
    closing_without_asking: "no order knows of it",
    holds_are_not_released: "no order knows of it",
    late_payments_are_dropped: "no order knows of it",
    second_payments_are_swallowed: "no order knows of it",
    told_twice_counts_twice: "which it never did|more than it was paid|cannot be",
    goods_are_not_taken_back: "its goods were handed over 1 times",
}


@pytest.mark.parametrize("broken", BREAKAGES, ids=lambda broken: broken.__name__)
def test_the_simulation_finds(broken: Callable[[Patch], None], monkeypatch: Patch) -> None:
    broken(monkeypatch)
    with pytest.raises(AssertionError, match=BREAKAGES[broken]):
        all_come_right()


def all_come_right() -> None:
    for seed in range(MOST_SEEDS):
        simulate(seed).check()
