"""A payment channel: takes the money of a leg, says what became of it, closes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from orderway.core.money import Money

__all__ = [
    "Captured",
    "Channel",
    "Charge",
    "ClosedThere",
    "NotFound",
    "Notification",
    "Outcome",
    "Pending",
    "Refused",
    "Short",
]


@dataclass(frozen=True, slots=True)
class Charge:
    """What is asked of a channel.

    Args:
        key: the idempotency key: the same key never takes money twice.
        order_id: the order that it pays.
        uid: the payer.
        amount: how much.
    """

    key: str
    order_id: str
    uid: str
    amount: Money


@dataclass(frozen=True, slots=True)
class Captured:
    """The money is ours: how much really came, and the channel's own number for it."""

    amount: Money
    reference: str


@dataclass(frozen=True, slots=True)
class Pending:
    """The channel waits for the payer.

    Args:
        reference: the channel's own number of the payment, if it has one already.
        details: what the payer needs, for instance a link: anything that JSON can hold. It is kept in the journal, and
            ``App.payment_details`` gives it to the shop.
    """

    reference: str = ""
    details: Any = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The channel refused for good."""

    why: str


@dataclass(frozen=True, slots=True)
class Short:
    """The payer's balance does not suffice now; nothing was taken."""

    why: str


@dataclass(frozen=True, slots=True)
class NotFound:
    """The channel knows nothing of this key: nothing was taken, and the same key may be charged."""


@dataclass(frozen=True, slots=True)
class ClosedThere:
    """The payment is closed at the channel: it can never be made under this key."""


Outcome = Captured | Pending | Refused | Short | NotFound | ClosedThere


@dataclass(frozen=True, slots=True)
class Notification:
    """What a verified notification says: this much came, for this key of this order, under this number."""

    order_id: str
    key: str
    amount: Money
    reference: str


class Channel(Protocol):
    """A payment channel.

    Every method is idempotent by ``charge.key``. Raises ``OutcomeUnknown`` when something was sent and no answer came,
    ``Unavailable`` when nothing was sent.
    """

    name: str
    """What legs call it; stable, at most 16 of ``a-z 0-9 _``."""

    asks_payer: bool
    """True where the payer pays on the channel's side: charging gives ``Pending`` and a notification follows."""

    async def charge(self, charge: Charge) -> Outcome:
        """Ask for the money: ``Captured``, ``Pending``, ``Refused``, ``Short`` or ``ClosedThere``."""

    async def query(self, charge: Charge) -> Outcome:
        """Ask what became of it: any outcome except ``Short``."""

    async def close(self, charge: Charge) -> Outcome:
        """Make sure that it cannot be paid any more: ``ClosedThere``, or ``Captured`` if it was paid before."""

    def verify(self, body: bytes, headers: Mapping[str, str]) -> Notification:
        """What the channel's notification says, once its signature over the raw body has been verified.

        Raises:
            BadNotification: it was not signed by the channel, or cannot be read; nothing in it is believed.
        """
