"""What each fact may not contradict, and what it changes in an order beside its stage."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from orderway.core.facts import (
    Cancelled,
    Closed,
    Fact,
    Paid,
    PaymentClosed,
    PaymentDeclined,
    PaymentPending,
    PaymentUnknown,
    Rejected,
    Resumed,
    StepDone,
    Stuck,
    UnexpectedPayment,
)
from orderway.core.payment import Leg, LegState
from orderway.core.stages import Stage

if TYPE_CHECKING:
    from orderway.core.order import Order

__all__ = ["CHANGES", "PROBLEMS"]


def _leg_problem(order: Order[Any], fact: PaymentPending | PaymentUnknown | PaymentDeclined | PaymentClosed) -> str:
    leg = next((leg for leg in order.legs if leg.number == fact.leg), None)
    if leg is not None and leg.is_open:
        return ""
    return f"its leg {fact.leg} is {leg.state if leg else 'missing'}, no longer open"


def _money_problem(order: Order[Any], _: Fact) -> str:
    paid_minor = order.paid_minor
    return f"{paid_minor} minor units were paid, which would have to go back first" if paid_minor else ""


def _paid_problem(order: Order[Any], fact: Paid) -> str:
    if order.stage in {Stage.FAILING, Stage.STUCK} and order.resume_stage is not Stage.CREATED:
        return f"it got stuck when {order.resume_stage}, not while waiting for a payment"
    leg = next((leg for leg in order.legs if leg.number == fact.leg), None)
    if leg is None or not leg.is_open:
        return f"its leg {fact.leg} is {leg.state if leg else 'missing'}, no longer open"
    if fact.amount_minor != leg.amount_minor:
        return f"{fact.amount_minor} minor units were paid and {leg.amount_minor} were asked"
    if order.paid_minor + fact.amount_minor != order.amount_minor:
        return "its legs do not add up to its price"
    return ""


PROBLEMS: dict[type[Fact], Callable[[Order[Any], Any], str]] = {
    Paid: _paid_problem,
    **dict.fromkeys((PaymentPending, PaymentUnknown, PaymentDeclined, PaymentClosed), _leg_problem),
    **dict.fromkeys((Cancelled, Rejected, Closed), _money_problem),
}


def _with_leg(order: Order[Any], number: int, change: Callable[[Leg], Leg]) -> None:
    order.legs = tuple(change(leg) if leg.number == number else leg for leg in order.legs)


def _on_pending(order: Order[Any], fact: PaymentPending) -> None:
    _with_leg(order, fact.leg, lambda leg: leg.moved(LegState.PENDING, fact.reference))


def _on_unknown(order: Order[Any], fact: PaymentUnknown) -> None:
    _with_leg(order, fact.leg, lambda leg: leg.moved(LegState.UNKNOWN))


def _on_declined(order: Order[Any], fact: PaymentDeclined) -> None:
    _with_leg(order, fact.leg, lambda leg: leg.moved(LegState.DECLINED))


def _on_payment_closed(order: Order[Any], fact: PaymentClosed) -> None:
    _with_leg(order, fact.leg, lambda leg: leg.moved(LegState.CLOSED))


def _on_paid(order: Order[Any], fact: Paid) -> None:
    _with_leg(order, fact.leg, lambda leg: leg.paid(fact.amount_minor, fact.reference))
    order.deadline_at_us = fact.deadline_at_us
    order.resume_stage = None
    order.why = ""


def _on_unexpected(order: Order[Any], fact: UnexpectedPayment) -> None:
    extra = Leg(len(order.legs), fact.channel, 0, fact.currency)
    order.legs = (*order.legs, extra.paid(fact.amount_minor, fact.reference, LegState.UNEXPECTED))


def _on_step(order: Order[Any], fact: StepDone) -> None:
    order.steps = {**order.steps, fact.step: fact.result}


def _on_end(order: Order[Any], fact: Cancelled | Rejected | Closed) -> None:
    order.why = fact.why


def _on_stuck(order: Order[Any], fact: Stuck) -> None:
    order.why = fact.why
    order.resume_stage = order.stage


def _on_resumed(order: Order[Any], fact: Resumed) -> None:
    order.deadline_at_us = fact.deadline_at_us
    order.why = ""
    order.resume_stage = None


CHANGES: dict[type[Fact], Callable[[Order[Any], Any], None]] = {
    PaymentPending: _on_pending,
    PaymentUnknown: _on_unknown,
    PaymentDeclined: _on_declined,
    PaymentClosed: _on_payment_closed,
    Paid: _on_paid,
    UnexpectedPayment: _on_unexpected,
    StepDone: _on_step,
    Cancelled: _on_end,
    Rejected: _on_end,
    Closed: _on_end,
    Stuck: _on_stuck,
    Resumed: _on_resumed,
}
