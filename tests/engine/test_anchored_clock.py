"""The clock that follows the database's time, whatever its machine's wall clock says."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from orderway import App
from orderway.anchored_clock import MEASURE_EVERY_S, AnchoredClock
from orderway.errors import Unavailable
from orderway.testing.clock import VirtualClock

HOUR_US = 3_600_000_000
DATABASE_US = 1_790_000_000_000_000


class Reference:
    """A database with a clock of its own; asking it takes time, which it reads its clock in the middle of."""

    def __init__(self, own: VirtualClock) -> None:
        self.own = own
        self.step_us = 0
        self.trip_s = 0.002
        self.is_silent = False

    def right_us(self) -> int:
        """What its clock says now."""
        return DATABASE_US + self.step_us + round(self.own.monotonic_s() * 1_000_000)

    async def now_us(self) -> int | None:
        """The database's answer."""
        if self.is_silent:
            raise Unavailable("the database does not answer")
        await self.own.advance(self.trip_s / 2)
        answer = self.right_us()
        await self.own.advance(self.trip_s / 2)
        return answer


@pytest.fixture
def own() -> VirtualClock:
    return VirtualClock(DATABASE_US + HOUR_US)


@pytest.fixture
def reference(own: VirtualClock) -> Reference:
    return Reference(own)


async def test_before_the_first_answer_and_without_any_it_is_the_own_clock(own: VirtualClock) -> None:
    clock = AnchoredClock(own)
    assert clock.now_us() == own.now_us()

    async def has_none() -> int | None:
        return None

    await clock.measure(has_none)
    own.set_wall(DATABASE_US)
    assert clock.now_us() == own.now_us() == DATABASE_US


@pytest.mark.parametrize("wrong_us", [HOUR_US, -HOUR_US])
async def test_a_wrong_wall_clock_does_not_matter(own: VirtualClock, reference: Reference, wrong_us: int) -> None:
    own.set_wall(DATABASE_US + wrong_us)
    clock = AnchoredClock(own)
    await clock.measure(reference.now_us)
    assert clock.now_us() == reference.right_us()


async def test_nor_does_setting_it(own: VirtualClock, reference: Reference) -> None:
    clock = AnchoredClock(own)
    await clock.measure(reference.now_us)
    own.set_wall(own.now_us() - HOUR_US)
    assert clock.now_us() == reference.right_us()
    await own.advance(7)
    assert clock.now_us() == reference.right_us()


async def test_a_silent_database_leaves_it_counting(own: VirtualClock, reference: Reference) -> None:
    clock = AnchoredClock(own)
    await clock.measure(reference.now_us)
    reference.is_silent = True
    await own.advance(600)
    await clock.measure(reference.now_us)
    assert clock.now_us() == reference.right_us()


async def test_a_slow_answer_does_not_replace_a_better_one(own: VirtualClock, reference: Reference) -> None:
    clock = AnchoredClock(own)
    await clock.measure(reference.now_us)
    # The database is asked, and this process stands still for a second before it reads the answer.
    asked_at_s, answer = own.monotonic_s(), await reference.now_us()
    await own.advance(1)
    assert answer is not None
    clock.anchor(answer, asked_at_s, own.monotonic_s())
    assert clock.now_us() == reference.right_us()


async def test_it_follows_a_clock_that_drifts(own: VirtualClock, reference: Reference) -> None:
    clock = AnchoredClock(own)
    await clock.measure(reference.now_us)
    for _ in range(1000):
        await own.advance(MEASURE_EVERY_S)
        reference.step_us += 500  # 100 ppm
        await clock.measure(reference.now_us)
    assert abs(clock.now_us() - reference.right_us()) < 3_000


async def test_it_does_not_go_back_by_a_little(own: VirtualClock, reference: Reference) -> None:
    clock = AnchoredClock(own)
    await clock.measure(reference.now_us)
    before_us = clock.now_us()
    reference.step_us = -500_000
    await clock.measure(reference.now_us)
    assert clock.now_us() == before_us
    await own.advance(1)
    assert clock.now_us() == reference.right_us() > before_us


async def test_it_goes_with_a_database_that_was_set_back(
    own: VirtualClock, reference: Reference, caplog: pytest.LogCaptureFixture
) -> None:
    """Else nothing that is due by the new time would be looked at until the old time has come."""
    clock = AnchoredClock(own)
    await clock.measure(reference.now_us)
    assert clock.now_us() == reference.right_us()
    reference.step_us = -HOUR_US
    with caplog.at_level(logging.WARNING, "orderway"):
        await clock.measure(reference.now_us)
    assert clock.now_us() == reference.right_us()
    assert "went -3600.0 s" in caplog.text


async def test_it_asks_every_few_seconds_until_it_is_stopped(own: VirtualClock) -> None:
    clock, stop, asked_at_s = AnchoredClock(own), asyncio.Event(), list[float]()

    async def right() -> int:
        asked_at_s.append(own.monotonic_s())
        return DATABASE_US

    running = asyncio.create_task(clock.run(stop, right))
    await own.advance(3 * MEASURE_EVERY_S)
    assert asked_at_s == [MEASURE_EVERY_S, 2 * MEASURE_EVERY_S, 3 * MEASURE_EVERY_S]
    stop.set()
    await running


async def test_an_app_goes_by_its_database(tmp_path: Path) -> None:
    own = VirtualClock(HOUR_US)
    async with App(f"sqlite:///{tmp_path}/orders.db", clock=AnchoredClock(own)) as app:
        database_us = await app.ports.workers.now_us()
        assert database_us is not None
        assert abs(app.clock.now_us() - database_us) < 60_000_000
