"""Fates: how each line is paid, and what goes wrong with it. A seed deals them, the same ones every time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from random import Random

from orderway.channels.behaviours import (
    LOST,
    Behaviour,
    Notice,
    PaysLater,
    PaysWrongAmount,
    TimesOutAfter,
    TimesOutBefore,
)
from orderway.core.money import Money
from orderway.demo.purchases import Purchase

__all__ = ["RATES", "Fate", "Kill", "behaviour_of", "fate_of", "kill_schedule", "underpayment"]


class Fate(StrEnum):
    """How one line is paid, and what goes wrong."""

    # What a word of these says of a pay-later order is what its shop hears from the channel.
    NOTHING_TO_PAY = "nothing to pay"
    PREPAID = "prepaid from the wallet"
    TOLD = "told once"
    TOLD_TWICE = "told twice"
    TOLD_LATE = "told late"
    NEVER_TOLD = "never told"
    FORGED = "told with a forged signature"
    ALTERED = "told another amount than was signed"
    NO_ANSWER = "paid with the answer lost"
    REQUEST_LOST = "asked in vain at first"
    UNDERPAID = "underpaid"


RATES: dict[Fate, int] = {
    Fate.TOLD: 60,
    Fate.TOLD_TWICE: 10,
    Fate.TOLD_LATE: 8,
    Fate.NEVER_TOLD: 10,
    Fate.FORGED: 4,
    Fate.ALTERED: 4,
    Fate.NO_ANSWER: 2,
    Fate.REQUEST_LOST: 1,
    Fate.UNDERPAID: 1,
}
"""Of a hundred pay-later orders, how many meet which fate. Of all orders with a price, every second one is prepaid."""


def fate_of(purchase: Purchase, seed: int) -> Fate:
    """The fate of a line; each line has its own, whatever other lines there are."""
    if not purchase.amount:
        return Fate.NOTHING_TO_PAY
    random = _random(seed, purchase)
    if random.random() < 0.5:
        return Fate.PREPAID
    return random.choices(list(RATES), list(RATES.values()))[0]


def behaviour_of(purchase: Purchase, seed: int) -> Behaviour | Sequence[Behaviour]:
    """How the channel behaves for a pay-later line: the payer takes 20 to 300 ms, and then the fate strikes."""
    random = _random(seed, purchase, "channel")
    after = _between(random, 20, 300)
    soon, late = Notice(_between(random, 0, 50)), Notice(_between(random, 1_500, 3_000))
    match fate_of(purchase, seed):
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
            return PaysWrongAmount(underpayment(purchase).amount_minor, after=after, notices=(soon,))
        case _:
            return PaysLater(after, (soon,))


def underpayment(purchase: Purchase) -> Money:
    """What comes where a line is underpaid: nine tenths of its price."""
    return Money(purchase.amount.amount_minor * 9 // 10, purchase.amount.currency)


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


def _random(seed: int, purchase: Purchase, purpose: str = "fate") -> Random:
    return Random(f"{seed} {purchase.line} {purpose}")


def _between(random: Random, least_ms: int, most_ms: int) -> timedelta:
    return timedelta(milliseconds=random.randint(least_ms, most_ms))
