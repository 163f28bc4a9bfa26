"""Every scenario holds with a crash, a failure and a freeze at every point: in memory wholly, on SQLite in a sample."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orderway.testing.crash import Fault
from orderway.testing.explorer import Scenario, explore
from orderway.testing.money_scenarios import MONEY_SCENARIOS
from orderway.testing.report import Report
from orderway.testing.scenarios import SCENARIOS
from orderway.testing.world import OnSqlite

LONG = bool(os.environ.get("ORDERWAY_LONG"))
MOST_POINTS = 30

each_scenario = pytest.mark.parametrize("scenario", SCENARIOS, ids=[scenario.name for scenario in SCENARIOS])
pytestmark = pytest.mark.slow


@each_scenario
async def test_in_memory(scenario: Scenario, explored: Callable[[Report], None]) -> None:
    """The straight ways at every point; the many ways of odd money at a sample, and at every point in the long run."""
    sampled = scenario in MONEY_SCENARIOS and not LONG
    report = await explore(
        scenario,
        most_points=MOST_POINTS if sampled else None,
        second_faults=20_000 if LONG else 12 if sampled else 40,
    )
    explored(report)
    assert report.crashes > (30 if sampled else 100)
    assert all(report.struck[fault] for fault in Fault)


@each_scenario
async def test_on_sqlite(scenario: Scenario, explored: Callable[[Report], None], tmp_path: Path) -> None:
    numbers = itertools.count()
    sampled = scenario in MONEY_SCENARIOS
    report = await explore(
        scenario,
        database=lambda: OnSqlite(tmp_path / f"{next(numbers)}.db"),
        most_points=None if LONG else 1 if sampled else 2,
        second_faults=500 if LONG else 2,
    )
    report.scenario += " (SQLite)"
    explored(report)
    assert report.crashes
