"""A payment channel: holds and takes the money of a leg, says what became of it, closes it, gives it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, Protocol

from orderway.core.money import Money

__all__ = [
    "Captured",
    "Channel",
    "Charge",
    "ClosedThere",
    "DisputeNotification",
    "HeldThere",
    "NotFound",
    "Notice",
    "Notification",
    "Outcome",
    "Pending",
    "RefundNotification",
    "RefundOrder",
    "RefundOutcome",
    "Refused",
    "Returned",
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
        at_most: for ``hold``: hold what the payer has, up to the amount; ``Short`` only where there is nothing.
    """

    key: str
    order_id: str
    uid: str
    amount: Money
    at_most: bool = False


@dataclass(frozen=True, slots=True)
class Captured:
    """The money is ours: how much really came, and the channel's own number for it.

    ``uid`` is the payer, where the channel knows the user; "" where it does not.
    """

    amount: Money
    reference: str
    uid: str = ""


@dataclass(frozen=True, slots=True)
class HeldThere:
    """The money is put aside for us: how much, and the channel's own number for it. Only we can end the hold."""

    amount: Money
    reference: str


@dataclass(frozen=True, slots=True)
class Pending:
    """The channel waits: for the payer, or to give a refund's result.

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


Outcome = Captured | HeldThere | Pending | Refused | Short | NotFound | ClosedThere


@dataclass(frozen=True, slots=True)
class RefundOrder:
    """What a channel is asked to give back.

    Args:
        key: the idempotency key: the same key never gives money back twice.
        order_id: the order that it belongs to.
        uid: the payer.
        amount: how much goes back.
        payment_reference: the channel's own number of the payment.
        payment_amount: what was paid under that number.
    """

    key: str
    order_id: str
    uid: str
    amount: Money
    payment_reference: str
    payment_amount: Money


@dataclass(frozen=True, slots=True)
class Returned:
    """The money went back: the channel's own number of the refund."""

    reference: str


RefundOutcome = Returned | Pending | Refused | NotFound


@dataclass(frozen=True, slots=True)
class Notification:
    """What a verified notification says: this much came, for this key of this order, under this number.

    ``uid`` is the payer, where the channel knows the user; "" where it does not.
    """

    order_id: str
    key: str
    amount: Money
    reference: str
    uid: str = ""


@dataclass(frozen=True, slots=True)
class RefundNotification:
    """What a verified notification says of a refund: what became of the one with this key of this order."""

    order_id: str
    key: str
    outcome: Returned | Refused


@dataclass(frozen=True, slots=True)
class DisputeNotification:
    """What a verified notification says of a dispute: somebody wants this much of a payment back, or it is decided.

    Args:
        order_id: the order that was paid.
        payment_reference: the channel's own number of the payment.
        reference: the channel's own number of the dispute.
        amount: how much is disputed.
        state: ``lost`` means that the channel has taken the money from us.
    """

    order_id: str
    payment_reference: str
    reference: str
    amount: Money
    state: Literal["opened", "won", "lost"]


Notice = Notification | RefundNotification | DisputeNotification


class Channel(Protocol):
    """A payment channel.

    Every method is idempotent by its key. Raises ``OutcomeUnknown`` when something was sent and no answer came,
    ``Unavailable`` when nothing was sent. Capturing and closing a key exclude each other, whoever races.
    """

    name: str
    """What legs call it; stable, at most 32 of ``a-z 0-9 _``."""

    asks_payer: bool
    """True where the payer pays on the channel's side: charging gives ``Pending`` and a notification follows."""

    @property
    def query_after(self) -> Sequence[timedelta]:
        """When it is asked for a result that it owes, if nobody tells.

        So long after the order changed last, then so long after that, and so on; the last one stands for all further
        ones. Empty: as ``Business.query_every`` says.
        """

    holds: bool
    """True where money can be put aside first and taken later: ``hold``, then ``capture`` or ``close``."""

    async def charge(self, charge: Charge) -> Outcome:
        """Ask for the money: ``Captured``, ``Pending``, ``Refused``, ``Short`` or ``ClosedThere``."""

    async def hold(self, charge: Charge) -> Outcome:
        """Put the money aside: ``HeldThere``, ``Refused``, ``Short`` or ``ClosedThere``; only where ``holds``.

        A hold lasts until it is captured or closed. The same key always gives the amount that was held first.
        """

    async def capture(self, charge: Charge) -> Outcome:
        """Take what is held under this key, all of it: ``Captured``, or ``ClosedThere`` if it was released before.

        ``NotFound`` if nothing was ever held.
        """

    async def query(self, charge: Charge) -> Outcome:
        """Ask what became of it: any outcome except ``Short``."""

    async def close(self, charge: Charge) -> Outcome:
        """Make sure that it cannot be paid any more: ``ClosedThere``, or ``Captured`` if it was paid before.

        Releases what is held under this key. Works for a key that the channel has never seen, too: whoever comes
        later with it is refused.
        """

    async def refund(self, refund: RefundOrder) -> RefundOutcome:
        """Give money back: ``Returned``, ``Pending`` (the result comes later) or ``Refused``."""

    async def query_refund(self, refund: RefundOrder) -> RefundOutcome:
        """Ask what became of a refund: any outcome; ``NotFound`` if it never came, and may be sent."""

    def verify(self, body: bytes, headers: Mapping[str, str]) -> Notice:
        """What the channel's notification says, once its signature over the raw body has been verified.

        Raises:
            BadNotification: it was not signed by the channel, or cannot be read; nothing in it is believed.
        """
