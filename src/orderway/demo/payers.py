"""The payers, and the channel between them and the shop: what was dealt to a line, as the scripted channel plays it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from random import Random

from orderway.channels.behaviours import (
    LOST,
    Behaviour,
    Notice,
    PaysAfterClose,
    PaysLater,
    PaysTwice,
    PaysWrongAmount,
    PaysWrongCurrency,
    RefundBehaviour,
    RefundsAtOnce,
    RefundsLater,
    RefundTimesOutAfter,
    RefundTimesOutBefore,
    RefusesRefund,
    TimesOutAfter,
    TimesOutBefore,
)
from orderway.demo.fates import After, Answer, Deal, Fate, random_for

__all__ = ["behaviour_of", "refund_behaviour_of"]

AGAIN_AFTER_S = (0.0, 1.5, 4.0)
"""A channel tells again what nobody has answered. Whom no query would find is told of so often, for shops die here."""


def behaviour_of(deal: Deal, seed: int) -> Behaviour | Sequence[Behaviour]:
    """How a line's payer pays: he takes 20 to 300 ms, and then the fate strikes."""
    random = random_for(deal.purchase, seed, "channel")
    after = _between(random, 20, 300)
    soon, late = Notice(_between(random, 0, 50)), Notice(_between(random, 1_500, 3_000))
    match deal.fate:
        case Fate.TOLD_TWICE:
            return PaysLater(after, (soon, Notice(soon.after + _between(random, 0, 300))))
        case Fate.TOLD_LATE:
            return PaysLater(after, (late,))
        case Fate.NEVER_TOLD:
            return PaysLater(after, LOST)
        case Fate.FORGED:
            return PaysLater(after, (Notice(soon.after, forged="signature"),))
        case Fate.ALTERED:
            return PaysLater(after, (Notice(soon.after, forged="amount"),))
        case Fate.NO_ANSWER:
            return TimesOutAfter()
        case Fate.REQUEST_LOST:
            return [TimesOutBefore(), PaysLater(after, (soon,))]
        case Fate.UNDERPAID:
            return PaysWrongAmount(deal.comes.amount_minor, after=after, notices=(soon,))
        case Fate.WRONG_CURRENCY:
            return PaysWrongCurrency(deal.comes.currency, deal.comes.amount_minor, after, (soon,))
        case Fate.PAID_TWICE:
            return PaysTwice(after, _between(random, 100, 1_000), _until_answered(soon))
        case Fate.LATE_AND_WELCOME | Fate.TOO_LATE:
            return PaysAfterClose(after, _until_answered(soon))
        case _:
            return PaysLater(after, (soon,))


def refund_behaviour_of(deal: Deal, seed: int) -> RefundBehaviour | Sequence[RefundBehaviour]:
    """What becomes of a line's refunds at the channel."""
    if deal.after is After.PART_REFUSED:
        return RefusesRefund("the card has expired")
    random = random_for(deal.purchase, seed, "refund")
    after = _between(random, 200, 800)
    match deal.answer:
        case Answer.LATER:
            return RefundsLater(after)
        case Answer.LATER_NEVER_TOLD:
            return RefundsLater(after, LOST)
        case Answer.NO_ANSWER:
            return RefundTimesOutAfter()
        case Answer.REQUEST_LOST:
            return [RefundTimesOutBefore(), RefundsAtOnce()]
        case _:
            return RefundsAtOnce()


def _until_answered(first: Notice) -> Sequence[Notice]:
    return [Notice(first.after + timedelta(seconds=seconds)) for seconds in AGAIN_AFTER_S]


def _between(random: Random, least_ms: int, most_ms: int) -> timedelta:
    return timedelta(milliseconds=random.randint(least_ms, most_ms))
