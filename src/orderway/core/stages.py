"""The stages of an order, and the one table of transitions between them."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import cast

from orderway.core.facts import (
    Cancelled,
    Closed,
    Delivered,
    Ended,
    Fact,
    Finished,
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
from orderway.errors import ConfigError

__all__ = ["FINAL_STAGES", "RESUME", "STATUS", "TRANSITIONS", "Stage", "Status", "Target", "check_transitions"]


class Stage(StrEnum):
    """Where an order stands. A stage in -ing still owes its closing hook; ``delivered`` owes the ``finished`` hook."""

    __hash__ = str.__hash__  # Enum's own is written in Python, and stages are looked up several times an order

    CREATED = "created"
    PAID = "paid"
    DELIVERED = "delivered"
    FINISHED = "finished"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    REJECTING = "rejecting"
    REJECTED = "rejected"
    CLOSING = "closing"
    CLOSED = "closed"
    FAILING = "failing"
    STUCK = "stuck"


class Status(IntEnum):
    """The coarse state, derived from the stage; 1 to 6 are the original's numbers."""

    FORWARDING = 1
    FINISHED = 2
    CANCELLED = 3
    INSUFFICIENT_BALANCE = 4
    REFUNDED = 5
    STUCK = 6
    CLOSED = 7


STATUS: dict[Stage, Status] = {
    Stage.CREATED: Status.FORWARDING,
    Stage.PAID: Status.FORWARDING,
    Stage.DELIVERED: Status.FORWARDING,
    Stage.FINISHED: Status.FINISHED,
    Stage.CANCELLING: Status.CANCELLED,
    Stage.CANCELLED: Status.CANCELLED,
    Stage.REJECTING: Status.INSUFFICIENT_BALANCE,
    Stage.REJECTED: Status.INSUFFICIENT_BALANCE,
    Stage.CLOSING: Status.CLOSED,
    Stage.CLOSED: Status.CLOSED,
    Stage.FAILING: Status.STUCK,
    Stage.STUCK: Status.STUCK,
}

FINAL_STAGES = frozenset({Stage.FINISHED, Stage.CANCELLED, Stage.REJECTED, Stage.CLOSED, Stage.STUCK})
"""Stages in which nothing is due. Of these only ``stuck`` can be left, by a person or by the payment it waited for."""

RESUME = "resume"
"""In ``TRANSITIONS``: the stage that the order was in when it got stuck."""

Target = Stage | str
_S = Stage

TRANSITIONS: dict[Stage, dict[type[Fact], Target]] = {
    _S.CREATED: {
        PaymentPending: _S.CREATED,
        PaymentUnknown: _S.CREATED,
        PaymentDeclined: _S.CREATED,
        PaymentClosed: _S.CREATED,
        UnexpectedPayment: _S.CREATED,
        Paid: _S.PAID,
        Cancelled: _S.CANCELLING,
        Rejected: _S.REJECTING,
        Closed: _S.CLOSING,
        Stuck: _S.FAILING,
    },
    _S.PAID: {
        UnexpectedPayment: _S.PAID,
        StepDone: _S.PAID,
        Delivered: _S.DELIVERED,
        Cancelled: _S.CANCELLING,  # only while nothing was paid: see _guard
        Stuck: _S.FAILING,
    },
    _S.DELIVERED: {UnexpectedPayment: _S.DELIVERED, Finished: _S.FINISHED, Stuck: _S.FAILING},
    _S.FINISHED: {UnexpectedPayment: _S.FINISHED},
    _S.CANCELLING: {UnexpectedPayment: _S.CANCELLING, Ended: _S.CANCELLED, Stuck: _S.FAILING},
    _S.CANCELLED: {UnexpectedPayment: _S.CANCELLED},
    _S.REJECTING: {UnexpectedPayment: _S.REJECTING, Ended: _S.REJECTED, Stuck: _S.FAILING},
    _S.REJECTED: {UnexpectedPayment: _S.REJECTED},
    _S.CLOSING: {UnexpectedPayment: _S.CLOSING, Ended: _S.CLOSED, Stuck: _S.FAILING},
    _S.CLOSED: {UnexpectedPayment: _S.CLOSED},
    _S.FAILING: {UnexpectedPayment: _S.FAILING, Paid: _S.PAID, Resumed: RESUME, Ended: _S.STUCK},
    _S.STUCK: {UnexpectedPayment: _S.STUCK, Paid: _S.PAID, Resumed: RESUME},
}
"""The one table: in which stage which fact may be recorded, and the stage after it. Nothing else moves an order."""


def check_transitions(
    transitions: dict[Stage, dict[type[Fact], Target]] | None = None,
    beginnings: frozenset[Stage] = frozenset({Stage.CREATED, Stage.PAID}),
    final: frozenset[Stage] = FINAL_STAGES,
) -> None:
    """Refuse a table with stages that cannot be reached, or that cannot reach an end.

    Raises:
        ConfigError: names the stages.
    """
    table = TRANSITIONS if transitions is None else transitions
    onward = {
        stage: {cast(Stage, target) for target in facts.values() if target is not RESUME and target is not stage}
        for stage, facts in table.items()
    }
    reached = _closure(beginnings, onward)
    if unreachable := set(Stage) - reached:
        raise ConfigError(f"TRANSITIONS: no fact leads to {', '.join(sorted(unreachable))}")
    backward: dict[Stage, set[Stage]] = {stage: set() for stage in Stage}
    for stage, targets in onward.items():
        for target in targets:
            backward[target].add(stage)
    if dead := set(Stage) - _closure(final, backward):
        raise ConfigError(f"TRANSITIONS: no fact leads out of {', '.join(sorted(dead))}")


def _closure(start: frozenset[Stage], onward: dict[Stage, set[Stage]]) -> set[Stage]:
    reached: set[Stage] = set()
    waiting = list(start)
    while waiting:
        stage = waiting.pop()
        if stage not in reached:
            reached.add(stage)
            waiting.extend(onward.get(stage, ()))
    return reached
