"""The order: its stages, the table of transitions, and the one pure function that moves it, ``Order.after(fact)``."""

from __future__ import annotations

import builtins
import json
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from operator import attrgetter
from typing import Any, Generic, TypeVar, cast

from orderway.core.facts import (
    Cancelled,
    Closed,
    Created,
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
from orderway.core.ids import slot_in
from orderway.core.money import Money
from orderway.core.payment import Leg, LegState
from orderway.errors import ConfigError, IllegalTransition

__all__ = [
    "FINAL_STAGES",
    "JOURNALED",
    "OPERATIONAL",
    "TRANSITIONS",
    "Order",
    "Stage",
    "Status",
    "check_transitions",
]

T = TypeVar("T")


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


@dataclass(slots=True)
class Order(Generic[T]):
    """An order as it stands. Treat it as a value: only ``after(fact)`` makes another one.

    Instants are integers of microseconds since 1970 (UTC), named ``*_at_us``; the properties without the suffix give
    aware datetimes.

    Args:
        id: its order id; it names the slot, and thereby the shard.
        type: the order type: which business it belongs to.
        uid: the user's id.
        stage: where it stands.
        amount_minor: its price, in minor units of ``currency``.
        currency: the code of its currency.
        legs: its payments.
        data_text: the business data as JSON text; ``data`` is the same, decoded.
        remark: a text for people.
        own_number: the business's or third party's own number that the id was made from, or "".
        fingerprint: SHA-256 over what was asked for at creation; the same id with another one is another order.
        steps: results (JSON text) of the delivery's steps that are done, by name.
        why: why it was cancelled, rejected, closed or is stuck.
        resume_stage: of a stuck order, the stage it goes on from.
        created_at_us: when it was created.
        updated_at_us: when its last fact was recorded.
        deadline_at_us: until when it is tried: to be paid, then to be delivered.
        version: the number of facts.
        digest: the last journal entry's hash.
        due_at_us: operational: look at it again no later than this; None when nothing is due.
        attempts: operational: failed tries since the last fact.
        holder: operational: the incarnation of the worker that holds it, or None.
        last_error: operational: what the last failed try said.
    """

    id: str
    type: int
    uid: str
    stage: Stage
    amount_minor: int
    currency: str
    legs: tuple[Leg, ...]
    data_text: str
    remark: str
    own_number: str
    fingerprint: str
    steps: dict[str, str]
    why: str
    resume_stage: Stage | None
    created_at_us: int
    updated_at_us: int
    deadline_at_us: int
    version: int
    digest: str
    due_at_us: int | None = None
    attempts: int = 0
    holder: int | None = None
    last_error: str = ""
    _data: T | None = field(default=None, repr=False, compare=False)
    _decode: Callable[[str], T] | None = field(default=None, repr=False, compare=False)

    @property
    def status(self) -> Status:
        """The coarse state, with the original's numbers."""
        return STATUS[self.stage]

    @property
    def pay_status(self) -> int:
        """1 when the whole price is paid, else 0; an order with nothing to pay is 0, as in the original."""
        return int(self.amount_minor > 0 and self.paid_minor >= self.amount_minor)

    @property
    def amount(self) -> Money:
        """The price."""
        return Money(self.amount_minor, self.currency)

    @property
    def paid_minor(self) -> int:
        """What was paid of the price, in minor units; unexpected money is not part of it."""
        return sum(leg.captured_minor for leg in self.legs if leg.state is LegState.PAID)

    @property
    def slot(self) -> int:
        """The slot of its uid, from its id."""
        return slot_in(self.id)

    @property
    def is_final(self) -> bool:
        """True when nothing is due any more."""
        return self.stage in FINAL_STAGES

    @property
    def data(self) -> T:
        """The business data, decoded by the order type; what a hook changes in it rides in the next fact."""
        if self._data is None:
            self._data = cast(T, (self._decode or json.loads)(self.data_text))
        return self._data

    @property
    def created_at(self) -> datetime:
        """When it was created."""
        return instant(self.created_at_us)

    @property
    def updated_at(self) -> datetime:
        """When its last fact was recorded."""
        return instant(self.updated_at_us)

    @property
    def deadline_at(self) -> datetime:
        """Until when it is tried."""
        return instant(self.deadline_at_us)

    @property
    def due_at(self) -> datetime | None:
        """When it is looked at again at the latest; None when nothing is due."""
        return None if self.due_at_us is None else instant(self.due_at_us)

    def payment_key(self, leg: Leg) -> str:
        """The idempotency key of a leg's current attempt, the same whoever asks and however often (at most 32)."""
        return f"{self.id}-{leg.number}-{leg.attempt}"

    @property
    def delivery_key(self) -> str:
        """The idempotency key of this order's delivery."""
        return f"{self.id}-d"

    @staticmethod
    def begin(order_id: str, fact: Created, at_us: int) -> Order[Any]:
        """The order that begins with this fact; with nothing to pay it begins as paid."""
        return Order(
            id=order_id,
            type=fact.order_type,
            uid=fact.uid,
            stage=Stage.CREATED if fact.amount_minor else Stage.PAID,
            amount_minor=fact.amount_minor,
            currency=fact.currency,
            legs=fact.legs,
            data_text=fact.data if fact.data is not None else "{}",
            remark=fact.remark,
            own_number=fact.own_number,
            fingerprint=fact.fingerprint,
            steps={},
            why="",
            resume_stage=None,
            created_at_us=at_us,
            updated_at_us=at_us,
            deadline_at_us=fact.deadline_at_us,
            version=1,
            digest="",
        )

    def forget_changes(self) -> None:
        """Go back to the data as stored; what was changed in ``data`` since is dropped."""
        self._data = None

    def allows(self, fact: builtins.type[Fact]) -> bool:
        """True if the table allows this kind of fact in the order's stage."""
        return fact in TRANSITIONS[self.stage]

    def after(self, fact: Fact, at_us: int) -> Order[T]:
        """The order after this fact. Pure: this order stays as it is.

        Args:
            fact: what happened.
            at_us: when, in microseconds since 1970.

        Raises:
            IllegalTransition: the stage does not allow the fact, or the fact contradicts the order's payments.
        """
        target = TRANSITIONS[self.stage].get(type(fact))
        if target is None:
            allowed = ", ".join(sorted(kind.__name__ for kind in TRANSITIONS[self.stage]))
            raise IllegalTransition(
                f"order {self.id} is {self.stage}: {type(fact).__name__} is not allowed there, only {allowed}",
                order_id=self.id,
            )
        _guard(self, fact)
        after = self._copy()
        after.version += 1
        after.updated_at_us = at_us
        if fact.data is not None:
            after.data_text = fact.data
            after._data = None
        change = _CHANGES.get(type(fact))
        if change is not None:
            change(after, fact)
        after.stage = cast(Stage, self.resume_stage) if target is RESUME else cast(Stage, target)
        return after

    def _copy(self) -> Order[T]:
        return Order(*_values_of(self))


_FIELDS = tuple(column.name for column in fields(Order))
_values_of = attrgetter(*_FIELDS)
OPERATIONAL = ("due_at_us", "attempts", "holder", "last_error")
"""Columns that are no part of the journal; changing them never bumps the version."""
JOURNALED = tuple(name for name in _FIELDS if name not in OPERATIONAL and not name.startswith("_"))
"""Columns that replaying the journal gives back."""


def instant(at_us: int) -> datetime:
    """An aware UTC datetime from microseconds since 1970, exactly."""
    seconds, micros = divmod(at_us, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros)


# ---- what each fact may not contradict, and what it changes -------------------------------------------------------


def _guard(order: Order[Any], fact: Fact) -> None:
    """Refuse facts that contradict the order's payments, whatever the table says of the stage."""
    find_problem = _PROBLEMS.get(type(fact))
    if find_problem is not None and (problem := find_problem(order, fact)):
        raise IllegalTransition(
            f"order {order.id} is {order.stage}: {type(fact).__name__} is refused, {problem}", order_id=order.id
        )


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


_PROBLEMS: dict[type[Fact], Callable[[Order[Any], Any], str]] = {
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


_CHANGES: dict[type[Fact], Callable[[Order[Any], Any], None]] = {
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
