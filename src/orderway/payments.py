"""What a payment means for an order: pure decisions, from outcome to facts. The money fact is always kept."""

from __future__ import annotations

from typing import Any

from orderway.core.facts import Fact, Paid, Stuck, UnexpectedPayment
from orderway.core.money import Money
from orderway.core.order import Order, Stage
from orderway.core.payment import Leg, LegState

__all__ = ["open_leg", "payment_facts"]


def open_leg(order: Order[Any], channel: str | None = None) -> Leg | None:
    """The first leg that may still be paid (through this channel), or None."""
    return next((leg for leg in order.legs if leg.is_open and channel in {None, leg.channel}), None)


def payment_facts(
    order: Order[Any], channel: str, amount: Money, reference: str, deadline_at_us: int
) -> tuple[Fact, ...]:
    """The facts that a verified payment leads to, whatever state the order is in; none if it is known already.

    Args:
        order: as it stands.
        channel: through which it came.
        amount: how much came.
        reference: the channel's own number of the payment; tells a repeated notification from a second payment.
        deadline_at_us: until when delivering is tried, from now on.
    """
    payment = (channel, reference, amount.amount_minor, amount.currency)
    known = [leg for leg in order.legs if (leg.channel, leg.reference, leg.captured_minor, leg.currency) == payment]
    if known and not (known[0].state is LegState.UNEXPECTED and order.stage is Stage.CREATED):
        return ()
    leg = open_leg(order, channel)
    awaited = order.stage is Stage.CREATED or order.resume_stage is Stage.CREATED
    if leg is not None and awaited and Money(leg.amount_minor, leg.currency) == amount:
        return (
            Paid(
                leg=leg.number,
                amount_minor=amount.amount_minor,
                reference=reference,
                deadline_at_us=deadline_at_us,
            ),
        )
    kept = UnexpectedPayment(
        channel=channel, amount_minor=amount.amount_minor, currency=amount.currency, reference=reference
    )
    if order.stage is not Stage.CREATED:
        return (kept,)
    asked = "nothing" if leg is None else str(Money(leg.amount_minor, leg.currency))
    stuck = Stuck(why="unexpected_payment", error=f"{amount} came through {channel}, where {asked} was asked for")
    return (stuck,) if known else (kept, stuck)
