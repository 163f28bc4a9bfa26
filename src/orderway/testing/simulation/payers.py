"""How payers and channels behave in the simulation, drawn from the seed."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

from orderway.channels.scripted import (
    Behaviour,
    Disputes,
    NeverPays,
    PaysAfterClose,
    PaysAtOnce,
    PaysLater,
    PaysTwice,
    PaysWrongAmount,
    PaysWrongCurrency,
    RefundBehaviour,
    RefundRefusedLater,
    RefundsAtOnce,
    RefundsLater,
    RefundTimesOutAfter,
    RefundTimesOutBefore,
    RefundUnreachable,
    Refuses,
    RefusesRefund,
    TimesOutAfter,
    TimesOutBefore,
    Unreachable,
)
from orderway.core.money import Money, define_currency
from orderway.core.payment import GATEWAY
from orderway.plans import Pay

__all__ = ["draw_payer", "draw_refunding", "draw_way"]

define_currency("POINTS")


def draw_way(random: Random) -> Any:
    """A way to pay: through one channel, or several."""
    points = Pay("points", Money(10, "POINTS"), worth=Money(30, "CNY"))
    ways = [
        *("wallet", "scripted", "scripted", "card", GATEWAY, ["wallet", "scripted"], ["card", "wallet"]),
        *([points, "wallet", "scripted"], [points, "scripted"], [points, "wallet"], [points, GATEWAY]),
        [Pay("card", Money(50, "CNY")), "wallet", "scripted"],
    ]
    return random.choice(ways)


def draw_payer(random: Random) -> list[Behaviour]:
    """How a payer behaves at the first charge, and at all further ones."""
    after = timedelta(seconds=random.uniform(0.5, 12))
    behaviours: list[Behaviour] = [
        *(PaysAtOnce(), PaysLater(after), PaysLater(after), PaysLater(after, notices=()), PaysTwice(after)),
        *(PaysLater(after, uid="somebody"), PaysWrongAmount(after=after), PaysWrongCurrency("USD", after=after)),
        *(NeverPays(), PaysAfterClose(after), TimesOutAfter(), TimesOutBefore(), Unreachable(), Refuses("no")),
        *(Disputes(after, decided="lost"), Disputes(after, decided="won"), Disputes(after)),
    ]
    return [random.choice(behaviours), PaysLater(after)]


def draw_refunding(random: Random) -> list[RefundBehaviour]:
    """What becomes of the first refund, and of all further ones."""
    after = timedelta(seconds=random.uniform(0.5, 12))
    results: list[RefundBehaviour] = [
        *(RefundsAtOnce(), RefundsAtOnce(), RefundsLater(after), RefundsLater(after, notices=())),
        *(RefusesRefund("no"), RefundRefusedLater("no", after)),
        *(RefundTimesOutAfter(), RefundTimesOutBefore(), RefundUnreachable()),
    ]
    return [random.choice(results), RefundsAtOnce()]
