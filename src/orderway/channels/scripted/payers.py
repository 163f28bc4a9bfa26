"""What a payer does when he is asked for money, as his behaviour says; which behaviour a script chooses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar

from orderway.channels.behaviours import (
    LOST,
    Behaviour,
    Disputes,
    HasOnly,
    NeverPays,
    Notice,
    PaysAfterClose,
    PaysAtOnce,
    PaysLater,
    PaysTwice,
    PaysWrongAmount,
    PaysWrongCurrency,
    RefundBehaviour,
    Refuses,
    TimesOutAfter,
    TimesOutBefore,
    Unreachable,
)
from orderway.core.money import Money
from orderway.ports.channel import Charge, RefundOrder, Refused, Short

__all__ = ["Payment", "Reaction", "charged", "chosen", "held"]

_AT_ONCE = timedelta(0)

Asked = TypeVar("Asked", Charge, RefundOrder)
Behaves = TypeVar("Behaves", bound=Behaviour | RefundBehaviour)


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment that a payer makes, or will make.

    Args:
        amount: how much.
        after: when it comes.
        notices: that tell of it.
        waits: True if ``after`` counts from the capture or the close of its key, not from now.
        uid: who pays; None: the user who was charged.
        dispute: the dispute that follows it.
    """

    amount: Money
    after: timedelta = _AT_ONCE
    notices: Sequence[Notice] = LOST
    waits: bool = False
    uid: str | None = None
    dispute: Disputes | None = None


Reaction = Sequence[Payment] | Refused | Short | None
"""The payments that follow, or why there are none; None where the request never arrives."""


def chosen(
    script: Mapping[int | str, Behaves | Sequence[Behaves]] | Callable[[Asked], Behaves | Sequence[Behaves]],
    default: Behaves,
    asked: Asked,
    count_attempt: Callable[[], int],
) -> Behaves:
    """The behaviour that a script has for a charge or a refund: by order before by amount before the default."""
    if callable(script):
        choice = script(asked)
    else:
        choice = script.get(asked.order_id, script.get(asked.amount.amount_minor, default))
    if not isinstance(choice, Sequence):
        return choice
    return choice[min(count_attempt(), len(choice)) - 1] if choice else default


def charged(charge: Charge, behaviour: Behaviour) -> Reaction:
    """What a payer does when he is charged."""
    price = charge.amount
    match behaviour:
        case TimesOutBefore() | Unreachable():
            return None
        case Refuses(why):
            return Refused(why)
        case HasOnly(amount_minor) if amount_minor < price.amount_minor:
            return _short(price, amount_minor)
        case Disputes(pays=pays):
            return [replace(payment, dispute=behaviour) for payment in _payments(price, pays)]
        case _:
            return _payments(price, behaviour)


def held(charge: Charge, behaviour: Behaviour) -> Reaction:
    """What a payer does when money is to be put aside: whoever would pay agrees at once."""
    price = charge.amount
    match behaviour:
        case NeverPays():
            return Refused("the payer did not agree")
        case HasOnly(amount_minor) if amount_minor < price.amount_minor:
            if not charge.at_most or amount_minor <= 0:
                return _short(price, amount_minor)
            return [Payment(Money(amount_minor, price.currency), waits=True)]
    reaction = charged(charge, behaviour)
    if not isinstance(reaction, Sequence):
        return reaction
    # All that comes is what was put aside, when it is captured: other amounts and second payments have no place here.
    return [replace(reaction[0], amount=price, after=_AT_ONCE, waits=True)]


def _payments(price: Money, behaviour: Behaviour) -> list[Payment]:
    match behaviour:
        case PaysAtOnce(notices) | TimesOutAfter(notices):
            return [Payment(price, _AT_ONCE, notices)]
        case HasOnly():
            return [Payment(price)]
        case PaysLater(after, notices, uid):
            return [Payment(price, after, notices, uid=uid)]
        case PaysTwice(after, again_after, notices):
            return [Payment(price, after, notices), Payment(price, after + again_after, notices)]
        case PaysAfterClose(after, notices):
            return [Payment(price, after, notices, waits=True)]
        case PaysWrongAmount(amount_minor, off_by, after, notices):
            wrong = price.amount_minor + off_by if amount_minor is None else amount_minor
            return [Payment(Money(wrong, price.currency), after, notices)]
        case PaysWrongCurrency(currency, amount_minor, after, notices):
            wrong = price.amount_minor if amount_minor is None else amount_minor
            return [Payment(Money(wrong, currency), after, notices)]
        case _:
            return []


def _short(price: Money, amount_minor: int) -> Short:
    return Short(f"the payer has {Money(amount_minor, price.currency)} of {price}")
