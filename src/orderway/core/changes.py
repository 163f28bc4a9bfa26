"""What each fact may not contradict, and what it changes in an order beside its stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orderway.core.facts import (
    Cancelled,
    Closed,
    Ended,
    Fact,
    Held,
    Paid,
    PartPaid,
    PaymentClosed,
    PaymentDeclined,
    PaymentPending,
    PaymentUnknown,
    PlanChanged,
    Rejected,
    Released,
    Reopened,
    Resumed,
    Revoked,
    StepDone,
    Stuck,
    UnexpectedAccepted,
    UnexpectedPayment,
)
from orderway.core.payment import OPEN_STATES, Leg, LegState
from orderway.core.refunds import REFUND_CHANGES, REFUND_PROBLEMS
from orderway.core.stages import Stage

if TYPE_CHECKING:
    from orderway.core.order import Order

__all__ = ["CHANGES", "PROBLEMS"]

_STUCK = frozenset({Stage.FAILING, Stage.STUCK})
_WINDING_UP = frozenset({Stage.CANCELLING, Stage.REJECTING, Stage.CLOSING, Stage.REFUNDING})

_MAY_STILL_COME = frozenset({LegState.HELD, LegState.CLOSING, LegState.CLOSED, LegState.DECLINED})
"""Legs that are not open any more and may be paid all the same: channels break their word, and payers are late."""


def _leg_problem(order: Order[Any], fact: PaymentPending | PaymentUnknown | PaymentDeclined | Held) -> str:
    leg = order.find_leg(fact.leg)
    if leg is None or not leg.is_open:
        return f"its leg {fact.leg} is {leg.state if leg else 'missing'}, no longer open"
    if isinstance(fact, Held) and not (leg.holds and 0 < fact.worth_minor <= order.missing_minor):
        return f"its leg {fact.leg} cannot hold {fact.worth_minor} of the {order.missing_minor} that are missing"
    return ""


def _close_problem(order: Order[Any], fact: PaymentClosed | Released) -> str:
    leg = order.find_leg(fact.leg)
    held = isinstance(fact, Released)
    if leg is not None and (leg.is_open or leg.state in {LegState.CLOSING, LegState.HELD}):
        if held == (leg.authorized_minor > 0):
            return ""
        return f"its leg {fact.leg} holds {leg.authorized_minor} minor units"
    return f"its leg {fact.leg} is {leg.state if leg else 'missing'}"


def _unpaid_problem(order: Order[Any], _: Fact) -> str:
    resumes = order.resume_stage if order.stage in _STUCK else order.stage
    if resumes is Stage.CREATED or not order.amount_minor:
        return ""
    return f"its price of {order.amount} was paid: it is undone with Revoked"


def _price_paid_problem(order: Order[Any], _: Fact) -> str:
    resumes = order.resume_stage if order.stage in _STUCK else order.stage
    return "its price was never paid: it is ended with Cancelled" if resumes is Stage.CREATED else ""


def _paid_problem(order: Order[Any], fact: Paid | PartPaid) -> str:
    if order.stage in _STUCK and order.resume_stage is not Stage.CREATED:
        return f"it got stuck when {order.resume_stage}, not while waiting for a payment"
    leg = order.find_leg(fact.leg)
    if leg is None or not (leg.is_open or leg.state in _MAY_STILL_COME):
        return f"its leg {fact.leg} is {leg.state if leg else 'missing'}, no longer open"
    if fact.amount_minor != leg.amount_minor:
        return f"{fact.amount_minor} minor units were paid and {leg.amount_minor} were asked"
    paid_minor = order.paid_minor + _worth_minor(order, leg)
    if isinstance(fact, Paid) != (paid_minor == order.amount_minor) or paid_minor > order.amount_minor:
        return f"its paid legs come to {paid_minor} of {order.amount_minor}"
    return ""


def _worth_minor(order: Order[Any], leg: Leg) -> int:
    """What a leg counts for once it is paid; one that was replaced counts if its money comes first after all."""
    return leg.worth_minor or (leg.amount_minor if leg.currency == order.currency else 0)


def _ended_problem(order: Order[Any], _: Ended) -> str:
    if order.stage in _WINDING_UP and not order.is_wound_up:
        return "money of it is still on its way, or still with us"
    return ""


def _plan_problem(order: Order[Any], fact: PlanChanged) -> str:
    if [leg.number for leg in fact.legs] != list(range(len(order.legs), len(order.legs) + len(fact.legs))):
        return "the numbers of the new legs do not follow those it has"
    return ""


def _accepted_problem(order: Order[Any], fact: UnexpectedAccepted) -> str:
    leg = order.find_leg(fact.leg)
    return (
        "" if leg is not None and leg.state is LegState.UNEXPECTED else f"its leg {fact.leg} holds no unexpected money"
    )


PROBLEMS: dict[type[Fact], Callable[[Order[Any], Any], str]] = {
    **dict.fromkeys((Paid, PartPaid), _paid_problem),
    **dict.fromkeys((PaymentPending, PaymentUnknown, PaymentDeclined, Held), _leg_problem),
    **dict.fromkeys((PaymentClosed, Released), _close_problem),
    **dict.fromkeys((Cancelled, Rejected, Closed), _unpaid_problem),
    Revoked: _price_paid_problem,
    Ended: _ended_problem,
    PlanChanged: _plan_problem,
    UnexpectedAccepted: _accepted_problem,
    **REFUND_PROBLEMS,
}


def _with_leg(order: Order[Any], number: int, change: Callable[[Leg], Leg]) -> None:
    order.legs = tuple([change(leg) if leg.number == number else leg for leg in order.legs])


def _resize(order: Order[Any]) -> None:
    """Open amounts follow what is missing: each open leg without a fixed amount asks for all that is left for it."""
    if not any(leg.at_most and leg.is_open for leg in order.legs):
        return
    fixed_minor = sum(leg.worth_minor for leg in order.legs if leg.is_open and not leg.at_most)
    # Below 0 where a leg that had been replaced was paid after all: then nothing is left to ask for.
    missing_minor = max(0, order.missing_minor - fixed_minor)
    order.legs = tuple(
        [
            replace(leg, amount_minor=missing_minor, worth_minor=missing_minor) if leg.at_most and leg.is_open else leg
            for leg in order.legs
        ]
    )


def _drop_open(order: Order[Any]) -> None:
    """What is open or held is not wanted any more: it is to be closed at its channel."""
    if any(leg.is_open or leg.state is LegState.HELD for leg in order.legs):
        order.legs = tuple(
            [leg.moved(LegState.CLOSING) if leg.is_open or leg.state is LegState.HELD else leg for leg in order.legs]
        )


def _on_pending(order: Order[Any], fact: PaymentPending) -> None:
    _with_leg(order, fact.leg, lambda leg: leg.moved(LegState.PENDING, fact.reference))


def _on_unknown(order: Order[Any], fact: PaymentUnknown) -> None:
    _with_leg(order, fact.leg, lambda leg: leg.moved(LegState.UNKNOWN))


def _on_declined(order: Order[Any], fact: PaymentDeclined) -> None:
    _with_leg(order, fact.leg, lambda leg: leg.moved(LegState.DECLINED))


def _on_payment_closed(order: Order[Any], fact: PaymentClosed) -> None:
    _with_leg(order, fact.leg, lambda leg: leg.moved(LegState.CLOSED))
    _resize(order)


def _on_held(order: Order[Any], fact: Held) -> None:
    _with_leg(order, fact.leg, lambda leg: leg.held(fact.amount_minor, fact.worth_minor, fact.reference))
    _resize(order)


def _on_released(order: Order[Any], fact: Released) -> None:
    _with_leg(order, fact.leg, lambda leg: leg.moved(LegState.RELEASED))


def _take(order: Order[Any], fact: Paid | PartPaid) -> None:
    def paid(leg: Leg) -> Leg:
        return replace(leg.paid(fact.amount_minor, fact.reference), worth_minor=_worth_minor(order, leg))

    _with_leg(order, fact.leg, paid)


def _on_part_paid(order: Order[Any], fact: PartPaid) -> None:
    _take(order, fact)
    _resize(order)


def _on_paid(order: Order[Any], fact: Paid) -> None:
    _take(order, fact)
    if len(order.legs) > 1:
        _drop_open(order)
    order.deadline_at_us = fact.deadline_at_us
    order.resume_stage = None
    order.why = ""


def _on_plan_changed(order: Order[Any], fact: PlanChanged) -> None:
    replaced = [
        replace(leg, state=LegState.CLOSING, worth_minor=0, at_most=False) if leg.is_open and not leg.holds else leg
        for leg in order.legs
    ]
    order.legs = (*replaced, *fact.legs)
    _resize(order)


def _on_unexpected(order: Order[Any], fact: UnexpectedPayment) -> None:
    if fact.leg is not None:
        _with_leg(order, fact.leg, _used_up)
    extra = Leg(len(order.legs), fact.channel, 0, fact.currency)
    order.legs = (*order.legs, extra.paid(fact.amount_minor, fact.reference, LegState.UNEXPECTED))


def _used_up(leg: Leg) -> Leg:
    """A leg whose key has taken other money than was asked: while it is open it is asked for under a new key."""
    return leg.planned_again() if leg.state in OPEN_STATES else leg.moved(LegState.CLOSED)


def _on_accepted(order: Order[Any], fact: UnexpectedAccepted) -> None:
    _with_leg(order, fact.leg, lambda leg: leg.moved(LegState.ACCEPTED))


def _on_reopened(order: Order[Any], fact: Reopened) -> None:
    def again(leg: Leg) -> Leg:
        if leg.number == fact.leg:
            return replace(leg, state=LegState.PLANNED, at_most=False)
        is_planned = leg.worth_minor or leg.at_most
        return leg.planned_again() if is_planned and not leg.captured_minor else leg

    order.legs = tuple([again(leg) for leg in order.legs])
    _resize(order)
    order.deadline_at_us = fact.deadline_at_us
    order.why = ""


def _on_step(order: Order[Any], fact: StepDone) -> None:
    order.steps = {**order.steps, fact.step: fact.result}


def _on_end(order: Order[Any], fact: Cancelled | Rejected | Closed) -> None:
    order.why = fact.why
    order.resume_stage = None
    _drop_open(order)


def _on_revoked(order: Order[Any], fact: Revoked) -> None:
    order.why = fact.why
    order.resume_stage = None
    order.deadline_at_us = fact.deadline_at_us
    _drop_open(order)


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
    Held: _on_held,
    Released: _on_released,
    PartPaid: _on_part_paid,
    Paid: _on_paid,
    PlanChanged: _on_plan_changed,
    UnexpectedPayment: _on_unexpected,
    UnexpectedAccepted: _on_accepted,
    Reopened: _on_reopened,
    StepDone: _on_step,
    Cancelled: _on_end,
    Rejected: _on_end,
    Closed: _on_end,
    Revoked: _on_revoked,
    Stuck: _on_stuck,
    Resumed: _on_resumed,
    **REFUND_CHANGES,
}
