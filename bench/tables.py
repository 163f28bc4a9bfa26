"""The tables of ``docs/evidence.md`` that a run of the benchmark fills: ``python -m bench.tables [REPORT]``.

Without a run they would be copied by hand, and wrong after the next one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.commits import WHY
from bench.plan import CROWD

__all__ = ["tables", "write_tables"]

BEGIN, END = "<!-- begin: python -m bench.tables -->", "<!-- end -->"
PAID = ("nothing to pay", "prepaid", "prepaid, execute", "mixed, all internal", "mixed", "pay later")
"""The contestants that are shown, from the cheapest on."""
NOT_MEASURED = "not measured yet"
ROOT = Path(__file__).parents[1]


def write_tables(page: Path, text: str) -> None:
    """Put these tables in their place on the page.

    Raises:
        ValueError: the page has no such place.
    """
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{page} has no {BEGIN} followed by {END}: put the two lines where the tables shall be")
    page.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")


def tables(report: Mapping[str, Any]) -> str:
    """Speed and commits of an order by the way it is paid; then each commit, and why it is one."""
    commits = {row["contestant"]: row for row in report.get("commits", ())}
    speed = {
        (point["contestant"], point["callers"]): point
        for point in report.get("speed", {}).get("points", ())
        if point["processes"] == 1
    }
    names = [name for name in PAID if name in commits]
    steps = dict.fromkeys(step for name in names for step in commits[name]["steps"])
    return "\n".join(
        [
            f"| an order | commits, alone | operations | commits at {CROWD} callers | alone, x baseline |"
            f" {CROWD} callers, x baseline |",
            "|---|---:|---:|---:|---:|---:|",
            *(_row(name, commits[name], speed) for name in names),
            "",
            "| a commit | why it is one | in |",
            "|---|---|---|",
            *(f"| {step} | {WHY[step]} | {'; '.join(_with(step, names, commits))} |" for step in steps),
            "",
        ]
    )


def _row(name: str, row: Mapping[str, Any], speed: Mapping[tuple[str, int], Mapping[str, Any]]) -> str:
    ratios = [_ratio(speed.get((name, callers))) for callers in (1, CROWD)]
    counts = f"{row['commits']:g} | {row['operations_in_crowd']:g} | {row['commits_in_crowd']:.3f}"
    return f"| {name} | {counts} | {' | '.join(ratios)} |"


def _ratio(point: Mapping[str, Any] | None) -> str:
    return NOT_MEASURED if point is None else f"{point['times_baseline']['median']:.2f}x"


def _with(step: str, names: Sequence[str], commits: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    return (name for name in names if step in commits[name]["steps"])


if __name__ == "__main__":
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "results" / "latest.json"
    write_tables(ROOT / "docs" / "evidence.md", tables(json.loads(path.read_text())))
