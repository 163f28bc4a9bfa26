"""The clock of the machine: an adapter of the clock port."""

from __future__ import annotations

import asyncio
import time

__all__ = ["SystemClock"]


class SystemClock:
    """The machine's own wall clock and monotonic count, and waiting in real time."""

    def now_us(self) -> int:
        """Microseconds since 1970, UTC; may step when the machine's clock is set."""
        return time.time_ns() // 1_000

    def monotonic_s(self) -> float:
        """Seconds of a count that never goes back."""
        return time.monotonic()

    async def wait(self, event: asyncio.Event, timeout_s: float) -> bool:
        """Wait until the event is set (True) or the time is over (False)."""
        try:
            async with asyncio.timeout(timeout_s):
                return await event.wait()
        except TimeoutError:
            return event.is_set()
