"""Notifications of a scripted channel: what they say, how they are signed, and those that are still to be sent."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orderway.channels.behaviours import Notice
from orderway.channels.scripted.storage import Storage, as_us
from orderway.core.money import Money
from orderway.errors import BadNotification
from orderway.ports.channel import DisputeNotification, Notification, RefundNotification, Refused, Returned
from orderway.ports.channel import Notice as Verified

__all__ = ["SIGNATURE_HEADER", "Outbox", "Seal"]

SIGNATURE_HEADER = "Scripted-Signature"


class Seal:
    """Signs notifications and verifies them: HMAC-SHA256 over the raw body, in hexadecimal digits.

    Args:
        secret: what channel and shop share.
        name: of the channel, for messages.
    """

    def __init__(self, secret: bytes, name: str) -> None:
        self._secret = secret
        self._name = name

    def sign(self, says: Mapping[str, object], notice: Notice) -> tuple[bytes, str]:
        """Body and signature of a notification, true or forged as its notice wants it."""
        body = json.dumps(says).encode()
        signature = _signature(b"not " + self._secret if notice.forged == "signature" else self._secret, body)
        if notice.forged == "amount":
            altered = {**says, "amount_minor": int(str(says["amount_minor"])) + 1}
            body = json.dumps(altered).encode()
        return body, signature

    def verify(self, body: bytes, headers: Mapping[str, str]) -> Verified:
        """What a notification says.

        Raises:
            BadNotification: the signature is missing or wrong, or the body cannot be read.
        """
        given = next((text for name, text in headers.items() if name.lower() == SIGNATURE_HEADER.lower()), "")
        if not hmac.compare_digest(given.encode(errors="replace"), _signature(self._secret, body).encode()):
            raise BadNotification(
                f"{SIGNATURE_HEADER} does not match the body: it was not sent by {self._name}, or altered"
            )
        try:
            said = json.loads(body)
            return _READERS[said["about"]](said)
        except (ValueError, KeyError, TypeError) as error:
            raise BadNotification(f"the notification is signed but cannot be read: {error!r}") from error


class Outbox:
    """The notifications that are still to be sent; every method runs inside a transaction."""

    def __init__(self, storage: Storage, seal: Seal) -> None:
        self._storage = storage
        self._seal = seal

    def queue(
        self, about: str, says: Mapping[str, object], notices: Sequence[Notice], now_us: int | None, after_us: int = 0
    ) -> None:
        """Queue the notices of something that happens so long after now, or after what it waits for (None)."""
        for notice in notices:
            body, signature = self._seal.sign(says, notice)
            self._insert(about, after_us + as_us(notice.after), now_us, body, signature)

    def put_back(self, about: str, body: bytes, signature: str, due_us: int) -> None:
        """Queue a notification again that its receiver could not take."""
        self._insert(about, 0, due_us, body, signature)

    def pop(self, now_us: int, limit: int) -> list[tuple[str, bytes, str]]:
        """Those that are due, as (about, body, signature), oldest first; -1 is no limit."""
        due = self._storage.rows(
            "SELECT number, about, body, signature FROM notices WHERE due_us <= ? ORDER BY due_us, number LIMIT ?",
            now_us,
            limit,
        )
        for number, *_ in due:
            self._storage.execute("DELETE FROM notices WHERE number = ?", number)
        return [(about, body, signature) for _, about, body, signature in due]

    def _insert(self, about: str, after_us: int, now_us: int | None, body: bytes, signature: str) -> None:
        self._storage.execute(
            "INSERT INTO notices (about, after_us, due_us, body, signature) VALUES (?, ?, ?, ?, ?)",
            about,
            after_us,
            None if now_us is None else now_us + after_us,
            body,
            signature,
        )


def _signature(secret: bytes, body: bytes) -> str:
    return hmac.new(secret, body, hashlib.sha256).hexdigest()


def _text(said: Mapping[str, Any], name: str) -> str:
    text = said[name]
    if not isinstance(text, str):
        raise TypeError(f"{name} is {text!r}, not text")
    return text


def _money(said: Mapping[str, Any]) -> Money:
    return Money(said["amount_minor"], _text(said, "currency"))


def _payment(said: Mapping[str, Any]) -> Notification:
    return Notification(
        order_id=_text(said, "order_id"),
        key=_text(said, "key"),
        amount=_money(said),
        reference=_text(said, "reference"),
        uid=_text(said, "uid"),
    )


def _refund(said: Mapping[str, Any]) -> RefundNotification:
    results: dict[str, Callable[[], Returned | Refused]] = {
        "returned": lambda: Returned(_text(said, "reference")),
        "refused": lambda: Refused(_text(said, "why")),
    }
    return RefundNotification(_text(said, "order_id"), _text(said, "key"), results[said["result"]]())


def _dispute(said: Mapping[str, Any]) -> DisputeNotification:
    state = said["state"]
    if state not in {"opened", "won", "lost"}:
        raise ValueError(f"a dispute is opened, won or lost, not {state!r}")
    return DisputeNotification(
        order_id=_text(said, "order_id"),
        payment_reference=_text(said, "payment_reference"),
        reference=_text(said, "reference"),
        amount=_money(said),
        state=state,
    )


_READERS: dict[str, Callable[[Mapping[str, Any]], Verified]] = {
    "payment": _payment,
    "refund": _refund,
    "dispute": _dispute,
}
