"""Outcomes: what must have come of each line in the end, worked out from the input and what was dealt to it."""

from __future__ import annotations

from dataclasses import dataclass

from orderway.demo.fates import After, Deal, Fate, Parts
from orderway.demo.found import Order

__all__ = ["Outcome", "outcome_of"]

_NOTHING = Parts()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What must have come of a line. All amounts are in minor units of the currency in which they came.

    Args:
        stage: where its order has ended.
        paid: what came of its price, by the way it came.
        back: what went back of its price.
        odd: what came through the channel beside the price, and went back all of it.
        odd_currency: of what came beside.
        delivered: True if the goods were sent.
        returned: True if they came back.
    """

    stage: str
    paid: Parts = _NOTHING
    back: Parts = _NOTHING
    odd: int = 0
    odd_currency: str = "USD"
    delivered: bool = True
    returned: bool = False

    @property
    def paid_in_all(self) -> int:
        """What came of the price, in cents."""
        return _all(self.paid)

    @property
    def back_in_all(self) -> int:
        """What went back of it, in cents."""
        return _all(self.back)


def outcome_of(deal: Deal, order: Order, *, came: bool) -> Outcome:
    """What must have come of a line.

    Args:
        deal: what was dealt to it.
        order: asked only where a line was paid late, for that hangs on when shops are killed: the payment may come for
            an order that is not recorded as closed yet, and pay it; an order that was opened again for it may reach
            its deadline once more; a payment whose order nobody looked at in time was never asked for.
        came: True if anything came through the channel.
    """
    parts = deal.parts
    match deal.fate:
        case Fate.UNDERPAID | Fate.WRONG_CURRENCY:
            odd = deal.comes
            return Outcome("cancelled", odd=odd.amount_minor, odd_currency=odd.currency, delivered=False)
        case Fate.LATE_AND_WELCOME | Fate.TOO_LATE if order.stage != "finished" or not came:
            late = Parts(channel=parts.channel) if came else _NOTHING
            if order.paid:
                return Outcome("closed", late, late, delivered=False)
            return Outcome("closed", odd=late.channel, delivered=False)
    odd_minor = parts.channel if deal.fate is Fate.PAID_TWICE else 0
    match deal.after:
        case After.PART_BACK:
            return Outcome("finished", parts, _third(deal), odd_minor)
        case After.ALL_BACK:
            return Outcome("refunded", parts, parts, odd_minor)
        case After.TAKEN_BACK:
            return Outcome("refunded", parts, parts, odd_minor, returned=True)
        case _:
            return Outcome("finished", parts, odd=odd_minor)


def _third(deal: Deal) -> Parts:
    """A third of the price, from each payment in proportion; what rounding leaves, from the last one."""
    price, back = deal.purchase.amount.amount_minor, deal.part_back.amount_minor
    points, wallet = (back * part // price for part in (deal.parts.points, deal.parts.wallet))
    if not deal.parts.channel:
        return Parts(points, back - points)
    return Parts(points, wallet, back - points - wallet)


def _all(parts: Parts) -> int:
    return parts.points + parts.wallet + parts.channel
