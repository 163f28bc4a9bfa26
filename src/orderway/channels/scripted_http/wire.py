"""What client and server say to each other: charges, refunds and outcomes as JSON objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from orderway.core.money import Money
from orderway.errors import InvalidValue
from orderway.ports.channel import (
    Captured,
    Charge,
    ClosedThere,
    HeldThere,
    NotFound,
    Outcome,
    Pending,
    RefundOrder,
    RefundOutcome,
    Refused,
    Returned,
    Short,
)

__all__ = [
    "Said",
    "as_charge",
    "as_outcome",
    "as_refund",
    "as_refund_outcome",
    "field",
    "optional",
    "said_of_charge",
    "said_of_money",
    "said_of_outcome",
    "said_of_refund",
]

Said = Mapping[str, Any]
"""A JSON object."""

Value = TypeVar("Value", str, int, bool)


def field(said: Said, name: str, kind: type[Value]) -> Value:
    """A field of a JSON object.

    Raises:
        InvalidValue: it is missing, or of another kind.
    """
    value = said.get(name)
    if type(value) is not kind:
        found = f"it is {value!r}" if name in said else "it is missing"
        raise InvalidValue(f"the field {name!r} is to be of type {kind.__name__}, and {found}")
    return value


def optional(said: Said, name: str, kind: type[Value]) -> Value | None:
    """A field of a JSON object, or None if it is missing or null."""
    return None if said.get(name) is None else field(said, name, kind)


def said_of_money(amount: Money) -> dict[str, Any]:
    """An amount as two fields."""
    return {"amount_minor": amount.amount_minor, "currency": amount.currency}


def _money(said: Said) -> Money:
    return Money(field(said, "amount_minor", int), field(said, "currency", str))


def said_of_charge(charge: Charge) -> dict[str, Any]:
    """A charge as a JSON object."""
    return {
        "key": charge.key,
        "order_id": charge.order_id,
        "uid": charge.uid,
        **said_of_money(charge.amount),
        "at_most": charge.at_most,
    }


def as_charge(said: Said) -> Charge:
    """A charge from a JSON object; ``at_most`` may be left out."""
    return Charge(
        key=field(said, "key", str),
        order_id=field(said, "order_id", str),
        uid=field(said, "uid", str),
        amount=_money(said),
        at_most=optional(said, "at_most", bool) or False,
    )


def said_of_refund(refund: RefundOrder) -> dict[str, Any]:
    """A refund as a JSON object; what was paid is an amount of its own."""
    return {
        "key": refund.key,
        "order_id": refund.order_id,
        "uid": refund.uid,
        **said_of_money(refund.amount),
        "payment_reference": refund.payment_reference,
        "payment_amount": said_of_money(refund.payment_amount),
    }


def as_refund(said: Said) -> RefundOrder:
    """A refund from a JSON object."""
    paid = said.get("payment_amount")
    if not isinstance(paid, dict):
        raise InvalidValue('the field \'payment_amount\' is to be {"amount_minor": ..., "currency": ...}')
    return RefundOrder(
        key=field(said, "key", str),
        order_id=field(said, "order_id", str),
        uid=field(said, "uid", str),
        amount=_money(said),
        payment_reference=field(said, "payment_reference", str),
        payment_amount=_money(paid),
    )


def said_of_outcome(outcome: Outcome | RefundOutcome) -> dict[str, Any]:
    """An outcome as a JSON object: its name, and what belongs to it."""
    match outcome:
        case Captured(amount, reference):
            return {"outcome": "captured", **said_of_money(amount), "reference": reference}
        case HeldThere(amount, reference):
            return {"outcome": "held", **said_of_money(amount), "reference": reference}
        case Pending(reference, details):
            return {"outcome": "pending", "reference": reference, "details": details}
        case Refused(why):
            return {"outcome": "refused", "why": why}
        case Short(why):
            return {"outcome": "short", "why": why}
        case Returned(reference):
            return {"outcome": "returned", "reference": reference}
        case NotFound():
            return {"outcome": "not_found"}
        case ClosedThere():
            return {"outcome": "closed"}


_EITHER: dict[str, Callable[[Said], Pending | Refused | NotFound]] = {
    "pending": lambda said: Pending(field(said, "reference", str), said.get("details")),
    "refused": lambda said: Refused(field(said, "why", str)),
    "not_found": lambda said: NotFound(),
}
_OF_PAYMENTS: dict[str, Callable[[Said], Outcome]] = {
    **_EITHER,
    "captured": lambda said: Captured(_money(said), field(said, "reference", str)),
    "held": lambda said: HeldThere(_money(said), field(said, "reference", str)),
    "short": lambda said: Short(field(said, "why", str)),
    "closed": lambda said: ClosedThere(),
}
_OF_REFUNDS: dict[str, Callable[[Said], RefundOutcome]] = {
    **_EITHER,
    "returned": lambda said: Returned(field(said, "reference", str)),
}


def as_outcome(said: Said) -> Outcome:
    """A payment's outcome from a JSON object."""
    return _named(said, _OF_PAYMENTS)(said)


def as_refund_outcome(said: Said) -> RefundOutcome:
    """A refund's outcome from a JSON object."""
    return _named(said, _OF_REFUNDS)(said)


Reader = TypeVar("Reader")


def _named(said: Said, readers: Mapping[str, Reader]) -> Reader:
    name = field(said, "outcome", str)
    if name not in readers:
        raise InvalidValue(f"an outcome is one of {', '.join(sorted(readers))}, not {name!r}")
    return readers[name]
