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

from orderway import app
from orderway.core.order import Order
from orderway.journey import Journey, record
from orderway.memory import MemoryStore
from orderway.recorder import Recorder
from orderway.testing.machine import JourneyMachine

MOST_EXAMPLES = 60
Patch = pytest.MonkeyPatch


def a_fresh_key_per_attempt(patch: Patch) -> None:
    numbers = itertools.count()
    patch.setattr(Order, "payment_key", lambda self, leg: f"{self.id}-{next(numbers)}")


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


def unexpected_money_is_dropped(patch: Patch) -> None:
    facts_of = app.payment_facts
    patch.setattr(app, "payment_facts", lambda order, *rest: () if order.is_final else facts_of(order, *rest))


def an_unpaid_end_without_closing_the_payment(patch: Patch) -> None:
    async def end_unpaid(self: Journey, run: Any, end: Any) -> Any:
        return record(end)

    patch.setattr(Journey, "end_unpaid", end_unpaid)


BREAKAGES = (
    a_fresh_key_per_attempt,
    no_version_check,
    no_holder_check,
    no_due_at,
    unexpected_money_is_dropped,
    an_unpaid_end_without_closing_the_payment,
)


@pytest.mark.parametrize("broken", BREAKAGES, ids=lambda broken: broken.__name__)
def test_the_machine_catches(
    broken: Callable[[Patch], None], monkeypatch: Patch, caplog: pytest.LogCaptureFixture
) -> None:
    broken(monkeypatch)
    caplog.set_level(logging.CRITICAL, logger="orderway")
    machine = type("Broken", (JourneyMachine,), {"counts": Counter()})
    chosen = settings(
        max_examples=MOST_EXAMPLES,
        stateful_step_count=100,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # that it fails is enough, it need not be made small
        suppress_health_check=list(HealthCheck),
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(seed(1)(machine), settings=chosen)
