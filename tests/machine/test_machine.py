"""The Hypothesis machine, on memory and on SQLite. Twenty times as many steps with ORDERWAY_LONG=1."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Verbosity, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from orderway.testing.machine import Grounds, JourneyMachine, MemoryGrounds, SqliteGrounds, rule_names

SEED = int(os.environ.get("ORDERWAY_SEED", "20261122"))
TIMES = 20 if os.environ.get("ORDERWAY_LONG") else 1
STEPS_AN_EXAMPLE = 100
MANY_STEPS = 10_000
"""With so many each rule must be reached."""

RUNS: dict[str, tuple[Callable[[], Grounds], int]] = {
    "memory, first half": (MemoryGrounds, 25_000),
    "memory, second half": (MemoryGrounds, 25_000),
    "sqlite": (lambda: SqliteGrounds(shards=3), 1_000),
}


@pytest.mark.slow
@pytest.mark.parametrize("grounds", RUNS)
def test_orders_come_to_their_end_whatever_happens(
    grounds: str, summarize: Callable[[str, str], None], caplog: pytest.LogCaptureFixture
) -> None:
    open_grounds, steps = RUNS[grounds]
    counts: Counter[str] = Counter()
    machine = type("Machine", (JourneyMachine,), {"open_grounds": staticmethod(open_grounds), "counts": counts})
    caplog.set_level(logging.CRITICAL, logger="orderway")  # the machine makes trouble on purpose
    first = SEED + list(RUNS).index(grounds) * TIMES
    for nth in range(TIMES):  # one after the other: Hypothesis remembers all examples of a run
        run_until(machine, counts, steps * (nth + 1), first + nth)
    lines = "\n".join(f"{count:>8}  {name}" for name, count in sorted(counts.items()))
    summarize(f"machine on {grounds}, seed {SEED}: {counts.total()} steps", lines)
    never = set(rule_names()) - set(counts)
    assert not never or steps < MANY_STEPS, f"rules that were never reached: {never}"
    assert counts.total() >= steps * TIMES


def run_until(machine: type[JourneyMachine], counts: Counter[str], steps: int, number: int) -> None:
    """Run examples until so many steps were made; some end before their last step, so this may take a second turn."""
    for turn in range(4):
        left = steps - counts.total()
        if left <= 0:
            return
        chosen = settings(
            max_examples=left * 10 // 9 // STEPS_AN_EXAMPLE + 1,
            stateful_step_count=STEPS_AN_EXAMPLE,
            deadline=None,
            database=None,
            verbosity=Verbosity.normal,
            suppress_health_check=list(HealthCheck),
        )
        run_state_machine_as_test(seed(number * 4 + turn)(machine), settings=chosen)
