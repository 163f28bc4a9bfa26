"""What columns can hold: how long their texts may be, which amounts of a leg go together, and what does not fit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from orderway.core.hints import LARGEST_BODY
from orderway.core.order import Order
from orderway.core.payment import Leg
from orderway.errors import InvalidValue
from orderway.ports.ledger import Posting
from orderway.ports.parking import ParkedPayment

__all__ = [
    "LARGEST_MESSAGE",
    "LONGEST",
    "check_message",
    "check_page",
    "misfit_in_order",
    "too_long_in_parked",
    "too_long_in_posting",
]

LONGEST: Mapping[str, int] = {
    "uid": 128,
    "own_number": 191,
    "currency": 16,
    "channel": 32,
    "reference": 128,
    "key": 128,
    "account": 64,
    "order_id": 128,
}
"""Characters by column."""
LARGEST_PAGE = 1000
LONGEST_DELAY_S = 864_000
"""Ten days: what every queue can hold a message back for."""


LARGEST_MESSAGE = LARGEST_BODY
"""In bytes."""
_HEADER = re.compile(r"[a-z][a-z0-9-]{0,63}")


def check_message(body: bytes, headers: Mapping[str, str], delay_s: float) -> None:
    """Refuse a message that not every queue can carry as it is.

    Raises:
        InvalidValue: says what is wrong; nothing was sent.
    """
    if len(body) > LARGEST_MESSAGE:
        raise InvalidValue(f"the message has {len(body):,} bytes: {LARGEST_MESSAGE:,} are allowed")
    if not 0 <= delay_s <= LONGEST_DELAY_S:
        raise InvalidValue(f"delay_s={delay_s}: 0 to {LONGEST_DELAY_S:,} are allowed")
    for name, value in headers.items():
        if not _HEADER.fullmatch(name) or not (value.isascii() and value.isprintable()) or len(value) > 1024:
            raise InvalidValue(
                f"header {name!r}: lower case letters, digits and dashes are allowed in a name, and up to 1,024"
                " printable ASCII characters in a value"
            )


def check_page(limit: int) -> None:
    """Refuse a page of no or of too many rows.

    Raises:
        InvalidValue: it is not 1 to 1,000.
    """
    if not 1 <= limit <= LARGEST_PAGE:
        raise InvalidValue(f"limit={limit}: 1 to {LARGEST_PAGE:,} are allowed")


def misfit_in_order(order: Order[Any]) -> InvalidValue | None:
    """The first text of an order or its legs that does not fit its column, or leg that cannot be; None if all fit."""
    values = [("uid", order.uid), ("own_number", order.own_number), ("currency", order.currency)]
    for leg in order.legs:
        values += [("channel", leg.channel), ("reference", leg.reference), ("currency", leg.currency)]
    return _first_too_long(f"order {order.id}", values, order.id) or _first_impossible(order)


def too_long_in_posting(posting: Posting) -> InvalidValue | None:
    """The first text of a posting that does not fit its column; None if all do."""
    values = [("uid", posting.uid), ("key", posting.key), ("currency", posting.currency)]
    values += [("account", line.account) for line in posting.lines]
    return _first_too_long(f"posting {posting.key[:40]!r}", values)


def too_long_in_parked(payment: ParkedPayment) -> InvalidValue | None:
    """The first text of a parked payment that does not fit its column; None if all do."""
    columns = ("channel", "reference", "order_id", "key", "uid", "currency")
    values = [(column, getattr(payment, column)) for column in columns]
    return _first_too_long(f"payment {payment.reference[:40]!r} to be parked", values)


def _first_impossible(order: Order[Any]) -> InvalidValue | None:
    for leg in order.legs:
        if not _is_possible(leg):
            return InvalidValue(
                f"order {order.id}: its leg {leg.number} of {leg.amount_minor} minor units that count for"
                f" {leg.worth_minor} cannot have {leg.authorized_minor} authorized, {leg.captured_minor} captured,"
                f" {leg.refunded_minor} refunded, {leg.refunding_minor} refunding and {leg.disputed_minor} disputed:"
                " none may be below 0, and 0 <= refunded + refunding <= captured <= authorized must hold",
                order_id=order.id,
            )
    return None


def _is_possible(leg: Leg) -> bool:
    amounts = (leg.amount_minor, leg.worth_minor, leg.refunded_minor, leg.refunding_minor, leg.disputed_minor)
    return min(amounts) >= 0 and leg.refundable_minor >= 0 and 0 <= leg.captured_minor <= leg.authorized_minor


def _first_too_long(what: str, values: Iterable[tuple[str, str]], order_id: str | None = None) -> InvalidValue | None:
    for column, text in values:
        if len(text) > LONGEST[column]:
            return InvalidValue(
                f"{what}: {column} has {len(text)} characters, at most {LONGEST[column]} are allowed: {text[:40]!r}...",
                order_id=order_id,
            )
    return None
