"""How long the texts may be that databases keep in columns of a fixed length, and which value is longer than that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from orderway.core.order import Order
from orderway.errors import InvalidValue
from orderway.ports.ledger import Posting

__all__ = ["LONGEST", "too_long_in_order", "too_long_in_posting"]

LONGEST: Mapping[str, int] = {
    "uid": 128,
    "own_number": 191,
    "currency": 16,
    "channel": 32,
    "reference": 128,
    "key": 128,
    "account": 64,
}
"""Characters by column."""


def too_long_in_order(order: Order[Any]) -> InvalidValue | None:
    """The first text of an order or its legs that does not fit its column; None if all do."""
    values = [("uid", order.uid), ("own_number", order.own_number), ("currency", order.currency)]
    for leg in order.legs:
        values += [("channel", leg.channel), ("reference", leg.reference), ("currency", leg.currency)]
    return _first_too_long(f"order {order.id}", values, order.id)


def too_long_in_posting(posting: Posting) -> InvalidValue | None:
    """The first text of a posting that does not fit its column; None if all do."""
    values = [("uid", posting.uid), ("key", posting.key), ("currency", posting.currency)]
    values += [("account", line.account) for line in posting.lines]
    return _first_too_long(f"posting {posting.key[:40]!r}", values)


def _first_too_long(what: str, values: Iterable[tuple[str, str]], order_id: str | None = None) -> InvalidValue | None:
    for column, text in values:
        if len(text) > LONGEST[column]:
            return InvalidValue(
                f"{what}: {column} has {len(text)} characters, at most {LONGEST[column]} are allowed: {text[:40]!r}...",
                order_id=order_id,
            )
    return None
