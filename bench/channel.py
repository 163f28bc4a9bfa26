"""A payment channel that costs nothing: it takes every payment at once, in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NoReturn

from orderway.errors import BadNotification
from orderway.ports.channel import (
    Captured,
    Charge,
    ClosedThere,
    NotFound,
    Outcome,
    RefundOrder,
    RefundOutcome,
    Refused,
    Returned,
)

__all__ = ["CHANNEL", "AtOnce"]

CHANNEL = "at_once"


class AtOnce:
    """Answers every charge with ``Captured``. What is measured is then Orderway, and not a channel."""

    name = CHANNEL
    asks_payer = False
    holds = False
    query_after: Sequence[timedelta] = ()

    def __init__(self) -> None:
        self._keys: dict[str, Outcome] = {}

    async def charge(self, charge: Charge) -> Outcome:
        """Take it."""
        return self._keys.setdefault(charge.key, Captured(charge.amount, f"T-{charge.key}"))

    async def hold(self, charge: Charge) -> Outcome:
        """Refuse: it only charges."""
        return Refused("this channel does not hold")

    async def capture(self, charge: Charge) -> Outcome:
        """Nothing is ever held."""
        return NotFound()

    async def query(self, charge: Charge) -> Outcome:
        """What became of it."""
        return self._keys.get(charge.key, NotFound())

    async def close(self, charge: Charge) -> Outcome:
        """Use the key up."""
        return self._keys.setdefault(charge.key, ClosedThere())

    async def refund(self, refund: RefundOrder) -> RefundOutcome:
        """Give it back."""
        return Returned(f"R-{refund.key}")

    async def query_refund(self, refund: RefundOrder) -> RefundOutcome:
        """What became of a refund: it is done again, which costs nothing."""
        return NotFound()

    def verify(self, body: bytes, headers: Mapping[str, str]) -> NoReturn:
        """It sends no notifications.

        Raises:
            BadNotification: always.
        """
        raise BadNotification(f"the channel {self.name} sends no notifications")
