"""Holds: the orders that this worker has in its hands, each carried by one task at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from orderway.core.order import Order
from orderway.errors import HoldLost, OrderwayError
from orderway.journey import Journey
from orderway.logs import kind_of
from orderway.membership import Membership
from orderway.order_lock import OrderLock
from orderway.orders import business_of
from orderway.ports.business import Business
from orderway.ports.clock import Clock
from orderway.ports.store import Store

__all__ = ["Holds"]

logger = logging.getLogger("orderway")


class Holds:
    """Takes hold of orders, has them carried, and lets go of those that were dropped half way.

    Args:
        store: where the holds are written.
        journey: carries an order that is held.
        membership: under whose incarnation.
        businesses: those served here.
        clock: for the instants.
        lease_us: how long a held order may be left alone before it is looked at again.
        lock: an option: asked before the store is asked for a hold. Orders held already need none: those that were
            created here, and those that the sweeper claimed.
    """

    def __init__(
        self,
        store: Store,
        journey: Journey,
        membership: Membership,
        businesses: Mapping[int, Business[Any]],
        clock: Clock,
        lease_us: int,
        lock: OrderLock | None = None,
    ) -> None:
        self._store = store
        self.journey = journey
        self._membership = membership
        self._businesses = businesses
        self._clock = clock
        self._lease_us = lease_us
        self._lock = lock
        self._granted: set[str] = set()
        self._active: set[str] = set()
        self._letting_go: set[asyncio.Task[None]] = set()
        self.swept = True
        """True while a sweeper of this process picks up what its callers drop; else it must be let go at once."""

    def grant(self, order_id: str) -> None:
        """Note that an order was created with a hold of ours: ``forward`` need not read it again."""
        self._granted.add(order_id)

    async def forward(self, order: Order[Any] | str) -> Order[Any]:
        """See ``App.forward``."""
        order_id = order if isinstance(order, str) else order.id
        if order_id in self._active:
            return await self._store.get(order_id)
        self._active.add(order_id)
        try:
            if order_id in self._granted and isinstance(order, Order):
                self._granted.discard(order_id)
                return await self.journey.forward(order)
            if self._lock is None or order_id in self._granted:
                return await self._take_and_carry(order_id)
            async with self._lock.around(order_id) as free:
                return await (self._take_and_carry(order_id) if free else self._store.get(order_id))
        except HoldLost:
            return await self._store.get(order_id)
        except BaseException:
            if not self.swept:
                self._let_go_soon(order_id)
            raise
        finally:
            self._active.discard(order_id)

    async def claim(self, types: Sequence[int], limit: int) -> Sequence[Order[Any]]:
        """Take hold of due orders of these types."""
        if not types:
            return ()
        now_us = self._clock.now_us()
        orders = await self._store.claim(types, self._membership.incarnation, now_us, now_us + self._lease_us, limit)
        # Orders that a task of this process is carrying right now only had their lease renewed.
        return [order for order in orders if order.id not in self._active]

    async def carry(self, order: Order[Any]) -> None:
        """Carry an order that was claimed."""
        if order.id in self._active:
            return
        self._active.add(order.id)
        self._granted.discard(order.id)
        try:
            await self.journey.forward(order)
        finally:
            self._active.discard(order.id)

    async def settle(self) -> None:
        """Wait until what was dropped is let go."""
        while self._letting_go:
            await asyncio.wait(self._letting_go)

    async def _take_and_carry(self, order_id: str) -> Order[Any]:
        order = await self._take(order_id)
        if order.holder != self._membership.incarnation or order.is_final:
            return order
        return await self.journey.forward(order)

    async def _take(self, order_id: str) -> Order[Any]:
        self._granted.discard(order_id)
        order = await self._store.get(order_id)
        if order.is_final:
            return order
        business_of(order.type, self._businesses)
        return await self._store.hold(order_id, self._membership.incarnation, self._clock.now_us() + self._lease_us)

    def _let_go_soon(self, order_id: str) -> None:
        # In a task of its own: the caller may have been cancelled, and must not wait.
        task = asyncio.create_task(self._let_go(order_id))
        self._letting_go.add(task)
        task.add_done_callback(self._letting_go.discard)

    async def _let_go(self, order_id: str) -> None:
        try:
            order = await self._store.get(order_id)
            if order.holder == self._membership.incarnation and order_id not in self._active:
                now_us = self._clock.now_us()
                await self._store.postpone(
                    order_id, order.version, order.holder, now_us, order.attempts, order.last_error
                )
        except OrderwayError as error:
            why = kind_of(error)
            logger.warning("order %s could not be let go, and waits until this worker ends: %s", order_id, why)
