"""The command line of the benchmark."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.commits import measure_commits
from bench.growth import measure_growth
from bench.hotspots import measure_hotspots
from bench.memory import measure_memory
from bench.observing import measure_observing, observed_points
from bench.pictures import write_pictures
from bench.plan import CROWD, FULL, QUICK, Plan, Point
from bench.report import as_json, machine, print_report
from bench.rounds import make_template, measure
from bench.sample import Reading
from bench.servers import plan as servers
from bench.servers.kinds import KINDS
from bench.servers.run import PARTS as SERVER_PARTS
from bench.servers.run import run_servers
from bench.servers.tables import markdown
from bench.tables import tables, write_tables
from bench.targets import verdicts
from orderway.testing.servers import ServerUnavailable

__all__ = ["main", "run"]

HERE = Path(__file__).parent
RESULTS = HERE / "results"
DOCS = HERE.parent / "docs"
EVIDENCE = DOCS / "evidence" / "bench-sqlite.json"
EVIDENCE_SERVERS = DOCS / "evidence" / "bench-servers.json"
PARTS = ("speed", "commits", "growth", "memory", "observe", "profile")
WHOLE = tuple(part for part in PARTS if part != "profile")
LEAST_ROUNDS = {WHOLE: 5, SERVER_PARTS: 3}
"""A run of these parts with so many rounds is evidence."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for, print it, and write it down. Exit code 0, whatever the figures are."""
    options = _options(arguments)
    errors = Console(stderr=True)
    RESULTS.mkdir(exist_ok=True)
    try:
        report, targets = _run_all(options, errors)
    except (ServerUnavailable, ImportError) as error:
        errors.print(f"{error}\n`make bench` installs what the contestants need.", highlight=False, markup=False)
        return 2
    written = _write(report, options)
    console = Console(width=None if sys.stdout.isatty() else 160)
    print_report(console, report, targets)
    console.print(f"written to {', '.join(os.path.relpath(path) for path in written)}", highlight=False)
    return 0


def _run_all(options: argparse.Namespace, errors: Console) -> tuple[dict[str, Any], list[Any]]:
    parts = _parts(options)
    plan, servers_plan = (QUICK, servers.QUICK) if options.quick else (FULL, servers.FULL)
    if options.rounds:
        plan, servers_plan = replace(plan, rounds=options.rounds), replace(servers_plan, rounds=options.rounds)
    if options.tables:
        servers_plan = replace(servers_plan, tables=options.tables)
    # On the same disk as the results, not in /tmp, which may be memory: there a commit costs nothing.
    with tempfile.TemporaryDirectory(dir=options.folder or RESULTS, prefix="run-") as folder:
        report, found = run(plan, parts, Path(folder), errors)
    if wanted := [part for part in parts if part in SERVER_PARTS]:
        with _progress(errors) as progress:
            more, also = run_servers(servers_plan, wanted, options.on, options.folder, progress)
        report |= more
        found += also
        report["targets"] = [verdict.as_json() for verdict in found]
        report["load_after"] = [round(load, 2) for load in os.getloadavg()]
    report["is_quick"] = options.quick
    return report, found


def _write(report: Mapping[str, Any], options: argparse.Namespace) -> list[Path]:
    """The report's file; as evidence also the pages and pictures made from it."""
    text = json.dumps(report, indent=1) + "\n"
    written = [RESULTS / "latest.json"]
    if options.evidence and set(WHOLE) <= set(_parts(options)):
        written.append(EVIDENCE)
        write_tables(DOCS / "evidence.md", tables(report))
    if options.evidence and set(SERVER_PARTS) <= set(_parts(options)):
        written.append(EVIDENCE_SERVERS)
        write_tables(DOCS / "performance.md", markdown(report))
        written += write_pictures(report, DOCS / "pictures")
    for path in written:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".json":
            path.write_text(text)
    return written


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
    with _progress(errors) as progress:
        if set(parts) & {"speed", "commits", "observe", "profile"}:
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
        if "observe" in parts:
            advance = _counter(progress, "observing", plan.rounds * len(list(observed_points())))
            report["observing"] = measure_observing(template, folder, plan, advance)
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


def _progress(errors: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=errors)


def _counter(progress: Progress, words: str, total: int) -> Callable[[int], None]:
    task = progress.add_task(words, total=total)

    def advance(count: int) -> None:
        progress.advance(task, count)

    return advance


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short windows, one round: does the benchmark work?")
    parser.add_argument("--rounds", type=int, metavar="N", help="measure every point so often")
    every = (*PARTS, *SERVER_PARTS)
    parser.add_argument("--only", action="append", choices=every, help="only this part; may be given more than once")
    parser.add_argument(
        "--on",
        type=_kinds,
        default=tuple(KINDS),
        metavar="KINDS",
        help=f"on these databases, with commas between them: {','.join(KINDS)}; only of {', '.join(SERVER_PARTS)}",
    )
    parser.add_argument(
        "--tables",
        type=_numbers,
        metavar="NUMBERS",
        help="spread Orderway's orders over so many tables, instead of 2,64,1000: to make 1,000 takes minutes",
    )
    parser.add_argument("--profile", action="store_true", help="also say where the time goes")
    parser.add_argument("--folder", type=Path, help="keep the databases here, to measure another disk")
    parser.add_argument(
        "--evidence",
        action="store_true",
        help="also write docs/evidence/*.json, and the tables and pictures of docs/*.md that come from them",
    )
    options = parser.parse_args(arguments)
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds: at least 1 is allowed")
    if options.evidence and not _is_evidence(options):
        parser.error(
            "--evidence: leave out --quick, --on and --tables, and measure all of "
            + " or all of ".join(
                f"{', '.join(parts)} in {least} rounds or more" for parts, least in LEAST_ROUNDS.items()
            )
        )
    return options


def _parts(options: argparse.Namespace) -> tuple[str, ...]:
    parts = tuple(options.only or (*WHOLE, *SERVER_PARTS))
    return (*parts, "profile") if options.profile and "profile" not in parts else parts


def _is_evidence(options: argparse.Namespace) -> bool:
    parts, rounds = set(_parts(options)), options.rounds or servers.FULL.rounds
    if options.quick or options.tables or set(options.on) != set(KINDS):
        return False
    whole = [least for each, least in LEAST_ROUNDS.items() if set(each) <= parts]
    return bool(whole) and rounds >= max(whole)


def _kinds(text: str) -> tuple[str, ...]:
    kinds = tuple(dict.fromkeys(text.split(",")))
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: of {', '.join(KINDS)} are allowed")
    return kinds


def _numbers(text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(sorted({int(number) for number in text.split(",")}))
    except ValueError:
        numbers = ()
    if not numbers or numbers[0] < 2:
        raise argparse.ArgumentTypeError(f"{text}: numbers from 2 are allowed, with commas between them")
    return numbers
