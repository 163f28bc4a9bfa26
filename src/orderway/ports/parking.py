"""Parking: verified payments for orders that do not exist, kept until their order is there, or a person decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from orderway.core.money import Money

__all__ = ["ParkedPayment", "Parking"]


@dataclass(frozen=True, slots=True)
class ParkedPayment:
    """A verified payment without an order.

    Args:
        channel: through which it came, at most 32 characters.
        reference: the channel's own number of the payment, at most 128 characters.
        order_id: the order that it was said to be for, as it was given: any text of at most 128 characters.
        key: the payment key that it was made under, or "".
        uid: the payer, or "".
        amount_minor: how much came, in minor units of ``currency``.
        currency: the code of its currency.
        at_us: when it was parked, in microseconds since 1970.
        cause: what told us of it.
        due_at_us: when its order is looked for next.
        tries: how often its order was looked for.
    """

    channel: str
    reference: str
    order_id: str
    key: str
    uid: str
    amount_minor: int
    currency: str
    at_us: int
    cause: str
    due_at_us: int
    tries: int = 0

    @property
    def amount(self) -> Money:
        """How much came."""
        return Money(self.amount_minor, self.currency)


class Parking(Protocol):
    """Parked payments. Every method is atomic and durable when it returns; all raise ``Unavailable``."""

    async def park(self, payment: ParkedPayment) -> bool:
        """Keep a payment; False if one with this channel and reference is kept already, which then stays as it is.

        Raises:
            InvalidValue: a value does not fit its column.
        """

    async def due(self, now_us: int, limit: int) -> Sequence[ParkedPayment]:
        """Payments whose ``due_at_us`` has come, the longest due first."""

    async def postpone(self, channel: str, reference: str, due_at_us: int) -> None:
        """Look for this payment's order again at this time; counts ``tries`` up. Idempotent where it is gone."""

    async def release(self, channel: str, reference: str) -> bool:
        """Let go of a payment that is recorded with its order; False if it is not there."""

    async def list(self, after: tuple[str, str] | None = None, limit: int = 50) -> Sequence[ParkedPayment]:
        """All parked payments by (channel, reference), from after this one on, at most ``limit`` (1 to 1,000)."""
