"""Payment legs and refunds: the parts in which an order is paid, and what goes back; each a small state machine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

__all__ = ["GATEWAY", "Leg", "LegState", "Refund", "RefundState"]

GATEWAY = "gateway"
"""The channel name of payments taken by the user's own gateway and told to us by ``App.record_payment``."""


class LegState(StrEnum):
    """Where one payment leg stands."""

    __hash__ = str.__hash__  # Enum's own is written in Python

    PLANNED = "planned"  # nothing was asked of the channel yet
    PENDING = "pending"  # the channel waits for the payer
    UNKNOWN = "unknown"  # asked, and no answer came: query, never charge again under another key
    HELD = "held"  # put aside by the channel for us; taken once every other leg is in
    PAID = "paid"  # the money is ours
    DECLINED = "declined"  # the channel refused
    CLOSING = "closing"  # not wanted any more; to be closed at the channel, or its hold released there
    CLOSED = "closed"  # closed at the channel; it cannot be paid any more
    RELEASED = "released"  # its hold went back to the payer
    UNEXPECTED = "unexpected"  # money that came without being asked for so; kept until it is given back
    ACCEPTED = "accepted"  # unexpected money of which a person decided that nothing more is needed


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
        attempt: counts the keys used: a new one is begun only after the old one is confirmed closed, or paid wrongly.
        reference: the channel's own number of the payment, or "".
        authorized_minor: what the payer has agreed to.
        captured_minor: what we have got.
        refunding_minor: reserved to go back.
        refunded_minor: gone back, or taken back by a lost dispute.
        worth_minor: what it counts for of the price, in minor units of the order's currency; 0 for a leg that another
            one has replaced, and for unexpected money.
        holds: True if it is held first, and captured when every other leg is in.
        at_most: True if its amount is open: it takes what is there, up to what is missing.
        disputed_minor: what somebody wants back in a dispute that is not decided.
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
    worth_minor: int = 0
    holds: bool = False
    at_most: bool = False
    disputed_minor: int = 0

    @property
    def is_open(self) -> bool:
        """True while it may still be paid."""
        return self.state in OPEN_STATES

    @property
    def refundable_minor(self) -> int:
        """What we have of it and is not reserved to go back, in minor units of its currency."""
        return self.captured_minor - self.refunded_minor - self.refunding_minor

    @property
    def kept_minor(self) -> int:
        """What we have of it, in minor units of its currency, reserved or not."""
        return self.captured_minor - self.refunded_minor

    def moved(self, state: LegState, reference: str = "") -> Leg:
        """This leg in another state, keeping the reference it has if no new one is given."""
        return replace(self, state=state, reference=reference or self.reference)

    def held(self, amount_minor: int, worth_minor: int, reference: str) -> Leg:
        """This leg with money put aside for it."""
        return replace(
            self,
            state=LegState.HELD,
            reference=reference or self.reference,
            amount_minor=amount_minor,
            authorized_minor=amount_minor,
            worth_minor=worth_minor,
        )

    def paid(self, amount_minor: int, reference: str, state: LegState = LegState.PAID) -> Leg:
        """This leg with money in it."""
        return replace(
            self,
            state=state,
            reference=reference or self.reference,
            authorized_minor=amount_minor,
            captured_minor=amount_minor,
        )

    def planned_again(self) -> Leg:
        """This leg as planned, under a new key."""
        return replace(self, state=LegState.PLANNED, attempt=self.attempt + 1, reference="", authorized_minor=0)


class RefundState(StrEnum):
    """Where one refund stands."""

    __hash__ = str.__hash__  # Enum's own is written in Python

    RESERVED = "reserved"  # its money is set aside; nothing was asked of the channel yet
    PENDING = "pending"  # the channel has it, and gives its result later
    UNKNOWN = "unknown"  # sent, and no answer came: query, never send under another key
    RETURNED = "returned"  # the money went back
    REFUSED = "refused"  # the channel refused; the money is ours, and may be refunded again
    STUCK = "stuck"  # no result by its deadline: reserved still, and in front of a person


LIVE_STATES = frozenset({RefundState.RESERVED, RefundState.PENDING, RefundState.UNKNOWN})


@dataclass(frozen=True, slots=True)
class Refund:
    """Money of one leg on its way back.

    Args:
        number: 1 for the first refund of the order; part of its idempotency key at the channel.
        leg: the number of the leg whose money it is.
        amount_minor: how much, in minor units of the leg's currency.
        worth_minor: what it counts for of the price, in the order's currency; 0 for money that was unexpected.
        key: the caller's own key of the request; several refunds share it where one request touches several legs.
        why: a class of reasons, for instance ``requested``, ``cancelled``, ``unexpected``.
        deadline_at_us: until when it is tried.
        state: where it stands.
        reference: the channel's own number of the refund, or "".
    """

    number: int
    leg: int
    amount_minor: int
    worth_minor: int
    key: str
    why: str
    deadline_at_us: int
    state: RefundState = RefundState.RESERVED
    reference: str = ""

    @property
    def is_live(self) -> bool:
        """True while its result is to be brought about."""
        return self.state in LIVE_STATES
