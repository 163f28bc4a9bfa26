"""Explaining an order: what happens next, when, and why not yet, in sentences for a tired person.

Pure. What a person can do is said as command lines of ``orderway``; words in capitals are to be filled in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orderway.core.money import Money
from orderway.core.order import Order, Stage, instant
from orderway.core.payment import GATEWAY, Leg, LegState, Refund, RefundState
from orderway.errors import InvalidValue
from orderway.ports.business import Business

__all__ = ["Explanation", "explain"]

_NEXT = {
    Stage.CREATED: "its payment is asked for, or asked about",
    Stage.PAID: "it is delivered",
    Stage.DELIVERED: "the business's finished hook is run",
    Stage.FINISHED: "nothing: it is delivered and finished",
    Stage.CANCELLING: "all money goes back and the business's ended hook is run, then it is cancelled for good",
    Stage.CANCELLED: "nothing: it was cancelled",
    Stage.REJECTING: "all money goes back and the business's ended hook is run, then it is rejected for good",
    Stage.REJECTED: "nothing: the balance did not suffice",
    Stage.CLOSING: "all money goes back and the business's ended hook is run, then it is closed for good",
    Stage.CLOSED: "nothing: it was not paid in time",
    Stage.RETURNING: "its goods are taken back, by the business's take_back hook; then its money goes back",
    Stage.REFUNDING: "all money goes back and the business's ended hook is run, then it is refunded for good",
    Stage.REFUNDED: "nothing: its money went back",
    Stage.DISPUTED: "nothing by itself: its payer disputes a payment, and it waits for the decision",
    Stage.FAILING: "the business's ended hook is told that it is stuck",
    Stage.STUCK: "nothing by itself: a person must step in",
}

_WHY = {
    "by_operator": "a person wanted it",
    "by_business": "the business's can_forward hook wanted it",
    "held": "the business's can_forward hook wants a person to decide",
    "held_by_operator": "a person holds it",
    "hook_failed": "a hook failed until its time was over",
    "hold_lost": "money that was held was gone when it was to be taken",
    "insufficient_balance": "the balance did not suffice",
    "no_open_payment": "no part of it can be paid any more, and its price is not paid",
    "overdue": "it was to be finished by now, and its can_forward hook still wants to wait",
    "payment_declined": "a channel refused the payment",
    "refund_failed": "a refund was refused, or had no result in time",
    "refunded": "all of its money was given back",
    "unexpected_payment": "money came that was not asked for so",
    "unpaid": "it was not paid in time",
}
"""What the classes of reasons mean; others are said as they are."""

_REMINDED = frozenset({Stage.STUCK, Stage.DISPUTED})
_STUCK = frozenset({Stage.FAILING, Stage.STUCK})
_SIGNED = "--actor YOU --reason WHY"
_OVERDUE_US = 60_000_000


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where an order stands.

    Args:
        order: the order.
        next: what happens next.
        at: when it is looked at next at the latest; None if nothing is due.
        reasons: why it is not further, one sentence each.
        advice: what a person can do, one sentence each, ending in a command line of ``orderway`` where there is one;
            empty if nothing is needed.
    """

    order: Order[Any]
    next: str
    at: datetime | None
    reasons: tuple[str, ...]
    advice: tuple[str, ...]


def explain(order: Order[Any], now_us: int, workers: Mapping[int, str], business: Business[Any] | None) -> Explanation:
    """Explain an order.

    Args:
        order: as stored.
        now_us: the time.
        workers: the names of the living workers, by incarnation.
        business: of its type; None if it is not registered here.
    """
    reasons = [
        *_holder(order, workers),
        *(sentence for leg in order.legs for sentence in _leg(order, leg)),
        *(sentence for refund in order.refunds for sentence in _refund(order, refund)),
        *_trouble(order),
        *_neglect(order, now_us, business),
    ]
    advice = [
        *_about_stage(order),
        *(sentence for leg in order.legs for sentence in _about_leg(order, leg)),
        *(sentence for refund in order.refunds for sentence in _about_refund(order, refund)),
    ]
    at = None if order.due_at_us is None else instant(order.due_at_us)
    return Explanation(order, _next(order, now_us), at, tuple(reasons), tuple(advice))


# ---- what happens next


def _next(order: Order[Any], now_us: int) -> str:
    if order.stage is Stage.CREATED:
        return _next_payment(order, now_us)
    if order.is_settled:
        return _NEXT[order.stage]
    said = "payments are closed and refunds brought about at their channels, as said below"
    return said if _NEXT[order.stage].startswith("nothing") else f"{said}; and {_NEXT[order.stage]}"


def _next_payment(order: Order[Any], now_us: int) -> str:
    leg = next((leg for leg in order.legs if leg.is_open), None)
    if leg is None or not order.missing_minor:
        return "what is held is taken, all of it in one step, and it is paid"
    if now_us >= order.deadline_at_us:
        return "its time to be paid is over: its payments are closed at their channels, then it is closed"
    if leg.channel == GATEWAY:
        return "it waits for the payment through your own gateway, told by record_payment"
    return f"leg {leg.number}, through {leg.channel}, {_ASKED[leg.state]}"


_ASKED = {
    LegState.PLANNED: "is asked for",
    LegState.PENDING: "is asked about: its payer has to pay",
    LegState.UNKNOWN: "is asked about: its outcome is unknown",
}


# ---- why it is not further


def _holder(order: Order[Any], workers: Mapping[int, str]) -> Iterator[str]:
    if order.holder is None or order.is_final:
        return
    if order.holder in workers:
        yield f"worker {workers[order.holder]} is carrying it right now"
    else:
        yield "the worker that carried it is dead; the next sweep takes it over"


def _leg(order: Order[Any], leg: Leg) -> Iterator[str]:
    """What there is to say of a leg; nothing of one that is done with."""
    name = f"leg {leg.number}, {_money(leg.amount_minor, leg.currency)} through {leg.channel},"
    if leg.disputed_minor:
        yield f"the payer disputes {_money(leg.disputed_minor, leg.currency)} of leg {leg.number} at {leg.channel}"
    waits = order.stage is Stage.CREATED
    until = f"until {order.deadline_at:%Y-%m-%d %H:%M:%S} UTC"
    match leg.state:
        case LegState.PLANNED if waits and (before := _before(order, leg)):
            yield f"{name} is asked for once {_numbers(before)} in"
        case LegState.PLANNED if waits:
            yield f"{name} was not asked for yet; it may be paid {until}"
        case LegState.PENDING if waits:
            yield f"{name} waits for the payer, {until}"
        case LegState.UNKNOWN:
            yield f"{name} has an unknown outcome: the channel is asked again, never charged under another key"
        case LegState.PLANNED | LegState.PENDING:
            yield f"{name} may still be paid"
        case LegState.HELD:
            yield f"{name} is held: it is taken once every other part is in, or released if that never happens"
        case LegState.PAID if waits:
            yield f"{name} is paid; {_money(order.missing_minor, order.currency)} of the price is missing still"
        case LegState.DECLINED:
            yield f"{name} was refused by its channel"
        case LegState.CLOSING if leg.authorized_minor:
            yield f"{name} is not wanted any more: its hold is released at the channel, which has not confirmed it yet"
        case LegState.CLOSING:
            yield f"{name} is not wanted any more: it is closed at the channel, which has not confirmed it yet"
        case LegState.UNEXPECTED | LegState.ACCEPTED:
            yield _unexpected(leg)


def _before(order: Order[Any], leg: Leg) -> list[Leg]:
    """The legs that are asked for before this one."""
    return [other for other in order.legs[: leg.number] if other.is_open]


def _numbers(legs: list[Leg]) -> str:
    numbers = " and ".join(str(leg.number) for leg in legs)
    return f"leg {numbers} is" if len(legs) == 1 else f"legs {numbers} are"


def _unexpected(leg: Leg) -> str:
    came = f"{_money(leg.captured_minor, leg.currency)} came through {leg.channel} and was not asked for so"
    name = f"{came} (leg {leg.number}, reference {leg.reference})"
    if leg.state is LegState.ACCEPTED:
        return f"{name}; a person has accepted it"
    if leg.refundable_minor:
        return f"{name}; {_money(leg.refundable_minor, leg.currency)} of it has nowhere to go: a person must decide"
    return f"{name}; it {'goes' if leg.refunding_minor else 'went'} back"


def _refund(order: Order[Any], refund: Refund) -> Iterator[str]:
    """What there is to say of a refund; nothing of one whose money went back."""
    leg = order.legs[refund.leg]
    name = f"refund {refund.number}, {_money(refund.amount_minor, leg.currency)} through {leg.channel},"
    until = f"it is tried until {instant(refund.deadline_at_us):%Y-%m-%d %H:%M:%S} UTC"
    match refund.state:
        case RefundState.RESERVED | RefundState.PENDING | RefundState.UNKNOWN if leg.channel == GATEWAY:
            yield f"{name} is yours to pay out, through your own gateway, and to tell by record_refund; {until}"
        case RefundState.RESERVED:
            yield f"{name} is reserved, and sent next; {until}"
        case RefundState.PENDING:
            yield f"{name} was accepted by the channel, which gives its result later and is asked for it; {until}"
        case RefundState.UNKNOWN:
            yield f"{name} was sent and has an unknown outcome: the channel is asked for it; {until}"
        case RefundState.REFUSED if leg.refundable_minor:
            yield f"{name} was refused for good: its money is with us, and may be refunded again"
        case RefundState.STUCK:
            yield f"{name} had no result in time: its money stays reserved until a person steps in"


def _trouble(order: Order[Any]) -> Iterator[str]:
    if order.why:
        means = f" ({_WHY[order.why]})" if order.why in _WHY else ""
        resumes = f"; it would go on from {order.resume_stage}" if order.resume_stage else ""
        yield f"why: {order.why}{means}{resumes}"
    if order.last_error:
        failed = f" ({order.attempts} failed so far)" if order.attempts and order.stage not in _REMINDED else ""
        yield f"the last try said: {order.last_error}{failed}"


def _neglect(order: Order[Any], now_us: int, business: Business[Any] | None) -> Iterator[str]:
    """Whether anybody looks at it."""
    if order.stage in _REMINDED and order.due_at_us is not None:
        yield "a person is told of it again when it is looked at next"
    if order.is_final:
        return
    if business is None:
        yield f"order type {order.type} is not registered here; a process that serves it carries it on"
    overdue_us = now_us - (order.due_at_us if order.due_at_us is not None else now_us)
    if overdue_us > _OVERDUE_US:
        yield f"it was due {overdue_us // 1_000_000} s ago and nobody looked: does a process serve its type?"


# ---- what a person can do


def _about_stage(order: Order[Any]) -> Iterator[str]:
    if order.stage is Stage.DISPUTED:
        yield "answer the dispute at the channel; its decision is recorded by its notification, or by record_dispute"
        if any(leg.state is LegState.PAID and leg.refundable_minor for leg in order.legs):
            yield f"or give the money back of your own: orderway refund {order.id} --key dispute {_SIGNED}"
    if order.stage not in _STUCK:
        return
    yield f"mend the cause, then: orderway resume {order.id} {_SIGNED}"
    if order.resume_stage is Stage.CREATED:
        yield f"or give it up: orderway cancel {order.id} {_SIGNED}"
    elif order.resume_stage in {Stage.PAID, Stage.RETURNING}:
        yield f"if its data is wrong, before you resume it: orderway amend {order.id} --data @FILE {_SIGNED}"
        yield f"if a step of its hook must be left out: orderway skip {order.id} STEP {_SIGNED}"
    if order.resume_stage is Stage.PAID:
        yield f"or undo it, and give its money back: orderway cancel {order.id} {_SIGNED}"


def _about_leg(order: Order[Any], leg: Leg) -> Iterator[str]:
    if leg.disputed_minor and order.stage is not Stage.DISPUTED:
        yield f"answer the dispute of leg {leg.number} at {leg.channel}; its decision is recorded by its notification"
    if leg.state is LegState.UNEXPECTED and leg.refundable_minor:
        key = f"unexpected-{leg.number}-{len(order.refunds) + 1}"
        yield f"give it back: orderway refund {order.id} --leg {leg.number} --key {key} {_SIGNED}"
        yield f"or keep it, as settled elsewhere: orderway accept {order.id} {leg.number} {_SIGNED}"


def _about_refund(order: Order[Any], refund: Refund) -> Iterator[str]:
    leg, told = order.legs[refund.leg], f"orderway record-refund {order.id} {refund.number}"
    if refund.state is RefundState.STUCK:
        if order.stage not in _STUCK:
            yield f"have refund {refund.number} asked about again: orderway resume {order.id} {_SIGNED}"
        yield f"or, where you know that it went back: {told} --returned REFERENCE --actor YOU"
        yield f"or, where you know that it never will: {told} --refused WHY --actor YOU"
    elif refund.is_live and leg.channel == GATEWAY:
        yield f"once you have paid it out: {told} --returned REFERENCE --actor YOU"
        yield f"or, if it cannot be paid out: {told} --refused WHY --actor YOU"
    elif refund.state is RefundState.REFUSED and _may_be_sent_again(order, refund):
        key = f"again-{len(order.refunds) + 1}"
        yield f"try again: orderway refund {order.id} --leg {leg.number} --key {key} {_SIGNED}"


def _may_be_sent_again(order: Order[Any], refund: Refund) -> bool:
    """True if its money waits for somebody to refund it again, and nothing else that is advised does so."""
    leg = order.legs[refund.leg]
    is_latest = all(other.leg != refund.leg for other in order.refunds[refund.number :])
    said_already = leg.state is LegState.UNEXPECTED or order.stage in _STUCK
    return is_latest and leg.refundable_minor > 0 and not said_already


def _money(amount_minor: int, currency: str) -> str:
    """An amount; in minor units where only another process has defined its currency."""
    try:
        return str(Money(amount_minor, currency))
    except InvalidValue:
        return f"{amount_minor} {currency} (minor units)"
