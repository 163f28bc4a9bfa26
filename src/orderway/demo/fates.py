"""Fates: how each line is paid, what goes wrong with it, and what operators do afterwards. A seed deals them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from random import Random
from typing import TypeVar

from orderway.core.money import Money, define_currency
from orderway.demo.purchases import CURRENCY, Purchase

__all__ = [
    "AFTERWARDS",
    "ANSWERS",
    "FATES",
    "POINTS",
    "After",
    "Answer",
    "Deal",
    "Fate",
    "Kill",
    "OrderType",
    "Parts",
    "Way",
    "deal",
    "kill_schedule",
    "random_for",
]

POINTS = define_currency("POINTS", 0).code
"""What customers collect. A point counts for one cent."""

Choice = TypeVar("Choice", bound=StrEnum)


class OrderType(IntEnum):
    """The shop's order types."""

    RECORDS = 1  # patient: they wait for their money for hours
    ON_OFFER = 2  # to be paid at once; who pays too late gets them all the same
    LAST_COPIES = 3  # to be paid at once; who pays too late gets his money back


class Way(StrEnum):
    """How a line is paid."""

    PREPAID = "prepaid from the wallet"
    LATER = "paid later through the channel"
    MIXED = "mixed of points, wallet and channel"
    NOTHING_TO_PAY = "with nothing to pay"


class Fate(StrEnum):
    """What the channel does with a payment, and what the shop hears of it."""

    TOLD = "told once"
    TOLD_TWICE = "told twice"
    TOLD_LATE = "told late"
    NEVER_TOLD = "never told"
    FORGED = "told with a forged signature"
    ALTERED = "told another amount than was signed"
    NO_ANSWER = "paid with the answer lost"
    REQUEST_LOST = "asked in vain at first"
    UNDERPAID = "underpaid"
    WRONG_CURRENCY = "paid in EUR"
    PAID_TWICE = "paid twice"
    LATE_AND_WELCOME = "paid too late, delivered all the same"
    TOO_LATE = "paid too late, given back"


class After(StrEnum):
    """What an operator does once an order is delivered."""

    NOTHING = "nothing"
    PART_BACK = "a third given back"
    PART_REFUSED = "a third asked back, which the channel refuses"
    ALL_BACK = "all given back, the goods left there"
    TAKEN_BACK = "cancelled: goods taken back, all given back"


class Answer(StrEnum):
    """How the channel does its refunds."""

    AT_ONCE = "done at once"
    LATER = "done later, and told"
    LATER_NEVER_TOLD = "done later, and never told"
    NO_ANSWER = "done with the answer lost"
    REQUEST_LOST = "asked in vain at first"


FATES: dict[Fate, int] = {
    Fate.TOLD_TWICE: 10,
    Fate.TOLD_LATE: 12,
    Fate.NEVER_TOLD: 10,
    Fate.FORGED: 25,
    Fate.ALTERED: 25,
    Fate.NO_ANSWER: 50,
    Fate.REQUEST_LOST: 100,
    Fate.UNDERPAID: 100,
    Fate.WRONG_CURRENCY: 200,
    Fate.PAID_TWICE: 50,
    Fate.LATE_AND_WELCOME: 50,
    Fate.TOO_LATE: 50,
}
"""Of the orders that the channel takes part in, one in how many meets this fate; all others are told once."""

AFTERWARDS: dict[After, int] = {
    After.PART_BACK: 20,
    After.PART_REFUSED: 100,
    After.ALL_BACK: 40,
    After.TAKEN_BACK: 40,
}
"""Of the orders that were paid and delivered in time, with one in how many an operator does this."""

ANSWERS: dict[Answer, int] = {
    Answer.LATER: 4,
    Answer.LATER_NEVER_TOLD: 10,
    Answer.NO_ANSWER: 10,
    Answer.REQUEST_LOST: 20,
}
"""Of the channel's refunds, one in how many is done so; all others at once."""

_NOT_DELIVERED_IN_TIME = frozenset({Fate.UNDERPAID, Fate.WRONG_CURRENCY, Fate.LATE_AND_WELCOME, Fate.TOO_LATE})


@dataclass(frozen=True, slots=True)
class Parts:
    """What each of a line's payments comes to, in cents (and points) of its price; together they are the price."""

    points: int = 0
    wallet: int = 0
    channel: int = 0


@dataclass(frozen=True, slots=True)
class Deal:
    """What was dealt to a line.

    Args:
        purchase: the line.
        way: how it is paid.
        fate: what the channel does with it; ``TOLD`` where the channel takes no part.
        after: what an operator does afterwards.
        answer: how the channel does its refunds.
    """

    purchase: Purchase
    way: Way
    fate: Fate = Fate.TOLD
    after: After = After.NOTHING
    answer: Answer = Answer.AT_ONCE

    @property
    def order_type(self) -> OrderType:
        """The type of its order."""
        types = {Fate.LATE_AND_WELCOME: OrderType.ON_OFFER, Fate.TOO_LATE: OrderType.LAST_COPIES}
        return types.get(self.fate, OrderType.RECORDS)

    @property
    def order_id(self) -> str:
        """The id of its order."""
        return self.purchase.order_id(self.order_type)

    @property
    def parts(self) -> Parts:
        """A tenth in points and three tenths from the wallet where it is mixed; the channel takes the rest."""
        price = self.purchase.amount.amount_minor
        match self.way:
            case Way.PREPAID:
                return Parts(wallet=price)
            case Way.MIXED:
                points, wallet = price // 10, price * 3 // 10
                return Parts(points, wallet, price - points - wallet)
            case _:
                return Parts(channel=price)

    @property
    def part_back(self) -> Money:
        """What goes back where a part does: a third of the price."""
        return Money(self.purchase.amount.amount_minor // 3, CURRENCY)

    @property
    def comes(self) -> Money:
        """What the payer pays through the channel, each time he pays."""
        due = self.parts.channel
        match self.fate:
            case Fate.UNDERPAID:
                return Money(due * 9 // 10, CURRENCY)
            case Fate.WRONG_CURRENCY:
                return Money(due, "EUR")
            case _:
                return Money(due, CURRENCY)

    @property
    def needs_operator(self) -> bool:
        """True if an operator has something to do with it."""
        return self.after is not After.NOTHING or self.fate in {Fate.UNDERPAID, Fate.WRONG_CURRENCY}


def deal(purchase: Purchase, seed: int) -> Deal:
    """What is dealt to a line; each line has its own, whatever other lines there are."""
    if not purchase.amount:
        return Deal(purchase, Way.NOTHING_TO_PAY)
    random = random_for(purchase, seed, "fate")
    way = random.choice((Way.PREPAID, Way.MIXED, Way.LATER))
    fate = _one_in(FATES, random, Fate.TOLD)
    after = _one_in(AFTERWARDS, random, After.NOTHING)
    answer = _one_in(ANSWERS, random, Answer.AT_ONCE)
    if way is Way.PREPAID:
        # No channel takes part, and a wallet never refuses.
        return Deal(purchase, way, after=After.NOTHING if after is After.PART_REFUSED else after)
    return Deal(purchase, way, fate, After.NOTHING if fate in _NOT_DELIVERED_IN_TIME else after, answer)


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill: when so many orders have come to their end, the shop of this lane dies."""

    at_ended: int
    lane: int


def kill_schedule(seed: int, kills: int, orders: int, lanes: int) -> list[Kill]:
    """So many kills at random, one in each equal part of the run; by progress, so that every machine repeats them."""
    random = Random(f"{seed} kills")
    part = orders * 0.95 / max(kills, 1)
    return [Kill(int(part * (number + random.random())), random.randrange(lanes)) for number in range(kills)]


def random_for(purchase: Purchase, seed: int, purpose: str) -> Random:
    """A source of numbers of a line's own."""
    return Random(f"{seed} {purchase.line} {purpose}")


def _one_in(rates: Mapping[Choice, int], random: Random, otherwise: Choice) -> Choice:
    number = random.random()
    for choice, one_in in rates.items():
        number -= 1 / one_in
        if number < 0:
            return choice
    return otherwise
