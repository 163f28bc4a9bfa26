"""The order lock: spares the store the holds that could not be had anyway. An option; the row's hold is what counts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from orderway.circuit import Circuit
from orderway.errors import Unavailable
from orderway.ports.clock import Clock
from orderway.ports.lock import Lock

__all__ = ["OrderLock"]

logger = logging.getLogger("orderway")


class OrderLock:
    """Locks the orders that this worker takes up on somebody's call, and renews the locks while it works.

    Many processes may be told of an order at once: its buyer returns, its payment is notified, an operator clicks. The
    one that gets the lock asks the store for the order's hold; the others see that somebody is at it, and leave it
    without a write. What happens where the lock says something wrong:

    - *It does not answer:* the work goes on without it, with one warning; see ``Circuit``.
    - *It was emptied, or it expired while this process stalled:* somebody else gets it too, asks for the hold, and is
      refused as long as this worker lives. What a worker does that was declared dead is refused by the store.
    - *It is left over from a process that died:* calls to ``forward`` leave the order as it is until the lock expires.
      The sweeper never asks for the lock: it takes the order over as soon as the row allows it, just as without one.
    - *A release got lost:* as a leftover; to this worker's own token the lock is free.

    Args:
        lock: where the locks are.
        clock: for the waiting.
        token: random, of this worker alone.
    """

    def __init__(self, lock: Lock, clock: Clock, token: str) -> None:
        self.circuit = Circuit(clock, "orders are carried without a lock")
        self.lost = 0
        """How many locks were gone before they were released."""
        self._lock = lock
        self._clock = clock
        self._token = token
        self._held: set[str] = set()
        self._stop = asyncio.Event()
        self._renewal: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def around(self, order_id: str) -> AsyncIterator[bool]:
        """Lock an order around the work on it.

        Yields:
            False if somebody else has it locked; True if it is ours, or if nobody can tell.
        """
        locked = await self._acquire(order_id)
        if not locked:
            yield locked is None
            return
        self._keep(order_id)
        try:
            yield True
        finally:
            await self._release(order_id)

    def start(self) -> None:
        """Renew from now on what is locked, on this event loop."""
        self._stop = asyncio.Event()

    async def close(self) -> None:
        """End the renewal. Locks still held expire by themselves."""
        self._stop.set()
        if self._renewal is not None:
            await asyncio.wait([self._renewal])

    async def _acquire(self, order_id: str) -> bool | None:
        if not self.circuit.may_ask():
            return None
        try:
            locked = await self._lock.acquire(order_id, self._token)
        except Unavailable as error:
            self.circuit.failed(error)
            return None
        self.circuit.answered()
        return locked

    async def _release(self, order_id: str) -> None:
        if order_id not in self._held:
            return  # lost: it may be somebody else's by now
        self._held.discard(order_id)
        if self.circuit.is_open:
            return
        try:
            if not await self._lock.release(order_id, self._token):
                self.lost += 1
        except Unavailable as error:
            self.circuit.failed(error)

    def _keep(self, order_id: str) -> None:
        self._held.add(order_id)
        if self._renewal is None and not self._stop.is_set():
            self._renewal = asyncio.create_task(self._renew())

    async def _renew(self) -> None:
        """Renew what is held at each third of the expiry, until nothing is held any more."""
        while self._held and not await self._clock.wait(self._stop, self._lock.expire_s / 3):
            lost = [order_id for order_id in sorted(self._held) if await self._is_lost(order_id)]
            if lost:
                self.lost += len(lost)
                logger.warning(
                    "the locks of %d orders, %s first, were lost while they were carried: they expired or were removed;"
                    " the work goes on, guarded by the holds in the database",
                    len(lost),
                    lost[0],
                )
        self._renewal = None

    async def _is_lost(self, order_id: str) -> bool:
        if order_id not in self._held or not self.circuit.may_ask():
            return False
        try:
            renewed = await self._lock.renew(order_id, self._token)
        except Unavailable as error:
            self.circuit.failed(error)
            return False
        self.circuit.answered()
        lost = not renewed and order_id in self._held
        if lost:
            self._held.discard(order_id)
        return lost
