"""The order lock over a lock in memory: what it says, what it renews, and what it does without an answer."""

from __future__ import annotations

import asyncio
import logging

import pytest

from orderway.errors import Unavailable
from orderway.memory.lock import MemoryLock
from orderway.order_lock import OrderLock
from orderway.testing.clock import VirtualClock

EXPIRE_S = 30.0


class BreakableLock(MemoryLock):
    """Answers, or not, as told; counts what it is asked."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock, EXPIRE_S)
        self.is_gone = False
        self.asked = 0

    def ask(self) -> None:
        self.asked += 1
        if self.is_gone:
            raise Unavailable("the lock is gone")

    async def acquire(self, name: str, token: str) -> bool:
        self.ask()
        return await super().acquire(name, token)

    async def renew(self, name: str, token: str) -> bool:
        self.ask()
        return await super().renew(name, token)

    async def release(self, name: str, token: str) -> bool:
        self.ask()
        return await super().release(name, token)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def lock(clock: VirtualClock) -> BreakableLock:
    return BreakableLock(clock)


async def test_somebody_else_is_told_that_it_is_locked(lock: BreakableLock, clock: VirtualClock) -> None:
    one, other = OrderLock(lock, clock, "one"), OrderLock(lock, clock, "other")
    async with one.around("order") as ours:
        assert ours is True
        async with other.around("order") as theirs:
            assert theirs is False
        async with other.around("another order") as theirs:
            assert theirs is True
    async with other.around("order") as theirs:
        assert theirs is True
    await one.close()
    await other.close()


async def test_it_is_released_when_the_work_fails(lock: BreakableLock, clock: VirtualClock) -> None:
    one = OrderLock(lock, clock, "one")
    with pytest.raises(RuntimeError, match="out of paper"):
        async with one.around("order"):
            raise RuntimeError("out of paper")
    assert await lock.acquire("order", "other") is True
    await one.close()


async def test_it_is_renewed_as_long_as_the_work_goes_on(lock: BreakableLock, clock: VirtualClock) -> None:
    one, other = OrderLock(lock, clock, "one"), OrderLock(lock, clock, "other")
    async with one.around("order"):
        await clock.advance(EXPIRE_S * 5)
        async with other.around("order") as theirs:
            assert theirs is False
    assert one.lost == 0
    asked = lock.asked
    await clock.advance(EXPIRE_S * 5)
    assert lock.asked == asked, "nothing is held, and still it was renewed"
    assert clock.waiting == 0
    await other.close()


async def test_a_lost_lock_is_told_once_and_left_to_its_new_owner(
    lock: BreakableLock, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    one = OrderLock(lock, clock, "one")
    async with one.around("order"), one.around("a second order"):
        await lock.release("order", "one")  # as FLUSHALL would
        await lock.release("a second order", "one")
        assert await lock.acquire("order", "other") is True
        await clock.advance(EXPIRE_S * 0.7)
    assert one.lost == 2
    assert [record.message[:20] for record in caplog.records] == ["the locks of 2 order"]
    assert await lock.renew("order", "other") is True
    await one.close()


async def test_the_work_goes_on_without_an_answer_and_with_one_warning(
    lock: BreakableLock, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    one = OrderLock(lock, clock, "one")
    lock.is_gone = True

    async def work(order_id: str) -> bool:
        async with one.around(order_id) as ours:
            return ours

    assert await asyncio.gather(*(work(f"order-{n}") for n in range(100))) == [True] * 100
    asked = lock.asked
    assert await work("later") is True
    assert lock.asked == asked, "it is asked again before the pause is over"
    for _ in range(10):
        await clock.advance(5)
        assert await asyncio.gather(work("one"), work("two"), work("three")) == [True] * 3
    assert lock.asked == asked + 10, "one caller a pause asks again, and no more"
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    await one.close()


async def test_it_is_used_again_when_it_answers_again(
    lock: BreakableLock, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    one = OrderLock(lock, clock, "one")
    lock.is_gone = True
    async with one.around("order"):
        lock.is_gone = False
    assert one.circuit.is_open
    await clock.advance(5)
    async with one.around("order") as ours:
        assert ours is True
        assert await lock.acquire("order", "other") is False
    assert not one.circuit.is_open
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    await one.close()


async def test_a_lock_that_comes_back_is_renewed_though_nobody_else_asks(
    lock: BreakableLock, clock: VirtualClock
) -> None:
    one = OrderLock(lock, clock, "one")
    async with one.around("order"):
        lock.is_gone = True
        await clock.advance(EXPIRE_S / 3)
        assert one.circuit.is_open
        lock.is_gone = False
        await clock.advance(EXPIRE_S)
        assert not one.circuit.is_open
        assert await lock.acquire("order", "other") is False
    await one.close()


async def test_its_own_leftover_is_no_obstacle(lock: BreakableLock, clock: VirtualClock) -> None:
    one = OrderLock(lock, clock, "one")
    async with one.around("order"):
        lock.is_gone = True  # the release is lost
    lock.is_gone = False
    await clock.advance(5)
    async with one.around("order") as ours:
        assert ours is True
    assert await lock.acquire("order", "other") is True
    await one.close()


async def test_closing_ends_the_renewal_of_what_is_still_held(lock: BreakableLock, clock: VirtualClock) -> None:
    one = OrderLock(lock, clock, "one")
    async with one.around("order"):
        await clock.advance(1)
        await one.close()
        assert clock.waiting == 0
        async with one.around("a late order") as ours:
            assert ours is True
        await clock.advance(1)
        assert clock.waiting == 0
