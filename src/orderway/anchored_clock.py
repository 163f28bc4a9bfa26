"""A clock anchored to the database's time: a worker whose own clock is set wrong closes nothing early."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from orderway.errors import OrderwayError
from orderway.ports.clock import Clock

__all__ = ["AnchoredClock"]

logger = logging.getLogger("orderway")

MEASURE_EVERY_S = 5.0
DRIFT = 200e-6
"""By so much two clocks may drift apart, each second: more than any that is in order."""
STANDSTILL_US = 1_000_000
"""So far back this clock does not go; it stands still until the time has come."""


class AnchoredClock:
    """The database's time, counted on by the machine's monotonic count.

    Every few seconds the database is asked for its time. In between, the machine's wall clock does not matter: neither
    what it is set to, nor when it is set. While the database is silent, time is counted on as before. Before the first
    answer, and where the database has no time of its own, it is the own clock's.

    Args:
        own: the clock of the machine.
    """

    def __init__(self, own: Clock) -> None:
        self._own = own
        self._offset_us: int | None = None
        self._error_us = 0.0
        self._measured_at_s = 0.0
        self._last_us = 0

    def now_us(self) -> int:
        """Microseconds since 1970, UTC. Goes back only where the database's time went back, by more than a second."""
        if self._offset_us is None:
            return self._own.now_us()
        now_us = round(self._own.monotonic_s() * 1_000_000) + self._offset_us
        if now_us < self._last_us <= now_us + STANDSTILL_US:
            return self._last_us
        self._last_us = now_us
        return now_us

    def monotonic_s(self) -> float:
        """As the own clock."""
        return self._own.monotonic_s()

    async def wait(self, event: asyncio.Event, timeout_s: float) -> bool:
        """As the own clock."""
        return await self._own.wait(event, timeout_s)

    async def measure(self, ask: Callable[[], Awaitable[int | None]]) -> None:
        """Ask the database for its time, once. One that does not answer, or refuses us, changes nothing.

        Args:
            ask: see ``Workers.now_us``.
        """
        asked_at_s = self._own.monotonic_s()
        try:
            database_us = await ask()
        except OrderwayError:  # nobody hears of it here, and whoever asks for orders does
            return
        if database_us is not None:
            self.anchor(database_us, asked_at_s, self._own.monotonic_s())

    async def run(self, stop: asyncio.Event, ask: Callable[[], Awaitable[int | None]]) -> None:
        """Ask again every few seconds, until stopped."""
        while not await self._own.wait(stop, MEASURE_EVERY_S):
            await self.measure(ask)

    def anchor(self, database_us: int, asked_at_s: float, answered_at_s: float) -> None:
        """Take over the database's time, unless what is known is known better.

        The database read its clock at some time between question and answer, so that half of the time between them is
        how wrong an answer may be at most. What is known gets worse as clocks drift. An answer that contradicts it is
        believed at once: somebody has set the database's clock, or this machine has slept.
        """
        error_us = (answered_at_s - asked_at_s) * 1_000_000 / 2
        offset_us = database_us - round((asked_at_s + answered_at_s) / 2 * 1_000_000)
        if self._offset_us is not None:
            known_us = self._error_us + (answered_at_s - self._measured_at_s) * DRIFT * 1_000_000
            apart_us = offset_us - self._offset_us
            contradicts = abs(apart_us) > error_us + known_us
            if not contradicts and error_us > known_us:
                return
            if abs(apart_us) > STANDSTILL_US:
                logger.warning("the database's time went %+.1f s: this worker follows it", apart_us / 1_000_000)
        self._offset_us, self._error_us, self._measured_at_s = offset_us, error_us, answered_at_s
