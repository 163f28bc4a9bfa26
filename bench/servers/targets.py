"""The targets beside others, and whether this run reached them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from bench.sample import Reading
from bench.servers.place import DBOS, ORDERWAY, PROTOCOL
from bench.servers.plan import Point
from bench.targets import FLAT, Verdict

__all__ = ["GO_IS_FASTER_BY", "best", "ratios", "rows_verdicts", "speed_verdicts"]

Readings = Mapping[Point, Sequence[Reading]]

GO_IS_FASTER_BY = (1.15, 1.33)
"""The original itself, in Go, beside its protocol in Python: measured in one interleaved run on MariaDB and Redis."""
CROWD = 64
"""At so many callers latency and CPU are compared."""


def best(readings: Readings, kind: str, contestant: str, processes: int = 1) -> Point | None:
    """Where this contestant did the most orders a second, with one table where it has a choice."""
    points = [
        point
        for point in readings
        if (point.kind, point.contestant, point.processes, point.tables) == (kind, contestant, processes, 1)
    ]
    return max(points, key=lambda point: median(each.orders_per_s for each in readings[point]), default=None)


def ratios(readings: Readings, one: Point, other: Point, figure: str = "orders_per_s") -> list[float]:
    """How many times the other's figure, round by round: what slows a round down slows both."""
    pairs = zip(readings[one], readings[other], strict=True)
    return [getattr(ours, figure) / getattr(theirs, figure) for ours, theirs in pairs]


def speed_verdicts(readings: Readings) -> list[Verdict]:
    """All targets of speed that this run has measured."""
    kinds = dict.fromkeys(point.kind for point in readings)
    return [verdict for kind in kinds for verdict in _of_kind(readings, kind)]


def _of_kind(readings: Readings, kind: str) -> Iterator[Verdict]:
    protocol, one, two = (
        best(readings, kind, PROTOCOL),
        best(readings, kind, ORDERWAY),
        best(readings, kind, ORDERWAY, processes=2),
    )
    if protocol is None or one is None or two is None:
        return

    def versus(words: str, ours: Point, theirs: Point, limit: float, figure: str = "orders_per_s") -> Verdict:
        value = median(ratios(readings, ours, theirs, figure))
        return Verdict(f"{kind}: {words}", value, limit, at_most=figure != "orders_per_s", unit="x")

    yield versus("best against the protocol's best, one process (aim 8)", one, protocol, 4)
    yield versus("two processes against the protocol's best (aim 12)", two, protocol, 6)
    ours, theirs = Point(kind, ORDERWAY, CROWD), Point(kind, PROTOCOL, CROWD)
    yield versus("one caller against the protocol's", Point(kind, ORDERWAY, 1), Point(kind, PROTOCOL, 1), 1)
    yield versus(f"p99 at {CROWD} callers beside the protocol's", ours, theirs, 0.5, "p99_ms")
    yield versus(f"CPU an order at {CROWD} callers beside the protocol's", ours, theirs, round(1 / 3, 3), "cpu_us")
    if dbos := best(readings, kind, DBOS):
        yield versus("best against DBOS' best (aim 300)", one, dbos, 100)


def rows_verdicts(rows: Sequence[Mapping[str, Any]]) -> list[Verdict]:
    """Whether queries stay as fast when there are more orders."""
    found = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        least, *_, most = (row for row in rows if row["kind"] == kind)
        for name, words in (("look_us", "nothing due"), ("claim_us", "claim of 64"), ("list_us", "list by user")):
            text = f"{kind}: {words}: {most['stored']:,} stored orders beside {least['stored']:,}"
            found.append(Verdict(text, most[name] / least[name], FLAT, at_most=True, unit="x"))
    return found
