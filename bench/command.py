"""The command line of the benchmark."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.commits import measure_commits
from bench.growth import measure_growth
from bench.hotspots import measure_hotspots
from bench.memory import measure_memory
from bench.plan import CROWD, FULL, QUICK, Plan, Point
from bench.report import as_json, machine, print_report
from bench.rounds import make_template, measure
from bench.sample import Reading
from bench.tables import write_tables
from bench.targets import verdicts

__all__ = ["main", "run"]

HERE = Path(__file__).parent
RESULTS = HERE / "results"
DOCS = HERE.parent / "docs"
EVIDENCE = DOCS / "evidence" / "bench-sqlite.json"
PARTS = ("speed", "commits", "growth", "memory", "profile")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for, print it, and write it down. Exit code 0, whatever the figures are."""
    options = _options(arguments)
    plan = QUICK if options.quick else FULL
    if options.rounds:
        plan = replace(plan, rounds=options.rounds)
    parts = tuple(options.only or [part for part in PARTS if part != "profile"])
    parts += ("profile",) if options.profile and "profile" not in parts else ()
    errors = Console(stderr=True)
    RESULTS.mkdir(exist_ok=True)
    # On the same disk as the results, not in /tmp, which may be memory: there a commit costs nothing.
    with tempfile.TemporaryDirectory(dir=options.folder or RESULTS, prefix="run-") as folder:
        report, targets = run(plan, parts, Path(folder), errors)
    report["is_quick"] = options.quick
    text = json.dumps(report, indent=1) + "\n"
    written = [RESULTS / "latest.json"] + ([EVIDENCE] if options.evidence else [])
    for path in written:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    if options.evidence:
        write_tables(report, DOCS / "evidence.md")
    console = Console(width=None if sys.stdout.isatty() else 140)
    print_report(console, report, targets)
    console.print(f"written to {', '.join(os.path.relpath(path) for path in written)}", highlight=False)
    return 0


def run(plan: Plan, parts: Sequence[str], folder: Path, errors: Console) -> tuple[dict[str, Any], list[Any]]:
    """Measure these parts; returns the report, and the verdicts on the targets.

    Args:
        plan: how much, and how long.
        parts: of ``PARTS``.
        folder: for the databases; on the disk that is to be measured.
        errors: where the progress is shown.
    """
    report: dict[str, Any] = {"made_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "machine": machine()}
    readings: dict[Point, list[Reading]] = {}
    template = folder / "template.db"
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors) as progress:
        make_template(template)
        if "speed" in parts:
            readings = _measure_speed(plan, template, folder, progress)
            report["speed"] = as_json(readings, plan)
        if "commits" in parts:
            advance = _counter(progress, "commits of an order", 1)
            report["commits"] = measure_commits(template, folder)
            advance(1)
        if "growth" in parts:
            advance = _counter(progress, "growth: storing orders", plan.sizes[-1])
            report["growth"] = measure_growth(folder, plan.sizes, plan.repeats, advance)
        if "memory" in parts:
            advance = _counter(progress, "memory: storing due orders", sum(plan.due))
            report["memory"] = [measure_memory(folder, due, plan.sweep_s, advance) for due in plan.due]
        if "profile" in parts:
            advance = _counter(progress, "profile", 1)
            report["hotspots"] = measure_hotspots(template, folder, CROWD, plan.window_s * 2)
            advance(1)
    found = verdicts(readings, report.get("growth", ()), report.get("memory", ()))
    report["targets"] = [verdict.as_json() for verdict in found]
    report["load_after"] = [round(load, 2) for load in os.getloadavg()]
    return report, found


def _measure_speed(plan: Plan, template: Path, folder: Path, progress: Progress) -> dict[Point, list[Reading]]:
    points = list(plan.points())
    readings: dict[Point, list[Reading]] = {point: [] for point in points}
    task = progress.add_task("speed", total=len(points) * plan.rounds)
    for number in range(plan.rounds):
        for point in points:
            words = f"round {number + 1}: {point.contestant}, {point.processes} x {point.callers}"
            progress.update(task, description=words)
            readings[point].append(measure(point, plan, template, folder))
            progress.advance(task)
    return readings


def _counter(progress: Progress, words: str, total: int) -> Callable[[int], None]:
    task = progress.add_task(words, total=total)

    def advance(count: int) -> None:
        progress.advance(task, count)

    return advance


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short windows, two rounds: does the benchmark work?")
    parser.add_argument("--rounds", type=int, metavar="N", help="measure every point so often")
    parser.add_argument("--only", action="append", choices=PARTS, help="only this part; may be given more than once")
    parser.add_argument("--profile", action="store_true", help="also say where the time goes")
    parser.add_argument("--folder", type=Path, help="keep the databases here, to measure another disk")
    parser.add_argument(
        "--evidence",
        action="store_true",
        help=f"also write {EVIDENCE.relative_to(HERE.parent)} and the tables of docs/evidence.md",
    )
    options = parser.parse_args(arguments)
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds: at least 1 is allowed")
    if options.evidence and (options.quick or options.only or (options.rounds or 5) < 5):
        parser.error("--evidence: only a whole run of at least 5 rounds is evidence; leave out --quick and --only")
    return options
