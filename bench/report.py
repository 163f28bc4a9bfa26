"""The report: JSON for machines, tables for people."""

from __future__ import annotations

import os
import platform
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.commits import WHY
from bench.contestants import CONTESTANTS
from bench.drive import GC_THRESHOLD, loop_name
from bench.plan import BASELINE, CROWD, RAW_COMMITS, Plan, Point
from bench.sample import Reading, spread
from bench.servers.tables import Grid, grids
from bench.targets import Verdict, ratios

__all__ = ["as_json", "machine", "print_report"]

PACKAGES = (
    *("orderway", "sqlalchemy", "anyio", "uvloop"),
    *("asyncmy", "asyncpg", "redis", "hiredis", "dbos", "procrastinate"),
)
FIGURES = ("orders_per_s", "p50_ms", "p99_ms", "cpu_us")


def machine() -> dict[str, Any]:
    """What it runs on, and how busy that is right now."""
    return {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "packages": {name: _version(name) for name in PACKAGES},
        "event_loop": loop_name(),
        "gc_threshold": list(GC_THRESHOLD),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "load_1_5_15_min": [round(load, 2) for load in os.getloadavg()],
    }


def as_json(readings: Mapping[Point, Sequence[Reading]], plan: Plan) -> dict[str, Any]:
    """The speeds: for each point and figure the median, the extremes and the rounds."""
    return {
        "plan": asdict(plan),
        "contestants": {name: contestant.about for name, contestant in CONTESTANTS.items()},
        "points": [
            {
                **asdict(point),
                **{name: spread([getattr(reading, name) for reading in rounds]) for name in FIGURES},
                "times_baseline": None if point.contestant == RAW_COMMITS else spread(ratios(readings, point)),
            }
            for point, rounds in readings.items()
        ],
    }


def print_report(console: Console, report: Mapping[str, Any], verdicts: Sequence[Verdict]) -> None:
    """Print what was measured, part by part."""
    _print_machine(console, report)
    if "speed" in report:
        _print_speed(console, report["speed"]["points"])
    if "commits" in report:
        _print_commits(console, report["commits"])
    if "growth" in report:
        _print_rows(console, "Growth: medians in microseconds", report["growth"])
    if "memory" in report:
        _print_rows(console, "Memory of a sweeping process (MB, resident)", report["memory"])
    if "observing" in report:
        _print_observing(console, report["observing"])
    if "hotspots" in report:
        _print_hotspots(console, report["hotspots"])
    for grid in grids(report):
        _print_grid(console, grid)
    for verdict in verdicts:
        words, colour = ("reached", "green") if verdict.reached else ("not reached", "red")
        sign = "<=" if verdict.at_most else ">="
        console.print(
            f"[{colour}]{words:>11}[/]: {verdict.target}: {verdict.value:.2f}{verdict.unit}"
            f" (target {sign} {verdict.limit:g}{verdict.unit})",
            highlight=False,
        )


def _print_observing(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    console.print("\nObserved: medians of the rounds (least-greatest); each beside the unobserved one of its round")
    table = Table("contestant", "observed by")
    for heading in ("orders/s", "x unobserved", "CPU us", "CPU us more"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        figures = (row["orders_per_s"], row["times_unobserved"], row["cpu_us"], row["cpu_more_us"])
        table.add_row(
            row["contestant"],
            row["observed_by"],
            *(f"{each['median']:.2f} ({each['min']:.2f}-{each['max']:.2f})" for each in figures),
        )
    console.print(table)


def _print_machine(console: Console, report: Mapping[str, Any]) -> None:
    machine = report["machine"]
    packages = ", ".join(f"{name} {version or 'not installed'}" for name, version in machine["packages"].items())
    databases = ", ".join(report.get("kinds", {}).values()) or f"SQLite {machine['sqlite']}"
    console.print(
        f"Python {machine['python']}, {packages}\n"
        f"{databases}; each commit durable (SQLite: WAL, synchronous=FULL)\n"
        f"event loop {machine['event_loop']}, {machine['cores']} cores, {machine['system']}\n"
        f"load before {machine['load_1_5_15_min']}, after {report['load_after']}",
        highlight=False,
    )
    if machine["load_1_5_15_min"][0] > 1:
        console.print("[yellow]the machine was busy when this began: trust the ratios, not the figures[/]")


def _print_speed(console: Console, points: Sequence[Mapping[str, Any]]) -> None:
    console.print("\nComplete orders: medians of the rounds (least-greatest); CPU of all threads, an order")
    table = Table()
    table.add_column("contestant", no_wrap=True)
    for heading in ("processes", "callers each", "orders/s", "x baseline", "p50 ms", "p99 ms", "CPU us"):
        table.add_column(heading, justify="right", no_wrap=True)
    previous = None
    for point in points:
        name = point["contestant"]
        if previous not in {None, name}:
            table.add_section()
        table.add_row(
            "" if name == previous else name,
            *(str(point["processes"]), str(point["callers"])),
            _range(point["orders_per_s"], 0),
            "" if name in {RAW_COMMITS, BASELINE} else _range(point["times_baseline"], 2),
            *(f"{point[figure]['median']:,.2f}" for figure in ("p50_ms", "p99_ms")),
            f"{point['cpu_us']['median']:,.1f}",
        )
        previous = name
    console.print(table)
    for name, contestant in CONTESTANTS.items():
        console.print(f"  {name}: {contestant.about}", highlight=False)


def _print_commits(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    console.print(f"\nCommits: of an order carried alone, and of one among {CROWD} callers, who share them")
    table = Table()
    table.add_column("contestant", no_wrap=True)
    for heading in ("commits alone", f"operations at {CROWD}", f"commits at {CROWD}"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        crowd = (f"{row['operations_in_crowd']:.2f}", f"{row['commits_in_crowd']:.3f}")
        table.add_row(row["contestant"], f"{row['commits']:.2f}", *crowd)
    console.print(table)
    steps = Table()
    for heading in ("a commit", "why it is one"):
        steps.add_column(heading)
    for step in dict.fromkeys(step for row in rows for step in row["steps"]):
        steps.add_row(step, WHY.get(step, ""))
    console.print(steps)


def _print_rows(console: Console, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    console.print(f"\n{title}")
    table = Table()
    for heading in rows[0]:
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*(f"{value:,}" for value in row.values()))
    console.print(table)


def _print_grid(console: Console, grid: Grid) -> None:
    console.print(f"\n{grid.title}")
    table = Table()
    for number, heading in enumerate(grid.headings):
        table.add_column(heading, justify="left" if number < grid.texts else "right")
    for row in grid.rows:
        table.add_row(*row)
    console.print(table)


def _print_hotspots(console: Console, hotspots: Mapping[str, Any]) -> None:
    title = f"CPU an order by thread, us, at {hotspots['callers']} callers"
    _print_rows(console, title, [hotspots["threads"]])
    for name, title in (("parts", "The loop's thread, by part"), ("functions", "Its costliest functions")):
        console.print(f"\n{title}")
        table = Table()
        table.add_column(name)
        table.add_column("share", justify="right")
        for label, share in hotspots[name].items():
            table.add_row(label, f"{share:.1%}")
        console.print(table)


def _range(figure: Mapping[str, float], digits: int) -> str:
    median, least, most = (f"{figure[key]:,.{digits}f}" for key in ("median", "min", "max"))
    return f"{median} ({least}-{most})"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
