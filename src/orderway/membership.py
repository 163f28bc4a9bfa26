"""Membership: this worker's heartbeat, and the watch over the others'. No wall clock is trusted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from orderway.errors import Unavailable
from orderway.logs import tell_bug
from orderway.ports.clock import Clock
from orderway.ports.workers import Workers

__all__ = ["Membership"]

logger = logging.getLogger("orderway")


class Membership:
    """One worker among others.

    A worker's counter that stood still for ``dead_after_s`` on *our own* monotonic clock means that the worker is
    dead: it is taken out of the table, and from then on holds nothing. A worker that finds itself buried (it was
    frozen, or cut off) goes on under a new incarnation; what it still does for orders held under the old one is
    refused as soon as another worker has them.

    Args:
        workers: the table.
        clock: for the waiting.
        new_incarnation: gives a random integer of 63 bits.
        name: for people: host and process.
        beat_every_s: between two heartbeats.
        dead_after_s: after so long without a heartbeat a worker is dead.
    """

    def __init__(
        self,
        workers: Workers,
        clock: Clock,
        new_incarnation: Callable[[], int],
        name: str,
        beat_every_s: float = 0.5,
        dead_after_s: float = 3.0,
    ) -> None:
        self.workers = workers
        self.clock = clock
        self.name = name
        self.beat_every_s = beat_every_s
        self.dead_after_s = dead_after_s
        self.incarnation = 0
        self.rebirths = 0
        self.beaten_at_s: float | None = None
        """When the database last took a heartbeat, on the clock's monotonic count; None before the first."""
        self._new_incarnation = new_incarnation
        self._seen: dict[tuple[int, int], tuple[int, float]] = {}
        self._silent: set[int] = set()

    async def join(self) -> None:
        """Enter the table under a new incarnation."""
        incarnation = self._new_incarnation()
        await self.workers.join(incarnation, self.name)
        self.incarnation = incarnation

    async def leave(self) -> None:
        """Leave the table: what this worker still holds may be claimed at once."""
        await self.workers.bury(self.incarnation)

    async def beat(self) -> list[int]:
        """Beat once, look at the others, bury the dead.

        Returns:
            The incarnations that were buried now.
        """
        if not await self.workers.beat(self.incarnation):
            self.rebirths += 1
            logger.warning("worker %s was declared dead; it goes on under a new incarnation", self.name)
            with suppress(Unavailable):  # where it is still in a table, others notice that it stands still
                await self.workers.bury(self.incarnation)
            await self.join()
        self.beaten_at_s = self.clock.monotonic_s()
        counters = await self.workers.counters()
        self._tell_of_silence(counters.get(self.incarnation, ()))
        dead = self._standing_still(counters)
        for incarnation in dead:
            logger.warning(
                "worker %d has not beaten for %.1f s: its orders are taken over", incarnation, self.dead_after_s
            )
            await self.workers.bury(incarnation)
        return dead

    def _tell_of_silence(self, counters: Sequence[int | None]) -> None:
        """Log which of several databases stopped answering, or answers again: nothing else fails because of it."""
        silent = {database for database, counter in enumerate(counters) if counter is None}
        for database in sorted(silent - self._silent):
            logger.warning("database %d does not answer: its orders wait, those of the others go on", database + 1)
        for database in sorted(self._silent - silent):
            logger.warning("database %d answers again", database + 1)
        self._silent = silent

    def _standing_still(self, counters: Mapping[int, Sequence[int | None]]) -> list[int]:
        """Those of the others whose counter has not moved for too long, in whichever database.

        Where a database did not answer nobody can be seen to stand still: the time begins anew.
        """
        now_s = self.clock.monotonic_s()
        seen = {}
        dead = []
        for incarnation, by_database in counters.items():
            for database, counter in enumerate(by_database):
                if counter is None:
                    continue
                known = self._seen.get((incarnation, database))
                since = known[1] if known is not None and known[0] == counter else now_s
                seen[incarnation, database] = (counter, since)
                if incarnation != self.incarnation and now_s - since >= self.dead_after_s and incarnation not in dead:
                    dead.append(incarnation)
        self._seen = seen
        return dead

    async def run(self, stop: asyncio.Event, on_death: Callable[[], None]) -> None:
        """Beat until stopped; ``on_death`` is called when another worker was buried."""
        while not stop.is_set():
            try:
                if await self.beat():
                    on_death()
            except Unavailable as error:
                logger.warning("heartbeat failed, will be tried again: %s", error)
            except Exception as error:  # noqa: BLE001 - else it would be declared dead, and nobody would know why
                tell_bug("heartbeat failed, will be tried again", error)
            await self.clock.wait(stop, self.beat_every_s)
