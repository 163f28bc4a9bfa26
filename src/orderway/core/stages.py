"""The stages of an order, and the one table of transitions between them."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import cast

from orderway.core.facts import (
    AllRefunded,
    Amended,
    Cancelled,
    Closed,
    Delivered,
    DisputeLost,
    DisputeOpened,
    DisputeWon,
    Ended,
    Fact,
    Finished,
    Held,
    Paid,
    PartPaid,
    PaymentClosed,
    PaymentDeclined,
    PaymentPending,
    PaymentUnknown,
    PlanChanged,
    Refunded,
    RefundPending,
    RefundRefused,
    RefundRequested,
    RefundResumed,
    RefundStuck,
    RefundUnknown,
    Rejected,
    Released,
    Reopened,
    Resumed,
    Revoked,
    StepDone,
    Stuck,
    TakenBack,
    UnexpectedAccepted,
    UnexpectedPayment,
)
from orderway.errors import ConfigError

__all__ = ["FINAL_STAGES", "RESUME", "STATUS", "TRANSITIONS", "Stage", "Status", "Target", "check_transitions"]


class Stage(StrEnum):
    """Where an order stands. A stage in -ing still owes something: money that goes back, a hook."""

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
    RETURNING = "returning"
    REFUNDING = "refunding"
    REFUNDED = "refunded"
    DISPUTED = "disputed"
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
    Stage.RETURNING: Status.FORWARDING,
    Stage.REFUNDING: Status.FORWARDING,
    Stage.REFUNDED: Status.REFUNDED,
    Stage.DISPUTED: Status.STUCK,
    Stage.FAILING: Status.STUCK,
    Stage.STUCK: Status.STUCK,
}

FINAL_STAGES = frozenset(
    {
        *(Stage.FINISHED, Stage.CANCELLED, Stage.REJECTED, Stage.CLOSED, Stage.REFUNDED),
        *(Stage.DISPUTED, Stage.STUCK),
    }
)
"""Stages in which nothing is due but money on its way back. Most can be left again, by a payment or a person."""

RESUME = "resume"
"""In ``TRANSITIONS``: the stage that the order was in when it got stuck or disputed."""

Target = Stage | str
_S = Stage

_MONEY: tuple[type[Fact], ...] = (
    *(UnexpectedPayment, UnexpectedAccepted, PaymentClosed, Released),
    *(RefundRequested, RefundPending, RefundUnknown, Refunded, RefundRefused, RefundStuck, RefundResumed),
    *(DisputeOpened, DisputeWon, DisputeLost, Amended),
)
"""What may happen in any stage and moves none: money is always kept, and its way back never depends on the goods."""

_UNDO: dict[type[Fact], Target] = {Revoked: _S.RETURNING, AllRefunded: _S.REFUNDING, DisputeOpened: _S.DISPUTED}
"""What undoes an order whose price is paid."""


def _facts(stage: Stage, *others: dict[type[Fact], Target]) -> dict[type[Fact], Target]:
    facts: dict[type[Fact], Target] = dict.fromkeys(_MONEY, stage)
    for more in others:
        facts |= more
    return facts


def _ending(stage: Stage, end: Stage) -> dict[type[Fact], Target]:
    return _facts(stage, {Ended: end, Reopened: _S.CREATED, Stuck: _S.FAILING})


def _stuck(stage: Stage) -> dict[type[Fact], Target]:
    onward: dict[type[Fact], Target] = {
        Paid: _S.PAID,
        PartPaid: stage,
        Held: stage,  # asked for before it got stuck
        StepDone: stage,  # skipped by an operator
        Resumed: RESUME,
        Cancelled: _S.CANCELLING,
        Revoked: _S.RETURNING,
    }
    return _facts(stage, onward)


TRANSITIONS: dict[Stage, dict[type[Fact], Target]] = {
    _S.CREATED: _facts(
        _S.CREATED,
        dict.fromkeys(
            (PaymentPending, PaymentUnknown, PaymentDeclined, Held, PartPaid, PlanChanged),
            _S.CREATED,
        ),
        {
            Paid: _S.PAID,
            Cancelled: _S.CANCELLING,
            Rejected: _S.REJECTING,
            Closed: _S.CLOSING,
            Stuck: _S.FAILING,
        },
    ),
    _S.PAID: _facts(
        _S.PAID,
        _UNDO,
        {
            StepDone: _S.PAID,
            Delivered: _S.DELIVERED,
            Cancelled: _S.CANCELLING,  # only while nothing was paid: see changes.PROBLEMS
            Stuck: _S.FAILING,
        },
    ),
    _S.DELIVERED: _facts(_S.DELIVERED, _UNDO, {Finished: _S.FINISHED, Stuck: _S.FAILING}),
    _S.FINISHED: _facts(_S.FINISHED, _UNDO),
    _S.CANCELLING: _ending(_S.CANCELLING, _S.CANCELLED),
    _S.CANCELLED: _facts(_S.CANCELLED, {Reopened: _S.CREATED}),
    _S.REJECTING: _ending(_S.REJECTING, _S.REJECTED),
    _S.REJECTED: _facts(_S.REJECTED, {Reopened: _S.CREATED}),
    _S.CLOSING: _ending(_S.CLOSING, _S.CLOSED),
    _S.CLOSED: _facts(_S.CLOSED, {Reopened: _S.CREATED}),
    _S.RETURNING: _facts(_S.RETURNING, {StepDone: _S.RETURNING, TakenBack: _S.REFUNDING, Stuck: _S.FAILING}),
    _S.REFUNDING: _facts(
        _S.REFUNDING,
        {
            Ended: _S.REFUNDED,
            Cancelled: _S.CANCELLING,  # where nothing was to be paid
            Stuck: _S.FAILING,
        },
    ),
    _S.REFUNDED: _facts(_S.REFUNDED),
    _S.DISPUTED: _facts(
        _S.DISPUTED, {DisputeWon: RESUME, DisputeLost: RESUME, AllRefunded: _S.REFUNDING, Revoked: _S.RETURNING}
    ),
    _S.FAILING: {**_stuck(_S.FAILING), Ended: _S.STUCK},
    _S.STUCK: _stuck(_S.STUCK),
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
