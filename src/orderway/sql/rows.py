"""Orders, legs, entries and parked payments as rows, and back.

Plain values only: drivers take them without converting them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any

from orderway.core.journal import Entry, compact_json
from orderway.core.order import STATUS, Order, Stage, Status
from orderway.core.payment import Leg, LegState, Refund, RefundState
from orderway.errors import OrderUnreadable
from orderway.ports.parking import ParkedPayment

__all__ = [
    "ENTRY_COLUMNS",
    "INSERT_COLUMNS",
    "LEG_COLUMNS",
    "ORDER_COLUMNS",
    "PARKED_COLUMNS",
    "UPDATE_COLUMNS",
    "Unreadable",
    "entry_of",
    "insert_row",
    "leg_row",
    "orders_of",
    "parked_row",
    "update_row",
]

INSERT_COLUMNS = (
    *("id", "slot", "type", "uid", "stage", "status", "pay_status", "needs_person", "amount_minor", "currency"),
    *("data_text", "remark", "own_number", "fingerprint", "steps", "refunds", "why", "resume_stage"),
    *("created_at_us", "updated_at_us", "deadline_at_us", "version", "digest", "due_at_us", "attempts", "holder"),
    "last_error",
)
UPDATE_COLUMNS = (
    *("stage", "status", "pay_status", "needs_person", "data_text", "steps", "refunds", "why", "resume_stage"),
    *("updated_at_us", "deadline_at_us", "version", "digest", "due_at_us", "attempts", "last_error"),
)
"""What a fact can change, without the holder: that one may have to stay."""
ORDER_COLUMNS = (
    *("id", "type", "uid", "stage", "amount_minor", "currency", "data_text", "remark", "own_number"),
    *("fingerprint", "steps", "refunds", "why", "resume_stage", "created_at_us", "updated_at_us"),
    *("deadline_at_us", "version", "digest", "due_at_us", "attempts", "holder", "last_error"),
)
LEG_COLUMNS = (
    *("number", "channel", "amount_minor", "currency", "state", "attempt", "reference"),
    *("authorized_minor", "captured_minor", "refunding_minor", "refunded_minor"),
    *("worth_minor", "holds", "at_most", "disputed_minor"),
)
ENTRY_COLUMNS = Entry._fields
"""An entry is its own row."""

PARKED_COLUMNS = tuple(column.name for column in fields(ParkedPayment))

# Enumerations as plain values: sqlite3 takes an exact str or int several times faster than a subclass.
_STAGES = {stage: (stage.value, int(status)) for stage, status in STATUS.items()}
_STUCK = int(Status.STUCK)
_STAGE_OF = {stage.value: stage for stage in Stage}
_LEG_STATE_OF = {state.value: state for state in LegState}
_REFUND_STATE_OF = {state.value: state for state in RefundState}
_REFUND_FIELDS = tuple(column.name for column in fields(Refund) if column.name != "state")
_LEGS_AT = len(ORDER_COLUMNS)
_VERSION_AT = ORDER_COLUMNS.index("version")
_ATTEMPTS_AT = ORDER_COLUMNS.index("attempts")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An order whose row, or one of its legs, says something that this version does not know.

    It must harm nobody else: neither those that are read, claimed or listed together with it.
    """

    order_id: str
    version: int
    attempts: int
    why: str

    @property
    def error(self) -> OrderUnreadable:
        """What its caller is told."""
        return OrderUnreadable(
            f"order {self.order_id} cannot be read: {self.why}. A newer version of Orderway wrote it, or somebody"
            " changed its row: upgrade this process, or see what `orderway verify` says of it",
            order_id=self.order_id,
        )


def insert_row(order: Order[Any], slot: int) -> tuple[Any, ...]:
    """The values of ``INSERT_COLUMNS``."""
    stage, status = _STAGES[order.stage]
    return (
        order.id,
        slot,
        order.type,
        order.uid,
        stage,
        status,
        order.pay_status if order.legs else 0,
        _needs_person(order, status),
        order.amount_minor,
        order.currency,
        order.data_text,
        order.remark,
        order.own_number,
        order.fingerprint,
        compact_json(order.steps) if order.steps else "{}",
        _refunds_text(order.refunds) if order.refunds else "[]",
        order.why,
        None if order.resume_stage is None else order.resume_stage.value,
        order.created_at_us,
        order.updated_at_us,
        order.deadline_at_us,
        order.version,
        order.digest,
        order.due_at_us,
        order.attempts,
        order.holder,
        order.last_error,
    )


def update_row(order: Order[Any]) -> tuple[Any, ...]:
    """The values of ``UPDATE_COLUMNS``."""
    stage, status = _STAGES[order.stage]
    return (
        stage,
        status,
        order.pay_status if order.legs else 0,
        _needs_person(order, status),
        order.data_text,
        compact_json(order.steps) if order.steps else "{}",
        _refunds_text(order.refunds) if order.refunds else "[]",
        order.why,
        None if order.resume_stage is None else order.resume_stage.value,
        order.updated_at_us,
        order.deadline_at_us,
        order.version,
        order.digest,
        order.due_at_us,
        order.attempts,
        order.last_error,
    )


def _needs_person(order: Order[Any], status: int) -> int:
    """As ``Order.needs_person``, which is asked only where there may be money: most rows need not pay for it."""
    if status == _STUCK:
        return 1
    return int(order.needs_person) if order.legs else 0


def leg_row(order_id: str, leg: Leg) -> tuple[Any, ...]:
    """The values of ``order_id`` and ``LEG_COLUMNS``."""
    return (
        order_id,
        leg.number,
        leg.channel,
        leg.amount_minor,
        leg.currency,
        leg.state.value,
        leg.attempt,
        leg.reference,
        leg.authorized_minor,
        leg.captured_minor,
        leg.refunding_minor,
        leg.refunded_minor,
        leg.worth_minor,
        int(leg.holds),
        int(leg.at_most),
        leg.disputed_minor,
    )


def entry_of(row: Sequence[Any]) -> Entry:
    """The entry in a row of ``ENTRY_COLUMNS``."""
    return Entry(*row)


def parked_row(payment: ParkedPayment) -> tuple[Any, ...]:
    """The values of ``PARKED_COLUMNS``."""
    return astuple(payment)


def orders_of(rows: Iterable[Sequence[Any]]) -> dict[str, Order[Any] | Unreadable]:
    """The orders, by id and in their rows' order, from rows of ``ORDER_COLUMNS`` joined to ``LEG_COLUMNS``.

    An order with several legs comes as several rows, in the order of its legs; one without a leg has nulls there.
    """
    orders: dict[str, Order[Any] | Unreadable] = {}
    for row in rows:
        try:
            order = orders.get(row[0])
            if order is None:
                order = orders[row[0]] = _order_of(row)
            if row[_LEGS_AT] is not None and isinstance(order, Order):
                order.legs = (*order.legs, _leg_of(row[_LEGS_AT:]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            kind = type(error).__name__
            why = f"{error} is unknown here" if isinstance(error, KeyError) else f"{kind}: {error}"
            orders[row[0]] = Unreadable(row[0], row[_VERSION_AT], row[_ATTEMPTS_AT], why)
    return orders


def _order_of(row: Sequence[Any]) -> Order[Any]:
    order_id, kind, uid, stage, amount_minor, currency, data_text, remark, own_number, fingerprint = row[:10]
    steps, refunds, why, resume_stage = row[10:14]
    return Order(
        order_id,
        kind,
        uid,
        _STAGE_OF[stage],
        amount_minor,
        currency,
        (),
        data_text,
        remark,
        own_number,
        fingerprint,
        {} if steps == "{}" else json.loads(steps),
        () if refunds == "[]" else _refunds_of(refunds),
        why,
        None if resume_stage is None else _STAGE_OF[resume_stage],
        *row[14:_LEGS_AT],
    )


def _leg_of(row: Sequence[Any]) -> Leg:
    number, channel, amount_minor, currency, state = row[:5]
    *amounts, holds, at_most, disputed_minor = row[5:]
    values = (*amounts, bool(holds), bool(at_most), disputed_minor)
    return Leg(number, channel, amount_minor, currency, _LEG_STATE_OF[state], *values)


def _refunds_text(refunds: Iterable[Refund]) -> str:
    """JSON objects with the names of ``Refund``: support staff read them too."""
    return compact_json(
        [{"state": each.state.value, **{name: getattr(each, name) for name in _REFUND_FIELDS}} for each in refunds]
    )


def _refunds_of(text: str) -> tuple[Refund, ...]:
    return tuple([Refund(**{**values, "state": _REFUND_STATE_OF[values["state"]]}) for values in json.loads(text)])
