"""What was measured on the servers, as tables: for the terminal and for ``docs/performance.md``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Grid", "grids", "markdown"]

Point = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Grid:
    """A table. Its first ``texts`` columns are words, the others are figures."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    texts: int = 1


def grids(report: Mapping[str, Any]) -> Iterator[Grid]:
    """All tables that this report has something for."""
    if servers := report.get("servers"):
        yield from _speed(servers["points"])
        if servers["best"]:
            yield _best(servers["best"], servers["go_is_faster_by"])
            yield _pools(servers["pools"])
        yield _by_tables(servers["points"])
    if rows := report.get("rows"):
        yield Grid(
            "Growth with stored orders: medians, us",
            ("database", "stored orders", "nothing due", "claim of 64", "list of a user"),
            [
                (row["kind"], *(f"{row[name]:,.0f}" for name in ("stored", "look_us", "claim_us", "list_us")))
                for row in rows
            ],
        )
    if idle := report.get("idle"):
        yield Grid(
            "A look of an idle sweeper, which looks twice a second",
            ("database", "tables", "ms", "CPU of this process, ms"),
            [(row["kind"], f"{row['tables']:,}", f"{row['look_ms']:.2f}", f"{row['cpu_ms']:.2f}") for row in idle],
        )


def markdown(report: Mapping[str, Any]) -> str:
    """The tables as Markdown."""
    parts = []
    for grid in grids(report):
        alignment = ["---"] * grid.texts + ["---:"] * (len(grid.headings) - grid.texts)
        lines = [_line(grid.headings), f"|{'|'.join(alignment)}|", *map(_line, grid.rows)]
        parts.append(f"{grid.title}:\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _speed(points: Sequence[Point]) -> Iterator[Grid]:
    """A row for each contestant, a column for each number of callers."""
    lines: dict[tuple[str, str, int], dict[int, Point]] = {}
    for point in points:
        if point["tables"] == 1:
            line = lines.setdefault((point["kind"], point["contestant"], point["processes"]), {})
            line[point["callers"]] = point
    callers = sorted({point["callers"] for point in points})
    headings = ("database", "contestant", "processes", *(_callers(each) for each in callers))
    for title, cell in (
        ("Orders a second: medians of the rounds (least-greatest), by the callers of each process", _rate),
        ("Latency and cost: p50 / p99 ms, client CPU us an order", _cost),
    ):
        rows = [
            (*key[:2], str(key[2]), *(cell(line[each]) if each in line else "" for each in callers))
            for key, line in lines.items()
        ]
        yield Grid(title, headings, rows, texts=2)


def _callers(number: int) -> str:
    return "1 caller" if number == 1 else f"{number:,}"


def _rate(point: Point) -> str:
    return _range(point["orders_per_s"], 0)


def _cost(point: Point) -> str:
    p50, p99, cpu = (point[figure]["median"] for figure in ("p50_ms", "p99_ms", "cpu_us"))
    return f"{_short(p50)} / {_short(p99)}, {_short(cpu)}"


def _short(number: float) -> str:
    return f"{number:,.1f}" if number < 20 else f"{number:,.0f}"


def _best(rows: Sequence[Mapping[str, Any]], go: Sequence[float]) -> Grid:
    return Grid(
        "Best against best, and what that is beside the original in Go,"
        f" which is {go[0]:.2f} to {go[1]:.2f} times as fast as its protocol in Python",
        ("database", "Orderway", "the protocol", "times the protocol", "times the original in Go"),
        [
            (
                row["kind"],
                _where(row["processes"], row["callers"]),
                _where(row["protocol_processes"], row["protocol_callers"]),
                _range(row["ratio"], 1),
                f"{row['ratio']['median'] / go[1]:.1f}-{row['ratio']['median'] / go[0]:.1f}",
            )
            for row in rows
        ],
        texts=3,
    )


def _where(processes: int, callers: int) -> str:
    return f"{'one process' if processes == 1 else f'{processes} processes'}, {callers:,} callers"


def _pools(rows: Sequence[Mapping[str, Any]]) -> Grid:
    sizes = sorted(int(size) for size in rows[0]["orders_per_s"])
    rates = [{int(size): rate for size, rate in row["orders_per_s"].items()} for row in rows]
    return Grid(
        "The protocol's orders a second by the size of its pool; it is measured with the best one",
        ("database", *(f"{size}" for size in sizes), "best"),
        [
            (row["kind"], *(f"{rate[size]:,.0f}" for size in sizes), str(row["best"]))
            for row, rate in zip(rows, rates, strict=True)
        ],
    )


def _by_tables(points: Sequence[Point]) -> Grid:
    """Orderway at the number of callers that it is measured at with more tables."""
    callers = next(point["callers"] for point in points if point["tables"] > 1)
    ours = [
        point
        for point in points
        if (point["contestant"], point["processes"], point["callers"]) == ("orderway", 1, callers)
    ]
    tables = sorted({point["tables"] for point in ours})
    rates = {(point["kind"], point["tables"]): _rate(point) for point in ours}
    return Grid(
        f"Orderway's orders a second by the number of tables, {callers} callers",
        ("database", *(f"{'1 table' if each == 1 else f'{each:,}'}" for each in tables)),
        [
            (kind, *(rates.get((kind, each), "") for each in tables))
            for kind in dict.fromkeys(point["kind"] for point in ours)
        ],
    )


def _range(figure: Mapping[str, float], digits: int) -> str:
    median, least, most = (f"{figure[key]:,.{digits}f}" for key in ("median", "min", "max"))
    return f"{median} ({least}-{most})"
