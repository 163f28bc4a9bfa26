"""Orders and journal entries as flat documents with stable keys: the columns of CSV, the keys of JSON lines.

``docs/export.md`` describes each key. Private parts (business data, remarks, error texts, results) are None unless
they are asked for: they may hold personal text.
"""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from orderway.core.journal import SYSTEM, Entry
from orderway.core.order import Order
from orderway.core.payment import Leg, Refund
from orderway.export.amounts import decimal_text, exponent_of, iso

__all__ = ["ENTRY_COLUMNS", "ORDER_COLUMNS", "entry_document", "order_document"]

ORDER_COLUMNS = (
    *("id", "type", "uid", "stage", "status", "status_name", "pay_status", "currency", "amount_minor", "amount"),
    *("paid_minor", "paid", "refunded_minor", "refunded", "legs", "refunds", "own_number", "remark", "data", "steps"),
    *("why", "resume_stage", "created_at", "updated_at", "deadline_at", "due_at", "attempts", "last_error", "holder"),
    *("version", "digest"),
)
ENTRY_COLUMNS = (
    *("order_id", "version", "fact", "at", "actor", "reason", "cause", "fields", "private", "private_digest", "erased"),
    *("write_id", "digest"),
)


def order_document(order: Order[Any], *, private: bool = False) -> dict[str, Any]:
    """An order under the keys of ``ORDER_COLUMNS``."""
    exponent = exponent_of(order.currency)
    return {
        "id": order.id,
        "type": order.type,
        "uid": order.uid,
        "stage": str(order.stage),
        "status": int(order.status),
        "status_name": order.status.name.lower(),
        "pay_status": order.pay_status,
        "currency": order.currency,
        "amount_minor": order.amount_minor,
        "amount": decimal_text(order.amount_minor, exponent),
        "paid_minor": order.paid_minor,
        "paid": decimal_text(order.paid_minor, exponent),
        "refunded_minor": order.refunded_minor,
        "refunded": decimal_text(order.refunded_minor, exponent),
        "legs": [_part(leg, leg.currency, order.currency) for leg in order.legs],
        "refunds": [_part(refund, order.legs[refund.leg].currency, order.currency) for refund in order.refunds],
        "own_number": order.own_number,
        "remark": order.remark if private else None,
        "data": _decoded(order.data_text) if private else None,
        "steps": {name: _decoded(result) if private else None for name, result in order.steps.items()},
        "why": order.why,
        "resume_stage": None if order.resume_stage is None else str(order.resume_stage),
        "created_at": iso(order.created_at_us),
        "updated_at": iso(order.updated_at_us),
        "deadline_at": iso(order.deadline_at_us),
        "due_at": iso(order.due_at_us),
        "attempts": order.attempts,
        "last_error": order.last_error if private else None,
        # 63 bits: as text, for many JSON readers keep numbers in 53.
        "holder": None if order.holder is None else str(order.holder),
        "version": order.version,
        "digest": order.digest,
    }


def entry_document(entry: Entry, *, private: bool = False) -> dict[str, Any]:
    """A journal entry under the keys of ``ENTRY_COLUMNS``."""
    public = _decoded(entry.body)
    if not isinstance(public, dict):  # altered; `orderway verify` says so
        public = {"body": public}
    private_digest = public.pop("private", None)
    return {
        "order_id": entry.order_id,
        "version": entry.version,
        "fact": entry.fact,
        "at": iso(entry.at_us),
        "actor": public.pop("actor", SYSTEM),
        "reason": public.pop("reason", ""),
        "cause": public.pop("cause", ""),
        "fields": public,
        "private": _private(entry.private) if private and entry.private is not None else None,
        "private_digest": private_digest,
        "erased": private_digest is not None and entry.private is None,
        "write_id": entry.write_id,
        "digest": entry.digest,
    }


def _part(part: Leg | Refund, code: str, order_code: str) -> dict[str, Any]:
    """A leg or a refund: each of its fields; amounts also in major units, instants as text."""
    document: dict[str, Any] = {}
    for column in fields(part):
        name, value = column.name, getattr(part, column.name)
        if name.endswith("_at_us"):
            document[name.removesuffix("_us")] = iso(value)
            continue
        document[name] = str(value) if name == "state" else value
        if name.endswith("_minor"):
            exponent = exponent_of(order_code if name == "worth_minor" else code)
            document[name.removesuffix("_minor")] = decimal_text(value, exponent)
    return document


def _private(text: str) -> Any:
    private = _decoded(text)
    if isinstance(private, dict):
        private.pop("salt", None)
        for name in ("data", "result"):  # texts of JSON
            if name in private:
                private[name] = _decoded(private[name])
    return private


def _decoded(text: Any) -> Any:
    try:
        return json.loads(text)
    except (ValueError, TypeError):  # altered text is exported as it is
        return text
