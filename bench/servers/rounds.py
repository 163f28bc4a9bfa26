"""Running the points: fresh processes on a database of their own, started together.

Afterwards the database is audited.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from statistics import median

from bench.drive import closed_loop, run_on_loop, settle_garbage_collection
from bench.rounds import in_processes
from bench.sample import Reading, Sample, reading
from bench.servers.kinds import Running
from bench.servers.place import CONTESTANTS, PROTOCOL, Place
from bench.servers.plan import Plan, Point

__all__ = ["Places", "audit", "best_pool", "measure", "measure_rounds"]

FEW_TABLES = 2
"""A database with more is kept from round to round: making it takes longer than measuring it."""
WINDOWS_OF_MANY_TABLES = 3
"""Each connection must first get to know each table: so many times as long are they measured, and warmed up."""
SEARCHES = 2
POOL = 16
"""Of those who come without a pool of their own."""

Started = Callable[[str], None]
"""Told what is measured next."""


class Places:
    """Databases, each made ready for its contestant.

    Those that are kept end with their server: to drop a thousand tables takes long.
    """

    def __init__(self, running: Running) -> None:
        self._running = running
        self._kept: dict[tuple[str, str, int], Place] = {}

    def take(self, point: Point, pool: int) -> Place:
        """An empty database, or one that was kept."""
        contestant = CONTESTANTS[point.contestant]
        key = (point.kind, point.contestant, point.tables)
        if key in self._kept:
            return replace(self._kept[key], pool=pool)
        url = self._running.databases[point.kind].new_database()
        place = Place(point.kind, url, self._running.redis_url, point.tables, pool)
        if contestant.slow_to_prepare:  # in a process of its own, for it leaves threads behind in it
            in_processes(partial(_prepare, point.contestant, place))
        else:
            asyncio.run(contestant.working.prepare(place))
        if contestant.slow_to_prepare or point.tables > FEW_TABLES:
            self._kept[key] = place
        return place

    def give_back(self, place: Place) -> None:
        """It was used."""
        if all(kept.url != place.url for kept in self._kept.values()):
            self._running.databases[place.kind].drop(place.url)


def measure_rounds(
    plan: Plan, points: Sequence[Point], pools: Mapping[str, int], places: Places, started: Started
) -> dict[Point, list[Reading]]:
    """Measure each point in each round."""
    readings: dict[Point, list[Reading]] = {point: [] for point in points}
    for number in range(plan.rounds):
        for point in points:
            started(f"round {number + 1}: {point.contestant}, {point.kind}, {point.processes} x {point.callers}")
            readings[point].append(measure(point, plan, pools.get(point.kind, POOL), places))
    return readings


def best_pool(kind: str, plan: Plan, places: Places, started: Started) -> dict[int, float]:
    """The protocol's orders a second by the size of its pool; the best one first.

    Sizes are tried in turn, and again, so that a slow moment does not decide.
    """
    rates: dict[int, list[float]] = {size: [] for size in plan.pools}
    point = Point(kind, PROTOCOL, plan.pool_callers)
    for _ in range(SEARCHES):
        for size in plan.pools:
            started(f"{PROTOCOL}, {kind}: a pool of {size}")
            rates[size].append(measure(point, plan, size, places).orders_per_s)
    medians = {size: round(median(each), 1) for size, each in rates.items()}
    return dict(sorted(medians.items(), key=lambda item: -item[1]))


def measure(point: Point, plan: Plan, pool: int, places: Places) -> Reading:
    """Measure a point once.

    Raises:
        RuntimeError: a process failed, or the database does not hold what the processes say they did.
    """
    working = CONTESTANTS[point.contestant].working
    place = places.take(point, pool)
    try:
        before = asyncio.run(working.count_finished(place))
        windows = max(
            CONTESTANTS[point.contestant].windows, 1 if point.tables <= FEW_TABLES else WINDOWS_OF_MANY_TABLES
        )
        task = partial(_measure, point, place, plan.warm_up_s * windows, plan.window_s * windows)
        samples = in_processes(task, point.processes)
        found = asyncio.run(working.count_finished(place)) - before
    finally:
        places.give_back(place)
    audit(point, found, sum(sample.finished for sample in samples))
    return reading(samples)


def audit(point: Point, found: int, counted: int) -> None:
    """So many finished orders are found as were counted by the processes.

    Raises:
        RuntimeError: it is otherwise.
    """
    if found != counted:
        raise RuntimeError(f"{point}: {found} finished orders in the database, {counted} by the processes' own count")


def _prepare(contestant: str, place: Place, ready: Callable[[], None]) -> None:
    ready()
    asyncio.run(CONTESTANTS[contestant].working.prepare(place))


def _measure(point: Point, place: Place, warm_up_s: float, window_s: float, ready: Callable[[], None]) -> Sample:
    working = CONTESTANTS[point.contestant].working
    settle_garbage_collection()

    async def drive() -> Sample:
        async with working.opened(place) as carry:
            return await closed_loop(carry, point.callers, warm_up_s, window_s, ready)

    with suppress(asyncio.CancelledError):
        return run_on_loop(drive())
    raise RuntimeError(f"{point} was cancelled")
