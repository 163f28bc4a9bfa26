"""The Hypothesis machine: in memory, on SQLite, and over two databases of a server.

With ORDERWAY_LONG=1 twenty times as many steps, on servers ten times as many.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Verbosity, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from orderway.testing.machine import DatabaseGrounds, Grounds, JourneyMachine, MemoryGrounds, SqliteGrounds, rule_names
from orderway.testing.servers import Databases

SEED = int(os.environ.get("ORDERWAY_SEED", "20261122"))
TIMES = 20 if os.environ.get("ORDERWAY_LONG") else 1
STEPS_AN_EXAMPLE = 100
MANY_STEPS = 10_000
"""With so many each rule must be reached."""
MOST_FURTHER = 4
"""So many quarters more are run for rules that were not."""

RUNS: dict[str, tuple[Callable[[], Grounds], int]] = {
    "memory, first half": (MemoryGrounds, 25_000),
    "memory, second half": (MemoryGrounds, 25_000),
    "sqlite": (lambda: SqliteGrounds(shards=3), 1_000),
}


SERVERS = ("postgresql", "mariadb")
STEPS_ON_A_SERVER = 500


@pytest.mark.slow
@pytest.mark.parametrize("grounds", RUNS)
def test_orders_come_to_their_end_whatever_happens(
    grounds: str, summarize: Callable[[str, str], None], caplog: pytest.LogCaptureFixture
) -> None:
    open_grounds, steps = RUNS[grounds]
    caplog.set_level(logging.CRITICAL, logger="orderway")  # the machine makes trouble on purpose
    counts = make_steps(open_grounds, steps, TIMES, SEED + list(RUNS).index(grounds) * TIMES)
    for more in range(MOST_FURTHER):  # some rules are rare: they wait for what others have brought about
        if steps < MANY_STEPS or set(rule_names()) == set(counts):
            break
        run_until(machine_on(open_grounds, counts), counts, counts.total() + steps // 4, SEED + 100 + more)
    report(grounds, counts, summarize)
    never = set(rule_names()) - set(counts)
    assert not never or steps < MANY_STEPS, f"rules that were never reached: {never}"
    assert counts.total() >= steps * TIMES


@pytest.mark.slow
@pytest.mark.parametrize("name", SERVERS)
def test_and_also_over_two_databases_of_a_server(
    name: str,
    request: pytest.FixtureRequest,
    summarize: Callable[[str, str], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    server: Databases = request.getfixturevalue(f"{name}_server")
    caplog.set_level(logging.CRITICAL, logger="orderway")
    times = 10 if TIMES > 1 else 1
    counts = make_steps(lambda: TwoDatabases(server), STEPS_ON_A_SERVER, times, SEED + 1000)
    report(f"{name}, 3 shards, 2 databases", counts, summarize)
    assert counts.total() >= STEPS_ON_A_SERVER * times


class TwoDatabases(DatabaseGrounds):
    """Fresh databases for each example, dropped after it."""

    def __init__(self, server: Databases) -> None:
        self._server = server
        self._made = [server.new_database(), server.new_database()]
        super().__init__(self._made, shards=3)

    def close(self) -> None:
        super().close()
        for url in self._made:
            self._server.drop(url)


def make_steps(open_grounds: Callable[[], Grounds], steps: int, times: int, first: int) -> Counter[str]:
    """Run so many steps, so many times; returns how often each rule was executed."""
    counts: Counter[str] = Counter()
    machine = machine_on(open_grounds, counts)
    for nth in range(times):  # one after the other: Hypothesis remembers all examples of a run
        run_until(machine, counts, steps * (nth + 1), first + nth)
    return counts


def machine_on(open_grounds: Callable[[], Grounds], counts: Counter[str]) -> type[JourneyMachine]:
    """A machine that counts its rules here."""
    return type("Machine", (JourneyMachine,), {"open_grounds": staticmethod(open_grounds), "counts": counts})


def report(grounds: str, counts: Counter[str], summarize: Callable[[str, str], None]) -> None:
    """Have the executions printed at the end of the test run."""
    lines = "\n".join(f"{count:>8}  {name}" for name, count in sorted(counts.items()))
    summarize(f"machine on {grounds}, seed {SEED}: {counts.total()} steps", lines)


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
