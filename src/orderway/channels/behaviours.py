"""What a scripted channel can be told to do: the behaviours of a payer and of his bank, as values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from orderway.ports.channel import Charge, RefundOrder

__all__ = [
    "DOUBLED",
    "LOST",
    "ONCE",
    "Behaviour",
    "Disputes",
    "HasOnly",
    "NeverPays",
    "Notice",
    "PaysAfterClose",
    "PaysAtOnce",
    "PaysLater",
    "PaysTwice",
    "PaysWrongAmount",
    "PaysWrongCurrency",
    "RefundBehaviour",
    "RefundRefusedLater",
    "RefundScript",
    "RefundTimesOutAfter",
    "RefundTimesOutBefore",
    "RefundUnreachable",
    "RefundsAtOnce",
    "RefundsLater",
    "Refuses",
    "RefusesRefund",
    "Script",
    "TimesOutAfter",
    "TimesOutBefore",
    "Unreachable",
]

_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Notice:
    """One notification of a payment, a refund or a dispute.

    Args:
        after: how long after what it tells of it is sent.
        forged: None for a true one; ``signature``: signed with another secret; ``amount``: altered after signing.
    """

    after: timedelta = timedelta(0)
    forged: Literal["signature", "amount"] | None = None


LOST: tuple[Notice, ...] = ()
"""It happens, and nobody is told."""
ONCE = (Notice(),)
"""One notification, as soon as it happens."""
DOUBLED = (Notice(), Notice())
"""Two notifications of the same thing."""


# ---- payers


@dataclass(frozen=True, slots=True)
class PaysAtOnce:
    """Charging answers ``Captured``."""

    notices: Sequence[Notice] = LOST


@dataclass(frozen=True, slots=True)
class PaysLater:
    """Charging answers ``Pending``; the payer pays after the delay, and ``notices`` tell of it.

    ``uid``: who pays, if it is somebody else than the user of the order.
    """

    after: timedelta = _SECOND
    notices: Sequence[Notice] = ONCE
    uid: str | None = None


@dataclass(frozen=True, slots=True)
class PaysTwice:
    """As ``PaysLater``, and then the payer really pays a second time, under another reference."""

    after: timedelta = _SECOND
    again_after: timedelta = _SECOND
    notices: Sequence[Notice] = ONCE


@dataclass(frozen=True, slots=True)
class PaysAfterClose:
    """Charging answers ``Pending``, closing ``ClosedThere``; so long after that, the money comes all the same."""

    after: timedelta = _SECOND
    notices: Sequence[Notice] = ONCE


@dataclass(frozen=True, slots=True)
class NeverPays:
    """Charging answers ``Pending``, and the payer walks away."""


@dataclass(frozen=True, slots=True)
class PaysWrongAmount:
    """The payer pays another amount, later: ``amount_minor`` if given, else the price plus ``off_by``."""

    amount_minor: int | None = None
    off_by: int = -1
    after: timedelta = _SECOND
    notices: Sequence[Notice] = ONCE


@dataclass(frozen=True, slots=True)
class PaysWrongCurrency:
    """The payer pays in another currency, later: ``amount_minor`` if given, else the price's own number of units."""

    currency: str
    amount_minor: int | None = None
    after: timedelta = _SECOND
    notices: Sequence[Notice] = ONCE


@dataclass(frozen=True, slots=True)
class HasOnly:
    """The payer has so much, in minor units, each time he is asked: what costs more is ``Short``.

    A hold of ``at_most`` the price takes what there is.
    """

    amount_minor: int


@dataclass(frozen=True, slots=True)
class Disputes:
    """The payer pays, and later opens a dispute.

    Args:
        after: how long after the payment the dispute is opened.
        decided: how it ends: ``lost`` means that the channel takes the money from the shop; None: it stays open.
        decided_after: how long after its opening it is decided.
        amount_minor: how much is disputed; None, or more than the shop still has of the payment, means all of that.
        notices: of the opening, and again of the decision.
        pays: how the payer pays first.
    """

    after: timedelta = _SECOND
    decided: Literal["won", "lost"] | None = None
    decided_after: timedelta = _SECOND
    amount_minor: int | None = None
    notices: Sequence[Notice] = ONCE
    pays: PaysAtOnce | PaysLater = PaysAtOnce()


@dataclass(frozen=True, slots=True)
class TimesOutAfter:
    """The money is taken and the answer is lost: ``OutcomeUnknown``; a query tells the truth."""

    notices: Sequence[Notice] = LOST


@dataclass(frozen=True, slots=True)
class TimesOutBefore:
    """The request is lost on its way: ``OutcomeUnknown``, nothing is taken, and a query finds nothing."""


@dataclass(frozen=True, slots=True)
class Refuses:
    """Charging answers ``Refused``."""

    why: str = "refused by the script"


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Nothing can be sent: ``Unavailable``."""


Behaviour = (
    PaysAtOnce
    | PaysLater
    | PaysTwice
    | PaysAfterClose
    | NeverPays
    | PaysWrongAmount
    | PaysWrongCurrency
    | HasOnly
    | Disputes
    | TimesOutAfter
    | TimesOutBefore
    | Refuses
    | Unreachable
)

Script = Mapping[int | str, Behaviour | Sequence[Behaviour]] | Callable[[Charge], Behaviour | Sequence[Behaviour]]
"""By order id or by amount in minor units, or a function of the charge.

A sequence, for instance ``[TimesOutBefore(), PaysAtOnce()]``, has one behaviour for each charge of an order that finds
its key still untouched; the last one stands for all further ones."""


# ---- refunds


@dataclass(frozen=True, slots=True)
class RefundsAtOnce:
    """Refunding answers ``Returned``."""

    notices: Sequence[Notice] = LOST


@dataclass(frozen=True, slots=True)
class RefundsLater:
    """Refunding answers ``Pending``; the money goes back after the delay, and ``notices`` tell of it."""

    after: timedelta = _SECOND
    notices: Sequence[Notice] = ONCE


@dataclass(frozen=True, slots=True)
class RefusesRefund:
    """Refunding answers ``Refused``."""

    why: str = "refused by the script"


@dataclass(frozen=True, slots=True)
class RefundRefusedLater:
    """Refunding answers ``Pending``; the refund is refused after the delay, and ``notices`` tell of it."""

    why: str = "refused by the script"
    after: timedelta = _SECOND
    notices: Sequence[Notice] = ONCE


@dataclass(frozen=True, slots=True)
class RefundTimesOutAfter:
    """The money goes back and the answer is lost: ``OutcomeUnknown``; a query tells the truth."""

    notices: Sequence[Notice] = LOST


@dataclass(frozen=True, slots=True)
class RefundTimesOutBefore:
    """The request is lost on its way: ``OutcomeUnknown``, nothing goes back, and a query finds nothing."""


@dataclass(frozen=True, slots=True)
class RefundUnreachable:
    """Nothing can be sent: ``Unavailable``."""


RefundBehaviour = (
    RefundsAtOnce
    | RefundsLater
    | RefusesRefund
    | RefundRefusedLater
    | RefundTimesOutAfter
    | RefundTimesOutBefore
    | RefundUnreachable
)

RefundScript = (
    Mapping[int | str, RefundBehaviour | Sequence[RefundBehaviour]]
    | Callable[[RefundOrder], RefundBehaviour | Sequence[RefundBehaviour]]
)
"""As ``Script``: by order id or by the refund's amount, or a function of it; sequences go on with each refund of an
order that finds its key still untouched."""
