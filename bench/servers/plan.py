"""What is measured on the servers, and for how long."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.servers.place import CONTESTANTS, ORDERWAY

__all__ = ["FULL", "QUICK", "Plan", "Point"]


@dataclass(frozen=True, slots=True)
class Point:
    """One thing that is measured in every round.

    Args:
        kind: of database.
        contestant: of ``CONTESTANTS``.
        callers: how many callers each process has, every one with one order in hand at a time.
        processes: how many processes work on the one database.
        tables: into how many tables Orderway spreads its orders.
    """

    kind: str
    contestant: str
    callers: int
    processes: int = 1
    tables: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole run.

    Args:
        rounds: how often each point is measured; the rounds are interleaved.
        warm_up_s: how long a point runs before its window opens.
        window_s: how long it is measured.
        callers: numbers of callers.
        crowds: the numbers of callers each that are measured in two processes, too.
        tables: numbers of tables, at ``crowds[0]`` callers.
        pools: numbers of connections, of which the best is looked for.
        pool_callers: so many callers while it is looked for.
        sizes: numbers of stored orders at which queries are timed; each a multiple of the one before, up to ten times.
        repeats: how often a query is timed.
        looks: how often an idle sweeper's look is timed.
    """

    rounds: int
    warm_up_s: float
    window_s: float
    callers: tuple[int, ...]
    crowds: tuple[int, ...]
    tables: tuple[int, ...]
    pools: tuple[int, ...]
    pool_callers: int
    sizes: tuple[int, ...]
    repeats: int
    looks: int

    def points(self, kinds: Sequence[str]) -> Iterator[Point]:
        """The points of a round. What is compared stands side by side: a slow moment of the machine slows both."""
        for kind in kinds:
            there = [name for name, contestant in CONTESTANTS.items() if kind in contestant.kinds]
            for callers in self.callers:
                for name in there:
                    if callers <= CONTESTANTS[name].most_callers:
                        yield Point(kind, name, callers)
            for callers in self.crowds:
                for name in there:
                    if CONTESTANTS[name].most_processes > 1:
                        yield Point(kind, name, callers, processes=2)
            for tables in self.tables:
                yield Point(kind, ORDERWAY, self.crowds[0], tables=tables)


FULL = Plan(
    rounds=5,
    warm_up_s=0.25,
    window_s=1.0,
    callers=(1, 16, 64, 256, 1024),
    crowds=(256, 1024),
    tables=(2, 64, 1000),
    pools=(4, 8, 16, 32, 64, 128),
    pool_callers=256,
    sizes=(10_000, 100_000, 1_000_000),
    repeats=200,
    looks=100,
)
QUICK = Plan(
    rounds=1,
    warm_up_s=0.1,
    window_s=0.3,
    callers=(1, 64),
    crowds=(64,),
    tables=(2, 16),
    pools=(8, 32),
    pool_callers=64,
    sizes=(1_000, 2_000, 8_000),
    repeats=20,
    looks=10,
)
"""Says whether the benchmark works, and little about speed."""
