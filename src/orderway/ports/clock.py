"""The clock: the only way in which the engine learns the time or waits."""

from __future__ import annotations

import asyncio
from typing import Protocol

__all__ = ["Clock"]


class Clock(Protocol):
    """Instants, a monotonic count, and waiting."""

    def now_us(self) -> int:
        """Microseconds since 1970, UTC."""

    def monotonic_s(self) -> float:
        """Seconds of a count that never goes back and does not follow the wall clock."""

    async def wait(self, event: asyncio.Event, timeout_s: float) -> bool:
        """Wait until the event is set (True) or the time is over (False)."""
