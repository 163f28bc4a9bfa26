"""What is measured, and for how long."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.contestants import CONTESTANTS, HEADLINE

__all__ = ["BASELINE", "FULL", "QUICK", "RAW_COMMITS", "Plan", "Point"]

BASELINE = "baseline"
RAW_COMMITS = "raw commits"
PROCESSES = (1, 2)
CROWD = 256
"""The number of callers at which every contestant also runs in two processes."""


@dataclass(frozen=True, slots=True)
class Point:
    """One thing that is measured in every round.

    Args:
        contestant: whose speed; ``BASELINE`` and ``RAW_COMMITS`` stand for the plain driver.
        callers: how many callers each process has, every one with one order in hand at a time.
        processes: how many processes work on the one file.
    """

    contestant: str
    callers: int = 1
    processes: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole run.

    Args:
        rounds: how often each point is measured; the rounds are interleaved.
        warm_up_s: how long a point runs before its window opens.
        window_s: how long it is measured.
        callers: numbers of callers.
        sizes: numbers of stored orders at which queries are timed.
        due: numbers of due orders at which a sweeping process's memory is measured.
        sweep_s: how long it sweeps.
        repeats: how often a query is timed.
    """

    rounds: int
    warm_up_s: float
    window_s: float
    callers: tuple[int, ...]
    sizes: tuple[int, ...]
    due: tuple[int, ...]
    sweep_s: float
    repeats: int

    def points(self) -> Iterator[Point]:
        """The points of a round. Baseline and headline stand side by side: the ratio between them is what counts."""
        yield Point(RAW_COMMITS)
        yield Point(BASELINE)
        for contestant in CONTESTANTS:
            for processes in PROCESSES:
                for callers in self.callers:
                    if processes == 1 or callers == CROWD or contestant == HEADLINE:
                        yield Point(contestant, callers, processes)


FULL = Plan(
    rounds=5,
    warm_up_s=0.4,
    window_s=1.5,
    callers=(1, 16, 64, 256, 1024),
    sizes=(10_000, 100_000, 1_000_000),
    due=(10_000, 1_000_000),
    sweep_s=10,
    repeats=400,
)
QUICK = Plan(
    rounds=1,
    warm_up_s=0.1,
    window_s=0.3,
    callers=(1, 256),
    sizes=(2_000, 20_000),
    due=(2_000, 20_000),
    sweep_s=1,
    repeats=50,
)
"""Says whether the benchmark works, and little about speed."""
