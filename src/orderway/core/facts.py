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
    "Cancelled",
    "Closed",
    "Created",
    "Delivered",
    "Ended",
    "Fact",
    "Finished",
    "Paid",
    "PaymentClosed",
    "PaymentDeclined",
    "PaymentPending",
    "PaymentUnknown",
    "Rejected",
    "Resumed",
    "StepDone",
    "Stuck",
    "UnexpectedPayment",
]

PRIVATE_FIELDS = ("data", "remark", "error", "result", "details")


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
class Paid(Fact):
    """A leg was paid in full: the amount and currency that were asked for."""

    leg: int
    amount_minor: int
    reference: str
    deadline_at_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnexpectedPayment(Fact):
    """Money came that was not asked for so: another amount or currency, a second time, or for an ended order."""

    channel: str
    amount_minor: int
    currency: str
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDone(Fact):
    """One step of the delivery is done, with its result; it is not done again."""

    effect: ClassVar[bool] = True

    step: str
    result: str = "null"


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
class Rejected(Fact):
    """The payer's balance did not suffice, and for this order type that is final."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed(Fact):
    """The order was not paid in time; every payment of it is closed at its channel."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck(Fact):
    """The order cannot move; a person must step in. ``why`` is a class of reasons, ``error`` the last error's text."""

    why: str
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(Fact):
    """The ``ended`` hook has succeeded for an order that was cancelled, rejected, closed or is stuck."""

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
        Paid,
        UnexpectedPayment,
        StepDone,
        Delivered,
        Finished,
        Cancelled,
        Rejected,
        Closed,
        Stuck,
        Ended,
        Resumed,
    )
}
