"""The order, and the one pure function that moves it, ``Order.after(fact)``."""

from __future__ import annotations

import builtins
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, Generic, TypeVar, cast

from orderway.core.changes import CHANGES, PROBLEMS
from orderway.core.facts import Created, Fact
from orderway.core.ids import slot_in
from orderway.core.money import Money
from orderway.core.payment import GATEWAY, Leg, LegState, Refund, RefundState
from orderway.core.stages import FINAL_STAGES, RESUME, STATUS, TRANSITIONS, Stage, Status, check_transitions
from orderway.errors import IllegalTransition

# The stages belong to the order: whoever needs both finds them here.
__all__ = [
    "FINAL_STAGES",
    "JOURNALED",
    "OPERATIONAL",
    "RESUME",
    "STATUS",
    "TRANSITIONS",
    "Order",
    "Stage",
    "Status",
    "check_transitions",
    "instant",
]

T = TypeVar("T")


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
        refunds: what of its payments goes back, or went back.
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
    refunds: tuple[Refund, ...]
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
        """What was paid of the price, in minor units; what went back since is not subtracted."""
        return sum([leg.worth_minor for leg in self.legs if leg.state is LegState.PAID])

    @property
    def missing_minor(self) -> int:
        """What of the price is neither paid nor held, in minor units."""
        return self.amount_minor - sum([leg.worth_minor for leg in self.legs if leg.state in _IN_HAND])

    @property
    def refunded_minor(self) -> int:
        """What went back of the price, in minor units; unexpected money is not part of it."""
        return sum([refund.worth_minor for refund in self.refunds if refund.state is RefundState.RETURNED])

    @property
    def is_settled(self) -> bool:
        """True when no channel is to be asked for anything more: nothing is to be closed there, or to go back."""
        return not (
            any(leg.state is LegState.CLOSING for leg in self.legs) or any(refund.is_live for refund in self.refunds)
        )

    @property
    def is_wound_up(self) -> bool:
        """True when no money of the price is with us, on its way, or still to come."""
        return self.is_settled and not any(
            leg.is_open or leg.state is LegState.HELD or (leg.state is LegState.PAID and leg.kept_minor)
            for leg in self.legs
        )

    @property
    def needs_person(self) -> bool:
        """True while a person must do something: it is stuck or disputed, or money of it does not go back by itself."""
        return (
            self.stage in _FOR_PEOPLE
            or any(leg.disputed_minor for leg in self.legs)
            or any(leg.state is LegState.UNEXPECTED and leg.refundable_minor for leg in self.legs)
            or any(refund.state is RefundState.STUCK for refund in self.refunds)
            or any(refund.is_live and self.legs[refund.leg].channel == GATEWAY for refund in self.refunds)
            or any(refund.state is RefundState.REFUSED for refund in self._last_refunds())
        )

    def _last_refunds(self) -> Iterable[Refund]:
        """The last refund of each leg: a refused one that another has followed asks for nobody any more."""
        return {refund.leg: refund for refund in self.refunds}.values()

    @property
    def slot(self) -> int:
        """The slot of its uid, from its id."""
        return slot_in(self.id)

    @property
    def is_final(self) -> bool:
        """True when nothing is due any more."""
        return self.stage in FINAL_STAGES and (not self.legs or self.is_settled)

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

    def refund_key(self, refund: Refund) -> str:
        """The idempotency key of a refund at its channel, the same on every attempt (at most 32)."""
        return f"{self.id}-r{refund.number}"

    def find_leg(self, number: int) -> Leg | None:
        """The leg of this number, or None."""
        return self.legs[number] if 0 <= number < len(self.legs) else None

    def find_refund(self, number: int) -> Refund | None:
        """The refund of this number, or None."""
        return self.refunds[number - 1] if 0 < number <= len(self.refunds) else None

    @property
    def delivery_key(self) -> str:
        """The idempotency key of this order's delivery."""
        return f"{self.id}-d"

    @property
    def take_back_key(self) -> str:
        """The idempotency key of taking this order's goods back."""
        return f"{self.id}-t"

    @staticmethod
    def begin(order_id: str, fact: Created, at_us: int) -> Order[Any]:
        """The order that begins with this fact; with nothing to pay it begins as paid."""
        return Order(
            order_id,
            fact.order_type,
            fact.uid,
            Stage.CREATED if fact.amount_minor else Stage.PAID,
            fact.amount_minor,
            fact.currency,
            fact.legs,
            fact.data if fact.data is not None else "{}",
            fact.remark,
            fact.own_number,
            fact.fingerprint,
            steps={},
            refunds=(),
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
        after = self.copy()
        after.apply(fact, at_us)
        return after

    def copy(self) -> Order[T]:
        """An order of its own, equal to this one."""
        return Order(*_values_of(self))

    def apply(self, fact: Fact, at_us: int) -> None:
        """As ``after``, in place: only for a copy that nobody else has seen, to which several facts are applied.

        Raises:
            IllegalTransition: as ``after``; the order stays as it is.
        """
        kind = type(fact)
        target = TRANSITIONS[self.stage].get(kind)
        if target is None:
            allowed = ", ".join(sorted(each.__name__ for each in TRANSITIONS[self.stage]))
            raise IllegalTransition(
                f"order {self.id} is {self.stage}: {kind.__name__} is not allowed there, only {allowed}",
                order_id=self.id,
            )
        if kind in PROBLEMS and (problem := PROBLEMS[kind](self, fact)):
            raise IllegalTransition(
                f"order {self.id} is {self.stage}: {kind.__name__} is refused, {problem}", order_id=self.id
            )
        resumed = self.resume_stage
        self.version += 1
        self.updated_at_us = at_us
        if fact.data is not None:
            self.data_text = fact.data
            self._data = None
        if kind in CHANGES:
            CHANGES[kind](self, fact)
        # Anything but a stage is RESUME: back to where it stood before it was stuck or disputed.
        self.stage = target if isinstance(target, Stage) else cast(Stage, resumed)


_IN_HAND = frozenset({LegState.PAID, LegState.HELD})
_FOR_PEOPLE = frozenset({Stage.FAILING, Stage.STUCK, Stage.DISPUTED})
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
