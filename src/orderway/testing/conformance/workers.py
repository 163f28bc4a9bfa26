"""What every workers' table must do."""

from __future__ import annotations

import asyncio

import pytest

from orderway.ports.workers import Workers
from orderway.system_clock import SystemClock
from orderway.testing.conformance.backend import Backend

__all__ = ["WorkersConformance"]

LARGEST = 2**63 - 1
COARSE_US = 2_000
"""So coarse the time of a database may be."""


@pytest.mark.asyncio
class WorkersConformance:
    """The contract of :class:`orderway.ports.workers.Workers`."""

    async def test_joined_worker_is_seen_by_others_with_counter_zero(self, backend: Backend) -> None:
        one, other = await backend.connect(), await backend.connect()
        await one.workers.join(LARGEST, "shop-1")
        await one.workers.join(7, "店铺 🛒 'two'")
        assert await agreed(other.workers) == {LARGEST: 0, 7: 0}
        assert await other.workers.names() == {LARGEST: "shop-1", 7: "店铺 🛒 'two'"}

    async def test_empty_table(self, backend: Backend) -> None:
        workers = (await backend.connect()).workers
        assert await agreed(workers) == {}
        assert await workers.names() == {}

    async def test_joining_again_keeps_the_counter(self, backend: Backend) -> None:
        workers = (await backend.connect()).workers
        await workers.join(1, "shop")
        assert await workers.beat(1) is True
        await workers.join(1, "shop")
        assert await agreed(workers) == {1: 1}

    async def test_beat_counts_up_this_worker_only(self, backend: Backend) -> None:
        one, other = await backend.connect(), await backend.connect()
        await one.workers.join(1, "a")
        await one.workers.join(2, "b")
        for _ in range(3):
            assert await one.workers.beat(1) is True
        assert await agreed(other.workers) == {1: 3, 2: 0}

    async def test_buried_worker_is_gone_and_told_so(self, backend: Backend) -> None:
        one, other = await backend.connect(), await backend.connect()
        await one.workers.join(1, "a")
        await one.workers.join(2, "b")
        await other.workers.bury(1)
        await other.workers.bury(1)
        assert await one.workers.beat(1) is False
        assert await agreed(one.workers) == {2: 0}
        assert await one.workers.names() == {2: "b"}

    async def test_beat_of_a_stranger_enters_nobody(self, backend: Backend) -> None:
        workers = (await backend.connect()).workers
        assert await workers.beat(99) is False
        assert await agreed(workers) == {}

    async def test_the_time_of_the_database(self, backend: Backend) -> None:
        """Where it has one of its own: nearly ours, for the tests' databases are on this machine, and it goes on."""
        one, other = await backend.connect(), await backend.connect()
        clock = SystemClock()
        before_us = clock.now_us()
        instants = [await one.workers.now_us(), await other.workers.now_us(), await one.workers.now_us()]
        after_us = clock.now_us()
        if instants[0] is None:
            assert instants == [None, None, None]
            return
        assert all(isinstance(instant, int) for instant in instants)
        bounds = [before_us - COARSE_US, *[instant or 0 for instant in instants], after_us + COARSE_US]
        assert bounds == sorted(bounds)

    async def test_concurrent_beats_are_all_counted(self, backend: Backend) -> None:
        one, other = await backend.connect(), await backend.connect()
        await one.workers.join(1, "a")
        await asyncio.gather(*(each.workers.beat(1) for each in (one, other) * 50))
        assert await agreed(one.workers) == {1: 100}


async def agreed(workers: Workers) -> dict[int, int]:
    """The counters, which are the same in every database."""
    counters = {incarnation: set(each) for incarnation, each in (await workers.counters()).items()}
    assert all(len(each) == 1 for each in counters.values())
    return {incarnation: each.pop() or 0 for incarnation, each in counters.items()}
