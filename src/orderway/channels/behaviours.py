"""What a scripted channel can be told to do: the behaviours of a payer and of his bank, as values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from orderway.ports.channel import Charge

__all__ = [
    "DOUBLED",
    "LOST",
    "ONCE",
    "Behaviour",
    "NeverPays",
    "Notice",
    "PaysAtOnce",
    "PaysLater",
    "PaysTwice",
    "PaysWrongAmount",
    "Refuses",
    "Script",
    "TimesOutAfter",
    "TimesOutBefore",
    "Unreachable",
]


@dataclass(frozen=True, slots=True)
class Notice:
    """One notification of a payment.

    Args:
        after: how long after the payment it is sent.
        forged: None for a true one; ``signature``: signed with another secret; ``amount``: altered after signing.
    """

    after: timedelta = timedelta(0)
    forged: Literal["signature", "amount"] | None = None


LOST: tuple[Notice, ...] = ()
"""The payment is made, and nobody is told."""
ONCE = (Notice(),)
"""One notification, as soon as the payment is made."""
DOUBLED = (Notice(), Notice())
"""Two notifications of the same payment."""


@dataclass(frozen=True, slots=True)
class PaysAtOnce:
    """Charging answers ``Captured``."""

    notices: Sequence[Notice] = LOST


@dataclass(frozen=True, slots=True)
class PaysLater:
    """Charging answers ``Pending``; the payer pays after the delay, and ``notices`` tell of it."""

    after: timedelta = timedelta(seconds=1)
    notices: Sequence[Notice] = ONCE


@dataclass(frozen=True, slots=True)
class PaysTwice:
    """As ``PaysLater``, and then the payer really pays a second time, under another reference."""

    after: timedelta = timedelta(seconds=1)
    again_after: timedelta = timedelta(seconds=1)
    notices: Sequence[Notice] = ONCE


@dataclass(frozen=True, slots=True)
class NeverPays:
    """Charging answers ``Pending``, and the payer walks away."""


@dataclass(frozen=True, slots=True)
class PaysWrongAmount:
    """The payer pays another amount, later: ``amount_minor`` if given, else the price plus ``off_by``."""

    amount_minor: int | None = None
    off_by: int = -1
    after: timedelta = timedelta(seconds=1)
    notices: Sequence[Notice] = ONCE


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
    | NeverPays
    | PaysWrongAmount
    | TimesOutAfter
    | TimesOutBefore
    | Refuses
    | Unreachable
)

Script = Mapping[int | str, Behaviour | Sequence[Behaviour]] | Callable[[Charge], Behaviour | Sequence[Behaviour]]
"""By order id or by amount in minor units, or a function of the charge.

A sequence, for instance ``[TimesOutBefore(), PaysAtOnce()]``, has one behaviour for each charge of an order that finds
its key still untouched; the last one stands for all further ones."""
