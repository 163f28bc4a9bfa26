"""Parked payments, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, replace

from orderway.memory.database import MemoryDatabase, check_storable
from orderway.ports.limits import check_page, too_long_in_parked
from orderway.ports.parking import ParkedPayment

__all__ = ["MemoryParking"]


class MemoryParking:
    """The parking on a :class:`MemoryDatabase`; see :class:`orderway.ports.parking.Parking`."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def park(self, payment: ParkedPayment) -> bool:
        """Keep a payment; False if one with this channel and reference is kept already."""
        misfit = too_long_in_parked(payment)
        if misfit is not None:
            raise misfit
        check_storable(f"payment {payment.reference!r} to be parked", astuple(payment))
        async with self._database.writing():
            place = (payment.channel, payment.reference)
            if place in self._database.parked:
                return False
            self._database.parked[place] = payment
            return True

    async def due(self, now_us: int, limit: int) -> Sequence[ParkedPayment]:
        """Payments whose time has come, the longest due first."""
        check_page(limit)
        async with self._database.reading():
            due = [payment for payment in self._database.parked.values() if payment.due_at_us <= now_us]
        due.sort(key=lambda payment: (payment.due_at_us, payment.channel, payment.reference))
        return due[:limit]

    async def postpone(self, channel: str, reference: str, due_at_us: int) -> None:
        """Look for this payment's order again at this time."""
        check_storable(f"postponing payment {reference!r}", (due_at_us,))
        async with self._database.writing():
            payment = self._database.parked.get((channel, reference))
            if payment is not None:
                later = replace(payment, due_at_us=due_at_us, tries=payment.tries + 1)
                self._database.parked[channel, reference] = later

    async def release(self, channel: str, reference: str) -> bool:
        """Let go of a payment; False if it is not there."""
        async with self._database.writing():
            return self._database.parked.pop((channel, reference), None) is not None

    async def list(self, after: tuple[str, str] | None = None, limit: int = 50) -> Sequence[ParkedPayment]:
        """All parked payments by (channel, reference)."""
        check_page(limit)
        async with self._database.reading():
            places = sorted(place for place in self._database.parked if after is None or place > after)
            return [self._database.parked[place] for place in places[:limit]]
