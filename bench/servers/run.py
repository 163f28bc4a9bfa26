"""A run on the servers, part by part."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from rich.progress import Progress

from bench.rounds import in_processes
from bench.sample import Reading, spread
from bench.servers.growth import measure_idle, measure_rows
from bench.servers.kinds import KINDS, Running, running
from bench.servers.place import CONTESTANTS, ORDERWAY, PROTOCOL, Place
from bench.servers.plan import Plan, Point
from bench.servers.rounds import SEARCHES, Places, Started, best_pool, measure_rounds
from bench.servers.targets import GO_IS_FASTER_BY, best, ratios, rows_verdicts, speed_verdicts
from bench.targets import Verdict

__all__ = ["PARTS", "run_servers"]

PARTS = ("servers", "rows", "idle")
FIGURES = ("orders_per_s", "p50_ms", "p99_ms", "cpu_us")


def run_servers(
    plan: Plan, parts: Sequence[str], kinds: Sequence[str], folder: Path | None, progress: Progress
) -> tuple[dict[str, Any], list[Verdict]]:
    """Measure these parts; returns what goes into the report, and the verdicts on the targets.

    Args:
        plan: how much, and how long.
        parts: of ``PARTS``.
        kinds: of databases.
        folder: where the servers keep their data; on the disk that is to be measured.
        progress: where the progress is shown.

    Raises:
        ServerUnavailable: a server did not start.
    """
    report: dict[str, Any] = {}
    verdicts: list[Verdict] = []
    with running(kinds, folder) as servers:
        report["kinds"] = {kind: asyncio.run(_version(kind, servers)) for kind in kinds}
        places = Places(servers)
        if "servers" in parts:
            report["servers"], found = _speed(plan, kinds, places, progress)
            verdicts += found
        if "rows" in parts:
            started = _steps(progress, "rows", len(kinds) * len(plan.sizes))
            rows = [measure_rows(kind, servers, plan.sizes, plan.repeats, started) for kind in kinds]
            report["rows"] = [row for each in rows for row in each]
            verdicts += rows_verdicts(report["rows"])
        if "idle" in parts:
            report["idle"] = _idle(plan, kinds, places, progress)
    return report, verdicts


def _speed(
    plan: Plan, kinds: Sequence[str], places: Places, progress: Progress
) -> tuple[dict[str, Any], list[Verdict]]:
    searched = [kind for kind in kinds if kind in CONTESTANTS[PROTOCOL].kinds]
    started = _steps(progress, "pools", len(searched) * len(plan.pools) * SEARCHES)
    pools = {kind: best_pool(kind, plan, places, started) for kind in searched}
    points = list(plan.points(kinds))
    started = _steps(progress, "speed", len(points) * plan.rounds)
    best_pools = {kind: next(iter(rates)) for kind, rates in pools.items()}
    readings = measure_rounds(plan, points, best_pools, places, started)
    report = {
        "plan": asdict(plan),
        "contestants": {name: contestant.about for name, contestant in CONTESTANTS.items()},
        "pools": [{"kind": kind, "best": best_pools[kind], "orders_per_s": rates} for kind, rates in pools.items()],
        "points": [_as_json(point, rounds) for point, rounds in readings.items()],
        "best": [each for kind in searched for each in _best(readings, kind)],
        "go_is_faster_by": GO_IS_FASTER_BY,
    }
    return report, speed_verdicts(readings)


def _as_json(point: Point, rounds: Sequence[Reading]) -> dict[str, Any]:
    return {**asdict(point), **{name: spread([getattr(reading, name) for reading in rounds]) for name in FIGURES}}


def _best(readings: Mapping[Point, Sequence[Reading]], kind: str) -> list[dict[str, Any]]:
    """Best against best: Orderway's processes beside the protocol's."""
    rows = []
    for ours, theirs in ((1, 1), (2, 1), (2, 2)):
        one, other = best(readings, kind, ORDERWAY, ours), best(readings, kind, PROTOCOL, theirs)
        if one is not None and other is not None:
            rows.append(
                {
                    "kind": kind,
                    "processes": ours,
                    "callers": one.callers,
                    "protocol_processes": theirs,
                    "protocol_callers": other.callers,
                    "ratio": spread(ratios(readings, one, other)),
                }
            )
    return rows


def _idle(plan: Plan, kinds: Sequence[str], places: Places, progress: Progress) -> list[dict[str, Any]]:
    started = _steps(progress, "idle", len(kinds) * len(plan.tables))
    rows = []
    for kind in kinds:
        for tables in plan.tables:
            started(f"idle: {kind}, {tables} tables")
            place = places.take(Point(kind, ORDERWAY, 1, tables=tables), pool=1)
            try:
                rows += in_processes(partial(_look, place, plan.looks))
            finally:
                places.give_back(place)
    return rows


def _look(place: Place, looks: int, ready: Callable[[], None]) -> dict[str, Any]:
    ready()
    return measure_idle(place, looks)


async def _version(kind: str, servers: Running) -> str:
    url = servers.databases[kind].new_database()
    try:
        plain = await KINDS[kind].connect(url)
        rows = await plain.fetch(KINDS[kind].version)
        await plain.close()
        return str(rows[0][0])
    finally:
        servers.databases[kind].drop(url)


def _steps(progress: Progress, words: str, total: int) -> Started:
    """Shows what is done next, and how much is left."""
    task = progress.add_task(words, total=total)

    def started(what: str) -> None:
        progress.update(task, description=what)
        progress.advance(task)

    return started
