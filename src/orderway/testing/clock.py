"""A clock that stands still until a test moves it."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from typing import Any

__all__ = ["VirtualClock"]

_TURNS = 100
"""How often ``advance`` lets a foreign event loop turn, so that what was woken runs until it waits again."""
_MOST_TURNS = 100_000


class VirtualClock:
    """A clock for tests: time passes only in ``advance``, and the wall clock can be set apart from it.

    Args:
        now_us: the wall clock's first instant, in microseconds since 1970 (UTC).
    """

    def __init__(self, now_us: int = 1_790_000_000_000_000) -> None:
        self._monotonic_us = 0
        self._wall_offset_us = now_us
        self._alarms: list[tuple[int, int, asyncio.Future[None]]] = []  # a heap: deadline, order of arrival
        self._arrivals = itertools.count()

    def now_us(self) -> int:
        """Microseconds since 1970, UTC, as the virtual wall clock has it."""
        return self._monotonic_us + self._wall_offset_us

    def monotonic_s(self) -> float:
        """Seconds that ``advance`` has let pass; never goes back."""
        return self._monotonic_us / 1_000_000

    @property
    def waiting(self) -> int:
        """How many tasks wait for an event or for time to pass."""
        return sum(not alarm.done() for _, _, alarm in self._alarms)

    async def wait(self, event: asyncio.Event, timeout_s: float) -> bool:
        """Wait until the event is set (True) or this much virtual time has passed (False)."""
        if event.is_set() or timeout_s <= 0:
            await asyncio.sleep(0)
            return event.is_set()
        alarm: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        deadline_us = self._monotonic_us + round(timeout_s * 1_000_000)
        heapq.heappush(self._alarms, (deadline_us, next(self._arrivals), alarm))
        signal = asyncio.ensure_future(event.wait())
        either: set[asyncio.Future[Any]] = {alarm, signal}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            alarm.cancel()
            signal.cancel()
        return event.is_set()

    async def advance(self, seconds: float) -> None:
        """Let time pass: whoever waits is woken at its own instant, in the order of instants, and runs on.

        A task that was woken and waits again is woken again if that instant still lies within these seconds.
        Work in other threads (a database, a hook's thread) is not waited for: await its own signal.
        """
        if seconds < 0:
            raise ValueError(f"time does not advance by {seconds} s; set_wall sets the wall clock back")
        target_us = self._monotonic_us + round(seconds * 1_000_000)
        await _settle()
        while self._alarms and self._alarms[0][0] <= target_us:
            deadline_us, _, alarm = heapq.heappop(self._alarms)
            if not alarm.done():
                self._monotonic_us = deadline_us
                alarm.set_result(None)
                await _settle()
        self._monotonic_us = target_us

    def set_wall(self, now_us: int) -> None:
        """Set the wall clock, forth or back; the monotonic count and all waiting are untouched."""
        self._wall_offset_us = now_us - self._monotonic_us


async def _settle() -> None:
    # asyncio's own loop shows whether anything else is ready to run; other loops (uvloop) do not.
    ready = getattr(asyncio.get_running_loop(), "_ready", None)
    for turn in range(_MOST_TURNS):
        await asyncio.sleep(0)
        if not ready if ready is not None else turn >= _TURNS:
            return
    raise RuntimeError("the event loop does not come to rest: does a task spin without waiting?")
