"""One order for each stage and each fact that is allowed there: the fact is legal, and does all that it can do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from orderway.core import facts as f
from orderway.core.order import RESUME, TRANSITIONS, Order, Stage
from orderway.core.payment import Leg, LegState, Refund, RefundState

__all__ = ["FACTS", "PRICE", "UNPAID", "allowed", "in_situation", "resumes", "target"]

PRICE = 1999
_LATER_US = 1_790_000_000_000_000
_OPEN = (
    Leg(0, "scripted", 1000, "USD", LegState.PENDING, worth_minor=1000),
    Leg(1, "wallet", 400, "USD", LegState.HELD, reference="H", authorized_minor=400, worth_minor=400, holds=True),
    Leg(2, "points", 500, "POINTS", LegState.PLANNED, worth_minor=99, holds=True),
    Leg(3, "wechat", 500, "USD", LegState.UNKNOWN, worth_minor=500, at_most=True),
)
_ODD = Leg(4, "gateway", 0, "EUR", LegState.UNEXPECTED, reference="X", authorized_minor=7, captured_minor=7)
_TAKEN = tuple(leg.paid(leg.amount_minor, f"P-{leg.number}") for leg in _OPEN)

UNPAID = (*_OPEN, _ODD)
"""Open, held and unexpected."""
LAST = (_OPEN[0], *_TAKEN[1:], _ODD, replace(_OPEN[1], number=5, worth_minor=0))
"""All but one are paid, and one hold is left over."""
PAID = (
    replace(_TAKEN[0], refunding_minor=10),
    replace(_TAKEN[1], refunding_minor=5, refunded_minor=20),
    _TAKEN[2],
    replace(_TAKEN[3], disputed_minor=30),
    _ODD,
    Leg(5, "alipay", 1000, "USD"),
)
"""Paid, some of it on its way back, some disputed; one leg is still open that is not needed."""
RETURNED = tuple(replace(leg, refunded_minor=leg.captured_minor) for leg in _TAKEN)
OVER = (
    *(replace(leg, state=LegState.CLOSED, authorized_minor=0) for leg in _OPEN[:2]),
    *(replace(leg, state=LegState.DECLINED) for leg in _OPEN[2:]),
)
REFUNDS = (
    Refund(1, 0, 10, 10, "k", "requested", _LATER_US),
    Refund(2, 1, 5, 5, "k", "requested", _LATER_US, RefundState.STUCK, "B-2"),
    Refund(3, 1, 20, 20, "", "cancelled", _LATER_US, RefundState.RETURNED, "B-3"),
)

FACTS: dict[type[f.Fact], f.Fact] = {
    type(fact): fact
    for fact in (
        f.Created(
            order_type=1,
            uid="ann",
            amount_minor=PRICE,
            currency="USD",
            legs=UNPAID,
            deadline_at_us=_LATER_US,
            fingerprint="ab",
        ),
        f.PaymentPending(leg=0, reference="r", details='{"link":"x"}'),
        f.PaymentUnknown(leg=0, error="timeout"),
        f.PaymentDeclined(leg=0),
        f.PaymentClosed(leg=0),
        f.Held(leg=2, amount_minor=500, worth_minor=99, reference="H-2"),
        f.Released(leg=1),
        f.PartPaid(leg=0, amount_minor=1000, reference="r"),
        f.Paid(leg=0, amount_minor=1000, reference="r", deadline_at_us=_LATER_US + 1),
        f.PlanChanged(legs=(Leg(5, "alipay", 500, "USD", worth_minor=500, at_most=True),)),
        f.UnexpectedPayment(channel="scripted", amount_minor=5, currency="USD", reference="r2"),
        f.UnexpectedAccepted(leg=4),
        f.Reopened(leg=0, deadline_at_us=_LATER_US + 2),
        f.RefundRequested(
            refund=4, leg=2, amount_minor=50, worth_minor=9, key="k2", why="requested", deadline_at_us=_LATER_US
        ),
        f.RefundPending(refund=1, reference="B-1"),
        f.RefundUnknown(refund=1),
        f.Refunded(refund=1, reference="B-1"),
        f.RefundRefused(refund=1, error="no"),
        f.RefundStuck(refund=1, error="no answer"),
        f.RefundResumed(refund=2, deadline_at_us=_LATER_US + 3),
        f.AllRefunded(),
        f.DisputeOpened(leg=0, amount_minor=20, reference="D-0"),
        f.DisputeWon(leg=3, reference="D-3"),
        f.DisputeLost(leg=3, amount_minor=30, reference="D-3"),
        f.StepDone(step="pack", result="[1]"),
        f.Delivered(),
        f.Finished(),
        f.Revoked(why="regret", deadline_at_us=_LATER_US + 4),
        f.TakenBack(),
        f.Amended(data='{"n":2}', before="{}"),
        f.Cancelled(why="sold out"),
        f.Rejected(why="short"),
        f.Closed(why="not paid"),
        f.Stuck(why="hook", error="boom"),
        f.Ended(),
        f.Resumed(deadline_at_us=_LATER_US + 5),
    )
}
_UNPAID_FACTS = {
    *(f.PaymentPending, f.PaymentUnknown, f.PaymentDeclined, f.PaymentClosed, f.Held, f.Released, f.PartPaid),
    *(f.PlanChanged, f.Cancelled, f.Rejected, f.Closed),
}


def allowed() -> Iterator[tuple[Stage, type[f.Fact]]]:
    """Every stage with every fact that the table allows in it."""
    return ((stage, kind) for stage, kinds in TRANSITIONS.items() for kind in kinds)


def resumes(stage: Stage, kind: type[f.Fact]) -> Stage | None:
    """The stage that an order in this situation would go on from; None if it is neither stuck nor disputed."""
    if stage is Stage.DISPUTED:
        return Stage.FINISHED
    if stage not in {Stage.FAILING, Stage.STUCK}:
        return None
    return Stage.CREATED if kind in _UNPAID_FACTS or kind is f.Paid else Stage.DELIVERED


def in_situation(order: Order[Any], stage: Stage, kind: type[f.Fact]) -> Order[Any]:
    """This order of ``PRICE`` in a stage, such that ``FACTS[kind]`` contradicts nothing there."""
    order = replace(order, stage=stage, resume_stage=resumes(stage, kind), legs=PAID, refunds=REFUNDS)
    if kind is f.Paid:
        return replace(order, legs=LAST, refunds=())
    if kind is f.AllRefunded:
        return replace(order, legs=RETURNED, refunds=())
    if kind is f.Cancelled and stage in {Stage.PAID, Stage.REFUNDING}:
        return replace(order, legs=(), refunds=(), amount_minor=0)
    if kind in {f.Ended, f.Reopened}:
        return replace(order, legs=OVER, refunds=())
    if kind in _UNPAID_FACTS:
        return replace(order, legs=UNPAID, refunds=())
    return order


def target(stage: Stage, kind: type[f.Fact]) -> Stage:
    """The stage after the fact, as the table has it."""
    after = TRANSITIONS[stage][kind]
    return Stage(resumes(stage, kind) or stage) if after is RESUME else Stage(after)
