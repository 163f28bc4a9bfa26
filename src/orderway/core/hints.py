"""Hints as they travel: the original's JSON ``{"OrderID": ..., "Uid": ...}``, so that old and new services agree."""

from __future__ import annotations

import json
from typing import NamedTuple

from orderway.core.ids import check_order_id
from orderway.errors import InvalidValue

__all__ = ["LARGEST_BODY", "Hint", "decode", "encode"]

LARGEST_BODY = 65_536
"""In bytes; a longer message is no hint, and is not even parsed."""


class Hint(NamedTuple):
    """Which order is to be looked at.

    Args:
        order_id: the order.
        uid: its user, as the sender says; "" where it does not.
    """

    order_id: str
    uid: str = ""


def encode(hint: Hint) -> bytes:
    """A hint as a message's body."""
    return json.dumps({"OrderID": hint.order_id, "Uid": hint.uid}, separators=(",", ":")).encode()


def decode(body: bytes) -> Hint:
    """The hint in a message's body. What else it says is left alone.

    Raises:
        InvalidValue: it is no hint; the text says why, and does not quote it.
    """
    if len(body) > LARGEST_BODY:
        raise InvalidValue(f"it has {len(body):,} bytes, {LARGEST_BODY:,} are allowed")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidValue("it is no JSON") from error
    if not isinstance(found, dict):
        raise InvalidValue("it is no JSON object")
    order_id, uid = found.get("OrderID"), found.get("Uid", "")
    if not isinstance(order_id, str) or not isinstance(uid, str):
        raise InvalidValue("OrderID and Uid must be texts")
    check_order_id(order_id)
    return Hint(order_id, uid)
