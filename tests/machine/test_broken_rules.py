"""Tests of the test: each rule of the engine, broken on purpose, is caught by the machine."""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from orderway import operations, outside
from orderway.channels.wallet import WalletChannel
from orderway.core.facts import UnexpectedPayment
from orderway.core.order import Order, Stage
from orderway.core.payment import Leg
from orderway.memory import MemoryStore
from orderway.moves import record
from orderway.paying import Paying
from orderway.ports.channel import Charge, ClosedThere, HeldThere, Outcome
from orderway.recorder import Recorder
from orderway.testing.machine import JourneyMachine

MOST_EXAMPLES = 100
Patch = pytest.MonkeyPatch


def a_fresh_payment_key_per_attempt(patch: Patch) -> None:
    numbers = itertools.count()
    patch.setattr(Order, "payment_key", lambda self, leg: f"{self.id}-{leg.number}-{next(numbers)}")


def a_fresh_refund_key_per_attempt(patch: Patch) -> None:
    numbers = itertools.count()
    patch.setattr(Order, "refund_key", lambda self, refund: f"{self.id}-r{next(numbers)}")


def no_version_check(patch: Patch) -> None:
    patch.setattr(MemoryStore, "_check_current", lambda self, change: None)


def no_holder_check(patch: Patch) -> None:
    check = MemoryStore._check_current
    patch.setattr(MemoryStore, "_check_current", lambda self, change: check(self, replace(change, guard=None)))


def no_due_at(patch: Patch) -> None:
    change = Recorder.change

    def without(self: Recorder, *args: Any, **named: Any) -> Any:
        made = change(self, *args, **named)
        if named.get("due_in_us"):
            made.order.due_at_us = None
        return made

    patch.setattr(Recorder, "change", without)


def refunds_without_limit(patch: Patch) -> None:
    """What is reserved or gone already is not subtracted, neither by who decides nor by who writes."""
    patch.setattr(Leg, "refundable_minor", property(lambda self: self.captured_minor))


def holds_that_are_never_released(patch: Patch) -> None:
    close = WalletChannel.close

    async def keep(self: WalletChannel, charge: Charge) -> Outcome:
        return ClosedThere() if isinstance(await self.query(charge), HeldThere) else await close(self, charge)

    patch.setattr(WalletChannel, "close", keep)


def unexpected_money_is_dropped(*stages: Stage) -> Callable[[Patch], None]:
    """In these stages, what came without being asked for is answered ok, and forgotten."""

    def broken(patch: Patch) -> None:
        facts_of = outside.payment_facts

        def forget(order: Order[Any], *rest: Any) -> Any:
            facts = facts_of(order, *rest)
            dropped = order.stage in stages and any(isinstance(fact, UnexpectedPayment) for fact in facts)
            return () if dropped else facts

        patch.setattr(outside, "payment_facts", forget)

    return broken


def a_refund_request_that_counts_again(patch: Patch) -> None:
    """The caller's own key is forgotten: whoever asks again gets more."""
    facts_of = operations.refund_facts

    def forget(order: Order[Any], *rest: Any) -> Any:
        forgetful = replace(order, refunds=tuple(replace(refund, key="") for refund in order.refunds))
        return facts_of(forgetful, *rest)

    patch.setattr("orderway.actions.refund_facts", forget)


def an_unpaid_end_without_closing_the_payment(patch: Patch) -> None:
    async def end_unpaid(self: Paying, run: Any, end: Any) -> Any:
        return record(end)

    patch.setattr(Paying, "end_unpaid", end_unpaid)
    # What is dropped then goes unclosed, too.
    patch.setattr("orderway.core.changes._drop_open", lambda order: None)


BREAKAGES: dict[str, Callable[[Patch], None]] = {
    "a fresh payment key per attempt": a_fresh_payment_key_per_attempt,
    "a fresh refund key per attempt": a_fresh_refund_key_per_attempt,
    "no version check": no_version_check,
    "no holder check": no_holder_check,
    "no due_at": no_due_at,
    "refunds without limit": refunds_without_limit,
    "a refund request that counts again": a_refund_request_that_counts_again,
    "holds that are never released": holds_that_are_never_released,
    "a second payment is swallowed": unexpected_money_is_dropped(Stage.PAID, Stage.DELIVERED, Stage.FINISHED),
    "a late payment is dropped": unexpected_money_is_dropped(Stage.CLOSED, Stage.CANCELLED, Stage.REJECTED),
    "an unpaid end without closing the payment": an_unpaid_end_without_closing_the_payment,
}


@pytest.mark.parametrize("broken", BREAKAGES)
def test_the_machine_catches(broken: str, monkeypatch: Patch, caplog: pytest.LogCaptureFixture) -> None:
    BREAKAGES[broken](monkeypatch)
    caplog.set_level(logging.CRITICAL, logger="orderway")
    machine = type("Broken", (JourneyMachine,), {"counts": Counter()})
    chosen = settings(
        max_examples=MOST_EXAMPLES,
        stateful_step_count=100,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # that it fails is enough, it need not be made small
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    with pytest.raises(Exception):  # noqa: B017 - an assertion, or the engine's own refusal of what is broken
        run_state_machine_as_test(seed(1)(machine), settings=chosen)
