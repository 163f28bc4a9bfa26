"""Seed after seed: whatever goes wrong, everything comes right. A seed that fails is printed, and repeats exactly."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from orderway import operations, outside, settling
from orderway.core.changes import PROBLEMS
from orderway.core.facts import Fact, RefundRequested
from orderway.core.order import Order
from orderway.memory import MemoryStore, store
from orderway.odd import payment_facts
from orderway.ports.store import Change
from orderway.testing.simulation import simulate

SEEDS = 20_000 if os.environ.get("ORDERWAY_LONG") else 200
PARTS = 8
FAULTS = (
    *("crash", "freeze", "lost holder", "failed call", "lost answer"),
    *("slow hook", "lost message", "doubled message", "wrong clock"),
)
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("part", range(PARTS))
def test_everything_comes_right(part: int, simulated: Callable[[int, Counter[str], Counter[str]], None]) -> None:
    reached: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    seeds = range(part, SEEDS, PARTS)
    for seed in seeds:
        result = simulate(seed)
        result.check()
        reached += result.reached
        ends += result.ends
    simulated(len(seeds), reached, ends)
    assert all(reached[fault] for fault in FAULTS), reached
    assert all(ends[stage] for stage in ("finished", "closed", "cancelled", "rejected", "refunded", "stuck")), ends


def test_a_seed_repeats_exactly() -> None:
    first, again, other = simulate(1, trace=True), simulate(1, trace=True), simulate(2)
    assert first.trace == again.trace
    assert first == again
    assert other.digest != first.digest


def found_within(seeds: int, words: str) -> bool:
    return any(words in problem for seed in range(seeds) for problem in simulate(seed).problems)


def test_no_holder_check_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = MemoryStore.record

    async def unguarded(self: MemoryStore, change: Change) -> None:
        await right(self, replace(change, guard=None))

    monkeypatch.setattr(MemoryStore, "record", unguarded)
    assert found_within(60, "who does not hold it")


def test_refunds_without_limit_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(PROBLEMS, RefundRequested)
    monkeypatch.setattr(store, "misfit_in_order", lambda order: None)
    monkeypatch.setattr(operations, "allocate", lambda order, minor, by: [(order.legs[-1], minor, minor)])
    assert found_within(60, "gives back more than it was paid")


def test_a_dropped_payment_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def dropping(order: Order[Any], *arguments: Any) -> Sequence[Fact]:
        return () if order.is_final else payment_facts(order, *arguments)

    monkeypatch.setattr(outside, "payment_facts", dropping)
    monkeypatch.setattr(settling, "payment_facts", dropping)
    assert found_within(60, "and no order knows of it")
