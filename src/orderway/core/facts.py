"""Facts: everything that can happen to an order. The journal is made of them, and nothing else changes an order.

A fact's *private* fields (business data, personal text) are kept beside the chained body of its journal entry, so that
they can be erased later without breaking the chain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from orderway.core.payment import Leg

__all__ = [
    "FACTS",
    "PRIVATE_FIELDS",
    "AllRefunded",
    "Amended",
    "Cancelled",
    "Closed",
    "Created",
    "Delivered",
    "DisputeLost",
    "DisputeOpened",
    "DisputeWon",
    "Ended",
    "Fact",
    "Finished",
    "Held",
    "Paid",
    "PartPaid",
    "PaymentClosed",
    "PaymentDeclined",
    "PaymentPending",
    "PaymentUnknown",
    "PlanChanged",
    "RefundPending",
    "RefundRefused",
    "RefundRequested",
    "RefundResumed",
    "RefundStuck",
    "RefundUnknown",
    "Refunded",
    "Rejected",
    "Released",
    "Reopened",
    "Resumed",
    "Revoked",
    "StepDone",
    "Stuck",
    "TakenBack",
    "UnexpectedAccepted",
    "UnexpectedPayment",
]

PRIVATE_FIELDS = ("data", "remark", "error", "result", "details", "before")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something that happened to an order. ``data`` is the business data from here on, if a hook changed it."""

    effect: ClassVar[bool] = False
    """True for facts that follow an effect: only the order's holder may record them."""

    data: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Created(Fact):
    """The order exists, with all that was agreed: what, for whom, how much, paid in which legs, until when."""

    order_type: int
    uid: str
    amount_minor: int
    currency: str
    legs: tuple[Leg, ...]
    deadline_at_us: int
    fingerprint: str
    own_number: str = ""
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentPending(Fact):
    """The channel accepted the request and waits for the payer. ``details`` (JSON text) is what the payer needs."""

    leg: int
    reference: str = ""
    details: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentUnknown(Fact):
    """The channel was asked and did not answer; from now on it is queried."""

    leg: int
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentDeclined(Fact):
    """The channel refused the payment."""

    leg: int
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentClosed(Fact):
    """The channel confirmed that this payment cannot be made any more."""

    leg: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Held(Fact):
    """A channel has put money aside for a leg: this much, which counts for so much of the price."""

    leg: int
    amount_minor: int
    worth_minor: int
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Released(Fact):
    """A leg's hold went back to the payer."""

    leg: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PartPaid(Fact):
    """A leg was paid, and others are still to come."""

    leg: int
    amount_minor: int
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid(Fact):
    """A leg was paid in full, and with it the whole price: the amount and currency that were asked for."""

    leg: int
    amount_minor: int
    reference: str
    deadline_at_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanChanged(Fact):
    """The payer chose other channels: these legs are new; those that were still open are closed at their channels."""

    legs: tuple[Leg, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnexpectedPayment(Fact):
    """Money came that was not asked for so: another amount or currency, a second time, or for an ended order.

    ``leg`` is the leg whose key it was paid under, if that leg had no money yet: the key is used up.
    """

    channel: str
    amount_minor: int
    currency: str
    reference: str
    leg: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnexpectedAccepted(Fact):
    """A person decided that unexpected money of this leg needs nothing more."""

    leg: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reopened(Fact):
    """A payment came for an order that had ended unpaid, and its type wants it revived: its legs are planned anew.

    ``leg`` is the one that was paid after all: it counts for what it was asked for then.
    """

    leg: int
    deadline_at_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundRequested(Fact):
    """Money of a leg shall go back: it is reserved from here on, before anything is sent."""

    refund: int
    leg: int
    amount_minor: int
    worth_minor: int
    key: str
    why: str
    deadline_at_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundPending(Fact):
    """The channel has accepted the refund and gives its result later."""

    refund: int
    reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundUnknown(Fact):
    """The refund was sent and no answer came; from now on it is queried."""

    refund: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refunded(Fact):
    """The money of this refund went back."""

    refund: int
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundRefused(Fact):
    """The channel refused the refund for good: its money is ours again, and may be refunded another way."""

    refund: int
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundStuck(Fact):
    """The refund had no result by its deadline: it stays reserved, and a person must step in."""

    refund: int
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundResumed(Fact):
    """An operator sent a stuck refund on, under the same key."""

    refund: int
    deadline_at_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AllRefunded(Fact):
    """The whole price has gone back, or was lost in a dispute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeOpened(Fact):
    """The payer has disputed a payment at its channel."""

    leg: int
    amount_minor: int
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeWon(Fact):
    """A dispute was decided for us: the money stays."""

    leg: int
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeLost(Fact):
    """A dispute was decided against us: the channel has taken this much."""

    leg: int
    amount_minor: int
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDone(Fact):
    """One step of the delivery is done, with its result; it is not done again. ``skipped``: a person said so."""

    effect: ClassVar[bool] = True

    step: str
    result: str = "null"
    skipped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered(Fact):
    """The goods are with the user."""

    effect: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished(Fact):
    """The ``finished`` hook has succeeded; the order's way is over."""

    effect: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled(Fact):
    """The order will not be carried out: ``why`` is a class of reasons, ``error`` the reason in words."""

    why: str
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoked(Fact):
    """A paid order shall be undone: goods are taken back, then all money goes back."""

    why: str
    deadline_at_us: int
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenBack(Fact):
    """Whatever was delivered has been taken back, or nothing was."""

    effect: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Amended(Fact):
    """An operator corrected the business data; ``before`` is what it was, ``data`` what it is now."""

    before: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected(Fact):
    """The payer's balance did not suffice, and for this order type that is final."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed(Fact):
    """The order was not paid in time; every payment of it is closed at its channel."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck(Fact):
    """The order cannot move; a person must step in. ``why`` is a class of reasons, ``error`` the last error's text.

    ``attempts`` says how often in a row the step had failed, ``tried_from_us`` since when, in microseconds since 1970.
    """

    why: str
    error: str = ""
    attempts: int = 0
    tried_from_us: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(Fact):
    """The ``ended`` hook has succeeded for an order that was cancelled, rejected, closed, refunded or is stuck."""

    effect: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed(Fact):
    """An operator sent a stuck order on from where it had stopped."""

    deadline_at_us: int


FACTS: dict[str, type[Fact]] = {
    fact.__name__: fact
    for fact in (
        Created,
        PaymentPending,
        PaymentUnknown,
        PaymentDeclined,
        PaymentClosed,
        Held,
        Released,
        PartPaid,
        Paid,
        PlanChanged,
        UnexpectedPayment,
        UnexpectedAccepted,
        Reopened,
        RefundRequested,
        RefundPending,
        RefundUnknown,
        Refunded,
        RefundRefused,
        RefundStuck,
        RefundResumed,
        AllRefunded,
        DisputeOpened,
        DisputeWon,
        DisputeLost,
        StepDone,
        Delivered,
        Finished,
        Revoked,
        TakenBack,
        Amended,
        Cancelled,
        Rejected,
        Closed,
        Stuck,
        Ended,
        Resumed,
    )
}
