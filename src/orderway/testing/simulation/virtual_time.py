"""Virtual time for a whole event loop: it jumps from one waiting task to the next, and nobody ever really waits."""

from __future__ import annotations

import asyncio
from selectors import SelectorKey, SelectSelector

__all__ = ["SimulatedClock", "SimulatedLoop"]

START_US = 1_790_000_000_000_000


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only while all of its tasks wait.

    All that asyncio times goes by it: ``sleep``, ``timeout``, ``call_later``. Nothing comes from outside: no threads,
    no sockets. So one program runs the same each time.
    """

    def __init__(self) -> None:
        self._now_s = 0.0
        super().__init__(_Jumps(self))

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._now_s

    def jump(self, seconds: float) -> None:
        """Let time pass."""
        self._now_s += seconds


class _Jumps(SelectSelector):
    """Where a loop waits for the world outside, this one lets its time pass."""

    def __init__(self, loop: SimulatedLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        """Nothing ever comes; the time passes."""
        if timeout is None:
            raise RuntimeError("every task of the simulation waits for another one: nothing can happen any more")
        if timeout > 0:
            self._loop.jump(timeout)
        return []


class SimulatedClock:
    """The clock of a simulated loop, made while it runs; its wall clock may be wrong.

    Args:
        skew_us: how far the wall clock is off, in microseconds; may be changed, as a clock may be set.
    """

    def __init__(self, skew_us: int = 0) -> None:
        self.monotonic_s = asyncio.get_running_loop().time
        self.skew_us = skew_us

    def now_us(self) -> int:
        """Microseconds since 1970, as this wall clock has it."""
        return START_US + self.skew_us + round(self.monotonic_s() * 1_000_000)

    async def wait(self, event: asyncio.Event, timeout_s: float) -> bool:
        """Wait until the event is set (True) or this much virtual time has passed (False)."""
        try:
            async with asyncio.timeout(timeout_s):
                return await event.wait()
        except TimeoutError:
            return event.is_set()
