"""Refunds: what their facts may not contradict and change, and how an amount is spread over the legs of an order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from orderway.core.facts import (
    AllRefunded,
    DisputeLost,
    DisputeOpened,
    DisputeWon,
    Fact,
    Refunded,
    RefundPending,
    RefundRefused,
    RefundRequested,
    RefundResumed,
    RefundStuck,
    RefundUnknown,
)
from orderway.core.payment import Leg, LegState, Refund, RefundState
from orderway.core.stages import Stage

if TYPE_CHECKING:
    from orderway.core.order import Order

__all__ = ["REFUND_CHANGES", "REFUND_PROBLEMS", "Allocation", "Share", "allocate"]

Allocation = Literal["reverse", "ratio"]
"""How an amount is spread over the legs: the last one paid first, or each in proportion to what it still has."""

Share = tuple[Leg, int, int]
"""A leg, how much of it goes back in minor units of its own currency, and what that counts for of the price."""


def refundable_worth_minor(order: Order[Any], leg: Leg) -> int:
    """What of the price may still go back through a leg, in minor units of the order's currency."""
    if leg.state is not LegState.PAID or not leg.refundable_minor:
        return 0
    if leg.currency == order.currency:
        return min(leg.worth_minor, leg.refundable_minor)
    gone = [r.worth_minor for r in order.refunds if r.leg == leg.number and r.state is not RefundState.REFUSED]
    return max(0, leg.worth_minor - sum(gone))


def allocate(order: Order[Any], worth_minor: int, by: Allocation) -> Sequence[Share] | None:
    """Spread an amount over what was paid, exact to the last minor unit; None if there is not so much left.

    A leg in another currency (points) gives back in proportion, rounded down; the last part of it gives all the rest.

    Args:
        order: whose legs.
        worth_minor: how much of the price, in minor units of the order's currency, more than 0.
        by: how.
    """
    left = {leg.number: refundable_worth_minor(order, leg) for leg in order.legs}
    total = sum(left.values())
    if worth_minor > total:
        return None
    parts = dict.fromkeys(left, 0)
    if by == "ratio":
        parts = {number: worth_minor * worth // total for number, worth in left.items()}
    rest = worth_minor - sum(parts.values())
    for number in sorted(left, reverse=True):
        more = min(rest, left[number] - parts[number])
        parts[number] += more
        rest -= more
    return [
        (leg, _in_own_currency(leg, part, left[leg.number]), part) for leg in order.legs if (part := parts[leg.number])
    ]


def _in_own_currency(leg: Leg, part: int, left: int) -> int:
    """How much of a leg's own currency stands for this part of what is left of its worth."""
    return leg.refundable_minor if part == left else leg.refundable_minor * part // left


# ---- what the facts may not contradict


def _request_problem(order: Order[Any], fact: RefundRequested) -> str:
    leg = order.find_leg(fact.leg)
    if leg is None or not leg.captured_minor:
        return f"its leg {fact.leg} holds no money"
    if not 0 <= fact.amount_minor <= leg.refundable_minor or fact.amount_minor + fact.worth_minor <= 0:
        return f"{fact.amount_minor} minor units shall go back, and leg {fact.leg} has {leg.refundable_minor} left"
    if fact.refund != len(order.refunds) + 1:
        return f"its next refund is number {len(order.refunds) + 1}, not {fact.refund}"
    return ""


def _live_problem(
    order: Order[Any], fact: RefundPending | RefundUnknown | Refunded | RefundRefused | RefundStuck
) -> str:
    refund = order.find_refund(fact.refund)
    if refund is not None and (refund.is_live or refund.state is RefundState.STUCK):
        return ""
    return f"its refund {fact.refund} is {refund.state if refund else 'missing'}"


def _resume_problem(order: Order[Any], fact: RefundResumed) -> str:
    refund = order.find_refund(fact.refund)
    if refund is not None and refund.state is RefundState.STUCK:
        return ""
    return f"its refund {fact.refund} is {refund.state if refund else 'missing'}, not stuck"


def _all_problem(order: Order[Any], _: AllRefunded) -> str:
    kept = [leg.number for leg in order.legs if leg.state is LegState.PAID and leg.kept_minor]
    return f"money of its legs {kept} is still with us" if kept or not order.amount_minor else ""


def _dispute_problem(order: Order[Any], fact: DisputeOpened | DisputeWon | DisputeLost) -> str:
    leg = order.find_leg(fact.leg)
    if leg is None or not leg.captured_minor:
        return f"its leg {fact.leg} holds no money"
    if isinstance(fact, DisputeLost) and fact.amount_minor > leg.refundable_minor:
        return f"{fact.amount_minor} minor units were lost, and leg {fact.leg} has {leg.refundable_minor} left"
    return ""


REFUND_PROBLEMS: dict[type[Fact], Callable[[Order[Any], Any], str]] = {
    RefundRequested: _request_problem,
    **dict.fromkeys((RefundPending, RefundUnknown, Refunded, RefundRefused, RefundStuck), _live_problem),
    RefundResumed: _resume_problem,
    AllRefunded: _all_problem,
    **dict.fromkeys((DisputeOpened, DisputeWon, DisputeLost), _dispute_problem),
}


# ---- what they change


def _with_leg(order: Order[Any], number: int, change: Callable[[Leg], Leg]) -> None:
    order.legs = tuple([change(leg) if leg.number == number else leg for leg in order.legs])


def _with_refund(order: Order[Any], number: int, state: RefundState, reference: str = "") -> Refund:
    """Move a refund; returns it as it was."""
    before = order.refunds[number - 1]
    after = replace(before, state=state, reference=reference or before.reference)
    order.refunds = (*order.refunds[: number - 1], after, *order.refunds[number:])
    return before


def _on_requested(order: Order[Any], fact: RefundRequested) -> None:
    refund = Refund(fact.refund, fact.leg, fact.amount_minor, fact.worth_minor, fact.key, fact.why, fact.deadline_at_us)
    order.refunds = (*order.refunds, refund)
    _with_leg(order, fact.leg, lambda leg: replace(leg, refunding_minor=leg.refunding_minor + fact.amount_minor))


def _on_pending(order: Order[Any], fact: RefundPending) -> None:
    _with_refund(order, fact.refund, RefundState.PENDING, fact.reference)


def _on_unknown(order: Order[Any], fact: RefundUnknown) -> None:
    _with_refund(order, fact.refund, RefundState.UNKNOWN)


def _on_refunded(order: Order[Any], fact: Refunded) -> None:
    refund = _with_refund(order, fact.refund, RefundState.RETURNED, fact.reference)
    _with_leg(
        order,
        refund.leg,
        lambda leg: replace(
            leg,
            refunding_minor=leg.refunding_minor - refund.amount_minor,
            refunded_minor=leg.refunded_minor + refund.amount_minor,
        ),
    )


def _on_refused(order: Order[Any], fact: RefundRefused) -> None:
    refund = _with_refund(order, fact.refund, RefundState.REFUSED)
    _with_leg(order, refund.leg, lambda leg: replace(leg, refunding_minor=leg.refunding_minor - refund.amount_minor))


def _on_refund_stuck(order: Order[Any], fact: RefundStuck) -> None:
    _with_refund(order, fact.refund, RefundState.STUCK)


def _on_refund_resumed(order: Order[Any], fact: RefundResumed) -> None:
    # Asked about before it is sent again: what became of it is not known.
    _with_refund(order, fact.refund, RefundState.UNKNOWN)
    refund = order.refunds[fact.refund - 1]
    again = replace(refund, deadline_at_us=fact.deadline_at_us)
    order.refunds = (*order.refunds[: fact.refund - 1], again, *order.refunds[fact.refund :])


def _on_all_refunded(order: Order[Any], _: AllRefunded) -> None:
    order.why = "refunded"
    order.resume_stage = None


def _on_disputed(order: Order[Any], fact: DisputeOpened) -> None:
    _with_leg(order, fact.leg, lambda leg: replace(leg, disputed_minor=fact.amount_minor))
    if order.stage in {Stage.PAID, Stage.DELIVERED, Stage.FINISHED}:
        order.resume_stage = order.stage
        order.why = "disputed"


def _on_decided(order: Order[Any], fact: DisputeWon | DisputeLost) -> None:
    lost = fact.amount_minor if isinstance(fact, DisputeLost) else 0
    _with_leg(order, fact.leg, lambda leg: replace(leg, disputed_minor=0, refunded_minor=leg.refunded_minor + lost))
    if order.stage is Stage.DISPUTED:
        order.why = ""
        order.resume_stage = None


REFUND_CHANGES: dict[type[Fact], Callable[[Order[Any], Any], None]] = {
    RefundRequested: _on_requested,
    RefundPending: _on_pending,
    RefundUnknown: _on_unknown,
    Refunded: _on_refunded,
    RefundRefused: _on_refused,
    RefundStuck: _on_refund_stuck,
    RefundResumed: _on_refund_resumed,
    AllRefunded: _on_all_refunded,
    DisputeOpened: _on_disputed,
    DisputeWon: _on_decided,
    DisputeLost: _on_decided,
}
