"""Orders, journals and explanations as JSON documents. Keys are stable; instants are ISO 8601 in UTC."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from orderway.cli.output import iso
from orderway.core.journal import Entry
from orderway.core.order import Order
from orderway.core.payment import Refund
from orderway.explain import Explanation
from orderway.ports.ledger import StatementLine
from orderway.ports.parking import ParkedPayment

__all__ = ["entry_document", "explanation_document", "line_document", "order_document", "parked_document"]


def order_document(order: Order[Any]) -> dict[str, Any]:
    """An order: its row, with its legs and refunds."""
    return {
        "id": order.id,
        "type": order.type,
        "uid": order.uid,
        "stage": str(order.stage),
        "status": int(order.status),
        "status_name": order.status.name.lower(),
        "pay_status": order.pay_status,
        "amount_minor": order.amount_minor,
        "currency": order.currency,
        "paid_minor": order.paid_minor,
        "refunded_minor": order.refunded_minor,
        "needs_person": order.needs_person,
        "legs": [asdict(leg) for leg in order.legs],
        "refunds": [_refund_document(refund) for refund in order.refunds],
        "data": _decoded(order.data_text),
        "remark": order.remark,
        "own_number": order.own_number,
        "steps": {name: _decoded(result) for name, result in order.steps.items()},
        "why": order.why,
        "resume_stage": None if order.resume_stage is None else str(order.resume_stage),
        "created_at": iso(order.created_at_us, precise=True),
        "updated_at": iso(order.updated_at_us, precise=True),
        "deadline_at": iso(order.deadline_at_us, precise=True),
        "due_at": iso(order.due_at_us, precise=True),
        "attempts": order.attempts,
        "last_error": order.last_error,
        # 63 bits: as text, for many JSON readers keep numbers in 53.
        "holder": None if order.holder is None else str(order.holder),
        "version": order.version,
        "digest": order.digest,
    }


def entry_document(entry: Entry) -> dict[str, Any]:
    """A journal entry: what happened, when, by whom, why. ``erased`` tells that its private fields are gone."""
    fields = _decoded(entry.body)
    if not isinstance(fields, dict):  # altered; `verify` says so
        fields = {"body": fields}
    private_hash = fields.pop("private", None)
    private = _decoded(entry.private) if entry.private is not None else {}
    if isinstance(private, dict):
        fields.update({name: value for name, value in private.items() if name != "salt"})
    for name in ("data", "before", "result"):  # texts of JSON
        if name in fields:
            fields[name] = _decoded(fields[name])
    return {
        "version": entry.version,
        "fact": entry.fact,
        "at": iso(entry.at_us, precise=True),
        "actor": fields.pop("actor", "system"),
        "reason": fields.pop("reason", ""),
        "cause": fields.pop("cause", ""),
        "fields": fields,
        "erased": private_hash is not None and entry.private is None,
        "write_id": entry.write_id,
        "digest": entry.digest,
    }


def explanation_document(explained: Explanation) -> dict[str, Any]:
    """What happens to an order next, when, and why not yet."""
    return {
        "order_id": explained.order.id,
        "stage": str(explained.order.stage),
        "status": int(explained.order.status),
        "next": explained.next,
        "at": iso(explained.at, precise=True),
        "reasons": list(explained.reasons),
        "advice": list(explained.advice),
    }


def line_document(line: StatementLine) -> dict[str, Any]:
    """One movement of a wallet."""
    return {
        "key": line.key,
        "at": iso(line.at_us, precise=True),
        "amount_minor": line.amount_minor,
        "balance_minor": line.balance_minor,
        "memo": line.memo,
    }


def parked_document(payment: ParkedPayment) -> dict[str, Any]:
    """A payment whose order is not known."""
    return {
        "channel": payment.channel,
        "reference": payment.reference,
        "order_id": payment.order_id,
        "key": payment.key,
        "uid": payment.uid,
        "amount_minor": payment.amount_minor,
        "currency": payment.currency,
        "at": iso(payment.at_us, precise=True),
        "cause": payment.cause,
        "tries": payment.tries,
        "due_at": iso(payment.due_at_us, precise=True),
    }


def _refund_document(refund: Refund) -> dict[str, Any]:
    document = asdict(refund)
    return {**document, "deadline_at": iso(document.pop("deadline_at_us"), precise=True)}


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, TypeError):  # altered text is shown as it is
        return text
