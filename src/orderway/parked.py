"""Parked payments: verified money for an order that does not exist yet is kept, and matched when its order is there."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from orderway.core.order import Order
from orderway.core.text import fitting_reference, storable
from orderway.errors import InvalidValue, OrderNotFound, OrderUnreadable
from orderway.odd import Payment
from orderway.ports.clock import Clock
from orderway.ports.parking import ParkedPayment, Parking

__all__ = ["Parked"]

logger = logging.getLogger("orderway")

LOOK_EVERY_S = 2.0
LONGEST_WAIT_US = 600_000_000
AT_ONCE = 100


class Parked:
    """Keeps payments whose order is not there, and looks for it, more and more seldom.

    Args:
        parking: where they are kept.
        clock: for the instants.
        record: records a payment with its order; raises ``OrderNotFound`` where there is none.
    """

    def __init__(
        self, parking: Parking, clock: Clock, record: Callable[[str, Payment, str], Awaitable[Order[Any]]]
    ) -> None:
        self.parking = parking
        self._clock = clock
        self._record = record
        self._next_look_s = 0.0

    async def park(self, order_id: str, payment: Payment, cause: str) -> bool:
        """Keep a payment. Idempotent by channel and reference; durable when it returns."""
        now_us = self._clock.now_us()
        parked = ParkedPayment(
            channel=payment.channel,
            reference=fitting_reference(payment.reference),
            order_id=storable(order_id, 128),
            key=storable(payment.key, 128),
            uid=storable(payment.uid, 128),
            amount_minor=payment.amount.amount_minor,
            currency=payment.amount.currency,
            at_us=now_us,
            cause=cause,
            due_at_us=now_us,
        )
        is_new = await self.parking.park(parked)
        if is_new:
            logger.warning("a payment of %s through %s has no order: it is kept", payment.amount, payment.channel)
        return is_new

    async def look(self) -> None:
        """Match what is due, if it is time to."""
        now_s = self._clock.monotonic_s()
        if now_s >= self._next_look_s:
            self._next_look_s = now_s + LOOK_EVERY_S
            await self.match()

    async def match(self) -> int:
        """Record the payments that are due and whose orders are there now; returns how many."""
        matched = 0
        for parked in await self.parking.due(self._clock.now_us(), AT_ONCE):
            try:
                await self.match_to(parked, parked.order_id, parked.cause)
            except (OrderNotFound, OrderUnreadable, InvalidValue):
                wait_us = min(1_000_000 << min(parked.tries, 20), LONGEST_WAIT_US)
                await self.parking.postpone(parked.channel, parked.reference, self._clock.now_us() + wait_us)
            else:
                matched += 1
        return matched

    async def match_to(self, parked: ParkedPayment, order_id: str, cause: str) -> Order[Any]:
        """Record a parked payment with this order, then let go of it: in this order, so that it is never lost.

        Raises:
            OrderNotFound: there is no such order.
        """
        payment = Payment(parked.channel, parked.amount, parked.reference, parked.key, parked.uid)
        order = await self._record(order_id, payment, cause)
        await self.parking.release(parked.channel, parked.reference)
        return order
