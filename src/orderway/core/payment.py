"""Payment legs: the parts in which an order is paid, each through one channel, each with a small state machine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

__all__ = ["GATEWAY", "Leg", "LegState"]

GATEWAY = "gateway"
"""The channel name of payments taken by the user's own gateway and told to us by ``App.record_payment``."""


class LegState(StrEnum):
    """Where one payment leg stands."""

    __hash__ = str.__hash__  # Enum's own is written in Python

    PLANNED = "planned"  # nothing was asked of the channel yet
    PENDING = "pending"  # the channel waits for the payer
    UNKNOWN = "unknown"  # asked, and no answer came: query, never charge again under another key
    PAID = "paid"  # the money is ours
    DECLINED = "declined"  # the channel refused
    CLOSED = "closed"  # closed at the channel; it cannot be paid any more
    UNEXPECTED = "unexpected"  # money that came without being asked for so; kept, and in front of a person


OPEN_STATES = frozenset({LegState.PLANNED, LegState.PENDING, LegState.UNKNOWN})


@dataclass(frozen=True, slots=True)
class Leg:
    """One part of an order's payment.

    ``0 <= refunded + refunding <= captured <= authorized`` holds at any moment; the database enforces it too.

    Args:
        number: 0 for the first leg of the order.
        channel: the name of the channel that takes it.
        amount_minor: what is asked for, in minor units of ``currency``.
        currency: the code of its currency.
        state: where it stands.
        attempt: counts the keys used: a new one is begun only after the old one is confirmed closed.
        reference: the channel's own number of the payment, or "".
        authorized_minor: what the payer has agreed to.
        captured_minor: what we have got.
        refunding_minor: reserved to go back.
        refunded_minor: gone back.
    """

    number: int
    channel: str
    amount_minor: int
    currency: str
    state: LegState = LegState.PLANNED
    attempt: int = 1
    reference: str = ""
    authorized_minor: int = 0
    captured_minor: int = 0
    refunding_minor: int = 0
    refunded_minor: int = 0

    @property
    def is_open(self) -> bool:
        """True while it may still be paid."""
        return self.state in OPEN_STATES

    def moved(self, state: LegState, reference: str = "") -> Leg:
        """This leg in another state, keeping the reference it has if no new one is given."""
        return replace(self, state=state, reference=reference or self.reference)

    def paid(self, amount_minor: int, reference: str, state: LegState = LegState.PAID) -> Leg:
        """This leg with money in it."""
        return replace(
            self,
            state=state,
            reference=reference,
            authorized_minor=amount_minor,
            captured_minor=amount_minor,
        )
