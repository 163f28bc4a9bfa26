"""The clocks: the machine's, and the virtual one that only a test moves."""

from __future__ import annotations

import asyncio

import pytest

from orderway.ports.clock import Clock
from orderway.system_clock import SystemClock
from orderway.testing.clock import VirtualClock

START_US = 1_000_000_000


@pytest.mark.parametrize("clock", [SystemClock(), VirtualClock()], ids=["system", "virtual"])
async def test_event_ends_the_wait(clock: Clock) -> None:
    event = asyncio.Event()
    waiting = asyncio.create_task(clock.wait(event, 3600))
    event.set()
    assert await waiting is True
    assert await clock.wait(event, 0) is True
    assert await clock.wait(asyncio.Event(), 0) is False


async def test_system_clock_gives_up_when_the_time_is_over() -> None:
    clock = SystemClock()
    before_s, before_us = clock.monotonic_s(), clock.now_us()
    assert await clock.wait(asyncio.Event(), 0.01) is False
    assert clock.monotonic_s() - before_s >= 0.009
    assert clock.now_us() > before_us > 1_700_000_000_000_000


async def test_time_stands_still_until_it_is_advanced() -> None:
    clock = VirtualClock(START_US)
    assert (clock.now_us(), clock.monotonic_s()) == (START_US, 0)
    await clock.advance(1.5)
    assert (clock.now_us(), clock.monotonic_s()) == (START_US + 1_500_000, 1.5)


async def test_sleepers_wake_at_their_own_instants_in_order() -> None:
    clock = VirtualClock()
    woken: list[tuple[str, float]] = []

    async def sleep(name: str, *delays_s: float) -> None:
        for delay_s in delays_s:
            assert await clock.wait(asyncio.Event(), delay_s) is False
            woken.append((name, clock.monotonic_s()))

    tasks = [asyncio.create_task(sleep(*each)) for each in (("c", 3), ("a", 1, 1, 5), ("b", 2), ("b2", 2))]
    await clock.advance(0.999)
    assert (woken, clock.waiting) == ([], 4)
    await clock.advance(3)
    assert woken == [("a", 1), ("b", 2), ("b2", 2), ("a", 2), ("c", 3)]
    assert clock.waiting == 1
    await clock.advance(4)
    await asyncio.gather(*tasks)
    assert woken[-1] == ("a", 7)


async def test_cancelled_sleeper_is_forgotten() -> None:
    clock = VirtualClock()
    task = asyncio.create_task(clock.wait(asyncio.Event(), 5))
    await clock.advance(1)
    assert clock.waiting == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert clock.waiting == 0
    await clock.advance(10)


async def test_wall_clock_that_steps_back_wakes_and_delays_nobody() -> None:
    clock = VirtualClock(START_US)
    task = asyncio.create_task(clock.wait(asyncio.Event(), 5))
    await clock.advance(4)
    clock.set_wall(START_US - 60_000_000)
    assert (clock.now_us(), clock.monotonic_s()) == (START_US - 60_000_000, 4)
    await clock.advance(1)
    assert await task is False
    assert clock.now_us() == START_US - 59_000_000


async def test_time_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="set_wall"):
        await VirtualClock().advance(-1)
