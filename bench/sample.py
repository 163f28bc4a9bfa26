"""Samples: what one process measured, and what several of them add up to."""

from __future__ import annotations

import resource
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

__all__ = ["Reading", "Sample", "Stopwatch", "percentile", "reading", "spread"]


@dataclass(frozen=True, slots=True)
class Sample:
    """What one process measured.

    Args:
        seconds: how long the window was.
        cpu_s: what the whole process used in it, all threads, user and system.
        latencies_s: of each order (or commit) that ended in it.
        finished: all orders that it finished, warm-up included: so many must be in the database.
    """

    seconds: float
    cpu_s: float
    latencies_s: array[float]
    finished: int


@dataclass(frozen=True, slots=True)
class Reading:
    """What a point showed in one round, over all of its processes."""

    orders_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float


class Stopwatch:
    """Collects latencies, and measures between ``open`` and ``close``."""

    def __init__(self) -> None:
        self.running = True
        self.latencies_s: array[float] = array("d")
        self._finished = 0
        self._began_s = self._cpu_s = 0.0

    def open(self) -> None:
        """Begin the window: what ended before was warm-up."""
        self._swap()
        self._cpu_s = cpu_s()
        self._began_s = time.perf_counter()

    def close(self) -> tuple[float, float, array[float]]:
        """End the window, and have the callers stop after the order they have in hand."""
        seconds = time.perf_counter() - self._began_s
        used_s = cpu_s() - self._cpu_s
        self.running = False
        return seconds, used_s, self._swap()

    def finished(self) -> int:
        """All that was collected, inside the window and outside."""
        self._swap()
        return self._finished

    def _swap(self) -> array[float]:
        latencies_s, self.latencies_s = self.latencies_s, array("d")
        self._finished += len(latencies_s)
        return latencies_s


def cpu_s() -> float:
    """CPU time of this process so far, all threads, user and system."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def reading(samples: Sequence[Sample]) -> Reading:
    """The sum of processes that ran side by side.

    Raises:
        ValueError: nothing was finished inside the window.
    """
    latencies_s = sorted(latency for sample in samples for latency in sample.latencies_s)
    if not latencies_s:
        raise ValueError("no order was finished inside the window: make the window longer")
    return Reading(
        orders_per_s=sum(len(sample.latencies_s) / sample.seconds for sample in samples),
        p50_ms=percentile(latencies_s, 50) * 1e3,
        p99_ms=percentile(latencies_s, 99) * 1e3,
        cpu_us=sum(sample.cpu_s for sample in samples) / len(latencies_s) * 1e6,
    )


def percentile(ascending: Sequence[float], percent: int) -> float:
    """The smallest value that so many percent of the values do not exceed."""
    return ascending[max(-(-len(ascending) * percent // 100) - 1, 0)]


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Median, least and greatest of the rounds, and the rounds themselves."""
    return {
        "median": round(median(values), 4),
        "min": round(min(values), 4),
        "max": round(max(values), 4),
        "rounds": [round(value, 4) for value in values],
    }
