"""The pictures of ``docs/performance.md``, made from a report: ``python -m bench.pictures [REPORT]``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.svg import Chart, Line, draw

__all__ = ["charts", "write_pictures"]

HERE = Path(__file__).parent
NAMES = {"sqlite": "SQLite", "mariadb": "MariaDB", "postgresql": "PostgreSQL"}
COLOURS = {"sqlite": "c", "mariadb": "b", "postgresql": "a"}
OTHERS = {"protocol": "the protocol", "dbos": "DBOS", "procrastinate": "procrastinate"}
OTHER_COLOURS = {"dbos": "d", "procrastinate": "f"}


def write_pictures(report: Mapping[str, Any], folder: Path) -> list[Path]:
    """Draw whatever this report has the figures for; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, chart in charts(report):
        path = folder / f"{name}.svg"
        path.write_text(draw(chart))
        written.append(path)
    return written


def charts(report: Mapping[str, Any]) -> Iterator[tuple[str, Chart]]:
    """The charts by the names of their files."""
    source = f"{report['machine']['cores']} cores, shared with the databases; {report['made_at'][:10]}"
    if report["is_quick"]:
        source += "; a quick run: shows that it works, and no speed"
    if servers := report.get("servers"):
        lines = list(_by_callers(servers["points"]))
        yield "callers", Chart("Complete orders a second, one process each", source, "callers", lines)
        lines = list(_by_tables(servers["points"]))
        yield "tables", Chart("Orderway's orders a second by the number of tables", source, "tables", lines)
    if rows := report.get("rows"):
        lines = [*_by_rows(rows, "claim_us", "claim of 64"), *_by_rows(rows, "list_us", "a user's list", is_faint=True)]
        yield (
            "rows",
            Chart("Queries, microseconds, with up to a hundred times more orders", source, "stored orders", lines),
        )
    if idle := report.get("idle"):
        lines = [
            Line(NAMES[kind], [(row["tables"], row["look_ms"]) for row in idle if row["kind"] == kind], COLOURS[kind])
            for kind in _kinds(idle)
        ]
        yield "idle", Chart("An idle sweeper looks twice a second: milliseconds a look", source, "tables", lines)


def _by_callers(points: Sequence[Mapping[str, Any]]) -> Iterator[Line]:
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for point in points:
        if point["processes"] == 1 and point["tables"] == 1:
            line = found.setdefault((point["contestant"], point["kind"]), [])
            line.append((point["callers"], point["orders_per_s"]["median"]))
    for (contestant, kind), line in found.items():
        name = OTHERS.get(contestant, "Orderway")
        colour = OTHER_COLOURS.get(contestant, COLOURS[kind])
        yield Line(f"{name}, {NAMES[kind]}", line, colour, is_faint=contestant in OTHERS)


def _by_tables(points: Sequence[Mapping[str, Any]]) -> Iterator[Line]:
    callers = next(point["callers"] for point in points if point["tables"] > 1)
    ours = [
        point
        for point in points
        if (point["contestant"], point["processes"], point["callers"]) == ("orderway", 1, callers)
    ]
    for kind in _kinds(ours):
        line = [(point["tables"], point["orders_per_s"]["median"]) for point in ours if point["kind"] == kind]
        yield Line(NAMES[kind], line, COLOURS[kind])


def _by_rows(rows: Sequence[Mapping[str, Any]], figure: str, words: str, *, is_faint: bool = False) -> Iterator[Line]:
    for kind in _kinds(rows):
        line = [(row["stored"], row[figure]) for row in rows if row["kind"] == kind]
        yield Line(f"{NAMES[kind]}, {words}", line, COLOURS[kind], is_faint)


def _kinds(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(row["kind"] for row in rows))


if __name__ == "__main__":
    report = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "results" / "latest.json"
    for each in write_pictures(json.loads(report.read_text()), HERE.parent / "docs" / "pictures"):
        print(each)
