"""An order's journal as a timeline: when, what, who and why, each in a few words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orderway.cli.documents import entry_document
from orderway.cli.output import iso, money
from orderway.core import facts
from orderway.core.facts import Fact
from orderway.core.journal import Entry, fact_of
from orderway.core.order import Order

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
    match fact:
        case facts.Created():
            channels = ", ".join(leg.channel for leg in fact.legs)
            price = f"{money(fact.amount_minor, fact.currency)} through {channels}" if channels else "nothing to pay"
            return f"for {fact.uid}, {price}"
        case facts.PaymentPending():
            return f"leg {fact.leg} waits for the payer{_reference(fact.reference)}"
        case facts.PaymentUnknown() | facts.PaymentDeclined():
            return f"leg {fact.leg}{': ' if fact.error else ''}{fact.error}"
        case facts.PaymentClosed():
            return f"leg {fact.leg} cannot be paid any more"
        case facts.Paid():
            return f"leg {fact.leg}, {money(fact.amount_minor, order.currency)}{_reference(fact.reference)}"
        case facts.UnexpectedPayment():
            return f"{money(fact.amount_minor, fact.currency)} through {fact.channel}{_reference(fact.reference)}"
        case facts.StepDone():
            return fact.step
        case facts.Cancelled() | facts.Rejected() | facts.Closed():
            return fact.why
        case facts.Stuck():
            return f"{fact.why}{': ' if fact.error else ''}{fact.error}"
        case facts.Resumed():
            return f"tried until {iso(fact.deadline_at_us)}"
        case _:
            return ""


def _reference(reference: str) -> str:
    return f", reference {reference}" if reference else ""
