"""Explaining an order: what happens next, when, and why not yet, in sentences for a tired person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orderway.core.order import Order, Stage, instant
from orderway.core.payment import LegState
from orderway.ports.business import Business

__all__ = ["Explanation", "explain"]

_NEXT = {
    Stage.CREATED: "its payment is asked for, or asked about",
    Stage.PAID: "it is delivered",
    Stage.DELIVERED: "the business's finished hook is run",
    Stage.FINISHED: "nothing: it is delivered and finished",
    Stage.CANCELLING: "the business's ended hook is run, then it is cancelled for good",
    Stage.CANCELLED: "nothing: it was cancelled",
    Stage.REJECTING: "the business's ended hook is run, then it is rejected for good",
    Stage.REJECTED: "nothing: the balance did not suffice",
    Stage.CLOSING: "the business's ended hook is run, then it is closed for good",
    Stage.CLOSED: "nothing: it was not paid in time",
    Stage.FAILING: "the business's ended hook is told that it is stuck",
    Stage.STUCK: "nothing by itself: a person must step in",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where an order stands.

    Args:
        order: the order.
        next: what happens next.
        at: when it is looked at next at the latest; None if nothing is due.
        reasons: why it is not further, one sentence each.
        advice: what a person can do, one sentence each; empty if nothing is needed.
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
    reasons = [*_holder(order, workers), *_payment(order), *_trouble(order)]
    advice = []
    if order.stage is Stage.STUCK or order.stage is Stage.FAILING:
        advice.append(f"mend the cause, then: orderway resume {order.id} --actor YOU --reason WHY")
    if not order.is_final and business is None:
        reasons.append(f"order type {order.type} is not registered here; a process that serves it carries it on")
    if any(leg.state is LegState.UNEXPECTED for leg in order.legs):
        advice.append("money came that was not asked for so: see its legs, and decide whether it goes back")
    overdue_us = now_us - (order.due_at_us if order.due_at_us is not None else now_us)
    if not order.is_final and overdue_us > 60_000_000:
        reasons.append(f"it was due {overdue_us // 1_000_000} s ago and nobody looked: does a process serve its type?")
    at = None if order.due_at_us is None else instant(order.due_at_us)
    return Explanation(order, _NEXT[order.stage], at, tuple(reasons), tuple(advice))


def _holder(order: Order[Any], workers: Mapping[int, str]) -> list[str]:
    if order.holder is None or order.is_final:
        return []
    if order.holder in workers:
        return [f"worker {workers[order.holder]} is carrying it right now"]
    return ["the worker that carried it is dead; the next sweep takes it over"]


def _payment(order: Order[Any]) -> list[str]:
    if order.stage is not Stage.CREATED:
        return []
    deadline = f"until {order.deadline_at:%Y-%m-%d %H:%M:%S} UTC"
    said = {
        LegState.PLANNED: "was not asked for yet",
        LegState.PENDING: "waits for the payer",
        LegState.UNKNOWN: "has an unknown outcome: the channel is asked again, never charged under another key",
    }
    return [f"its payment through {leg.channel} {said[leg.state]}, {deadline}" for leg in order.legs if leg.is_open]


def _trouble(order: Order[Any]) -> list[str]:
    reasons = []
    if order.why:
        resumes = f"; it would go on from {order.resume_stage}" if order.resume_stage else ""
        reasons.append(f"why: {order.why}{resumes}")
    if order.last_error:
        reasons.append(f"the last try said: {order.last_error} ({order.attempts} failed so far)")
    return reasons
