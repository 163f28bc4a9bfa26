"""An order's journal as a timeline: when, what, who and why, each in a few words."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from orderway.cli.documents import entry_document
from orderway.cli.output import iso, money
from orderway.core import facts
from orderway.core.facts import Fact
from orderway.core.journal import Entry, fact_of
from orderway.core.order import Order
from orderway.core.payment import Leg

__all__ = ["Moment", "timeline"]


@dataclass(frozen=True, slots=True)
class Moment:
    """One entry: its number, when (ISO), the fact's name, what it says, by whom (empty for the system), and why."""

    version: int
    at: str
    fact: str
    what: str
    who: str
    why: str


def timeline(order: Order[Any], entries: list[Entry]) -> list[Moment]:
    """The moments of an order, oldest first; also of a journal that was altered or that a newer package wrote."""
    return [_moment(order, entry) for entry in entries]


def _moment(order: Order[Any], entry: Entry) -> Moment:
    document = entry_document(entry)
    try:
        what = _account(order, fact_of(entry))
    except (ValueError, KeyError, TypeError):
        what = f"cannot be read: {entry.body}"
    if document["erased"]:
        what = f"{what}; private parts erased" if what else "private parts erased"
    cause = f"cause {document['cause']}" if document["cause"] else ""
    why = "; ".join(text for text in (document["reason"], cause) if text)
    who = "" if document["actor"] == "system" else document["actor"]
    return Moment(entry.version, iso(entry.at_us, precise=True) or "", entry.fact, what, who, why)


def _account(order: Order[Any], fact: Fact) -> str:
    """What a fact says, in a few words."""
    return _of_payment(order, fact) or _of_refund(order, fact) or _of_order(fact)


def _of_payment(order: Order[Any], fact: Fact) -> str:
    match fact:
        case facts.Created():
            price = money(fact.amount_minor, fact.currency)
            return f"for {fact.uid}, {f'{price} through {_plan(fact.legs)}' if fact.legs else 'nothing to pay'}"
        case facts.PaymentPending():
            return f"leg {fact.leg} waits for the payer{_reference(fact.reference)}"
        case facts.PaymentUnknown() | facts.PaymentDeclined():
            return f"leg {fact.leg}{_said(fact.error)}"
        case facts.PaymentClosed():
            return f"leg {fact.leg} cannot be paid any more"
        case facts.Held():
            return f"{_of_leg(order, fact.leg, fact.amount_minor)}{_worth(order, fact)}{_reference(fact.reference)}"
        case facts.Released():
            return f"leg {fact.leg}: its hold went back to the payer"
        case facts.Paid() | facts.PartPaid():
            return f"{_of_leg(order, fact.leg, fact.amount_minor)}{_reference(fact.reference)}"
        case facts.PlanChanged():
            return f"to be paid through {_plan(fact.legs)}"
        case facts.UnexpectedPayment():
            return f"{money(fact.amount_minor, fact.currency)} through {fact.channel}{_reference(fact.reference)}"
        case facts.UnexpectedAccepted():
            return f"leg {fact.leg} is kept, and settled"
        case facts.Reopened():
            return f"its legs are planned anew, until {iso(fact.deadline_at_us)}"
        case _:
            return ""


def _of_refund(order: Order[Any], fact: Fact) -> str:
    match fact:
        case facts.RefundRequested():
            key = f", key {fact.key}" if fact.key else ""
            return f"refund {fact.refund}: {_of_leg(order, fact.leg, fact.amount_minor)}, {fact.why}{key}"
        case facts.RefundPending():
            return f"refund {fact.refund} was accepted by its channel{_reference(fact.reference)}"
        case facts.RefundUnknown():
            return f"refund {fact.refund} was sent, and no answer came"
        case facts.Refunded():
            return f"refund {fact.refund}{_amount_of_refund(order, fact.refund)} went back{_reference(fact.reference)}"
        case facts.RefundRefused() | facts.RefundStuck():
            return f"refund {fact.refund}{_amount_of_refund(order, fact.refund)}{_said(fact.error)}"
        case facts.RefundResumed():
            return f"refund {fact.refund} is tried until {iso(fact.deadline_at_us)}"
        case facts.DisputeOpened() | facts.DisputeLost():
            return f"{_of_leg(order, fact.leg, fact.amount_minor)}{_reference(fact.reference)}"
        case facts.DisputeWon():
            return f"leg {fact.leg}{_reference(fact.reference)}"
        case _:
            return ""


def _of_order(fact: Fact) -> str:
    match fact:
        case facts.StepDone():
            return f"{fact.step}, skipped with the result {fact.result}" if fact.skipped else fact.step
        case facts.Amended():
            return _changes(fact.before, fact.data)
        case facts.Stuck(attempts=attempts) if attempts:
            return f"{fact.why} after {attempts} tries{_said(fact.error)}"
        case facts.Cancelled() | facts.Revoked() | facts.Stuck():
            return f"{fact.why}{_said(fact.error)}"
        case facts.Rejected() | facts.Closed():
            return fact.why
        case facts.Resumed():
            return f"tried until {iso(fact.deadline_at_us)}"
        case _:
            return ""


def _of_leg(order: Order[Any], number: int, amount_minor: int) -> str:
    leg = order.find_leg(number)
    return f"leg {number}, {money(amount_minor, leg.currency if leg is not None else order.currency)}"


def _worth(order: Order[Any], held: facts.Held) -> str:
    """What a hold in another currency than the price counts for."""
    leg = order.find_leg(held.leg)
    same = leg is None or (held.amount_minor, leg.currency) == (held.worth_minor, order.currency)
    return "" if same else f", worth {money(held.worth_minor, order.currency)}"


def _amount_of_refund(order: Order[Any], number: int) -> str:
    refund = order.find_refund(number)
    return "" if refund is None else f" of {_of_leg(order, refund.leg, refund.amount_minor)}"


def _plan(legs: tuple[Leg, ...]) -> str:
    """The channels, and where there are several parts, how much through which."""
    if len(legs) == 1:
        return legs[0].channel
    return ", ".join(
        f"{leg.channel} ({'up to ' if leg.at_most else ''}{money(leg.amount_minor, leg.currency)})" for leg in legs
    )


def _changes(before: str, after: str | None) -> str:
    """What an amendment has changed: key by key, where both are objects."""
    if after is None or not before:  # erased
        return ""
    old, new = json.loads(before), json.loads(after)
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return f"{before} -> {after}"
    changed = [key for key in {**old, **new} if old.get(key, _MISSING) != new.get(key, _MISSING)]
    return "; ".join(f"{key}: {_shown(old, key)} -> {_shown(new, key)}" for key in changed)


_MISSING = object()


def _shown(data: dict[str, Any], key: str) -> str:
    return json.dumps(data[key], ensure_ascii=False) if key in data else "nothing"


def _said(error: str) -> str:
    return f": {error}" if error else ""


def _reference(reference: str) -> str:
    return f", reference {reference}" if reference else ""
