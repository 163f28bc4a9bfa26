"""The targets, and whether this run reached them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from bench.contestants import HEADLINE
from bench.plan import BASELINE, CROWD, RAW_COMMITS, Point
from bench.sample import Reading

__all__ = ["Verdict", "ratios", "verdicts"]

COMMITS_AN_ORDER = 2
FLAT = 1.5
"""A query is flat if the largest file takes at most so many times as long as the smallest one."""
MOST_MB = 150


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target and its value; reached if the value is on the right side of the limit."""

    target: str
    value: float
    limit: float
    at_most: bool
    unit: str = ""

    @property
    def reached(self) -> bool:
        """True if the value is on the right side."""
        return self.value <= self.limit if self.at_most else self.value >= self.limit

    def as_json(self) -> dict[str, Any]:
        """For the report's file."""
        return {**asdict(self), "value": round(self.value, 4), "reached": self.reached}


def ratios(readings: Mapping[Point, Sequence[Reading]], point: Point) -> list[float]:
    """How many times the baseline's orders a second, round by round: what slows a round down slows both."""
    pairs = zip(readings[point], readings[Point(BASELINE)], strict=True)
    return [reading.orders_per_s / baseline.orders_per_s for reading, baseline in pairs]


def verdicts(
    readings: Mapping[Point, Sequence[Reading]],
    growth: Sequence[Mapping[str, Any]],
    memory: Sequence[Mapping[str, Any]],
) -> list[Verdict]:
    """All targets that this run has measured."""
    found = []
    if readings:
        found += _speed(readings)
    for name, words in (("due_read_us", "due query"), ("claim_us", "claim"), ("list_us", "list by user")):
        if growth:
            least, most = growth[0], growth[-1]
            text = f"{words}: {most['stored']:,} stored orders beside {least['stored']:,}"
            found.append(Verdict(text, most[name] / least[name], FLAT, at_most=True, unit="x"))
    for each in memory:
        found.append(Verdict(f"memory with {each['due']:,} due orders", each["peak_mb"], MOST_MB, True, " MB"))
    return found


def _speed(readings: Mapping[Point, Sequence[Reading]]) -> list[Verdict]:
    commits = [COMMITS_AN_ORDER * share for share in ratios_to_raw(readings)]
    one, two = Point(HEADLINE, CROWD, 1), Point(HEADLINE, CROWD, 2)
    cpu_us = median(reading.cpu_us for reading in readings[one])
    return [
        Verdict("baseline's commits beside raw commits", median(commits), 0.7, at_most=False, unit="x"),
        Verdict(f"{CROWD} callers, one process (aim 8)", median(ratios(readings, one)), 4, at_most=False, unit="x"),
        Verdict(f"{CROWD} callers each, two processes", median(ratios(readings, two)), 6, at_most=False, unit="x"),
        Verdict("one caller", median(ratios(readings, Point(HEADLINE))), 0.9, at_most=False, unit="x"),
        Verdict(f"CPU an order, {CROWD} callers (aim 40)", cpu_us, 60, at_most=True, unit=" us"),
    ]


def ratios_to_raw(readings: Mapping[Point, Sequence[Reading]]) -> list[float]:
    """The baseline's orders for each raw commit, round by round."""
    pairs = zip(readings[Point(BASELINE)], readings[Point(RAW_COMMITS)], strict=True)
    return [baseline.orders_per_s / raw.orders_per_s for baseline, raw in pairs]
