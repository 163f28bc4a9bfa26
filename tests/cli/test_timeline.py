"""The timeline: every fact says in a few words what it means."""

from __future__ import annotations

from typing import Any

import pytest

from orderway.cli.timeline import timeline
from orderway.core import facts
from orderway.core.facts import FACTS, Created, Fact
from orderway.core.journal import Entry, Stamp, begin
from orderway.core.money import define_currency
from orderway.core.order import Order
from orderway.core.payment import Leg, Refund

define_currency("POINTS")
LEGS = (
    Leg(0, "points", 300, "POINTS", worth_minor=300, holds=True),
    Leg(1, "scripted", 1700, "CNY", worth_minor=1700, at_most=True),
)
CREATED = Created(
    order_type=1, uid="ann", amount_minor=2000, currency="CNY", legs=LEGS, deadline_at_us=0, fingerprint=""
)
SAID: dict[Fact, str] = {
    CREATED: "for ann, 20.00 CNY through points (300 POINTS), scripted (up to 17.00 CNY)",
    facts.PaymentPending(leg=1, reference="T"): "leg 1 waits for the payer, reference T",
    facts.PaymentUnknown(leg=1, error="silence"): "leg 1: silence",
    facts.PaymentDeclined(leg=1): "leg 1",
    facts.PaymentClosed(leg=1): "leg 1 cannot be paid any more",
    facts.Held(
        leg=0, amount_minor=300, worth_minor=300, reference="H"
    ): "leg 0, 300 POINTS, worth 3.00 CNY, reference H",
    facts.Released(leg=0): "leg 0: its hold went back to the payer",
    facts.PartPaid(leg=1, amount_minor=1700, reference="T"): "leg 1, 17.00 CNY, reference T",
    facts.Paid(leg=0, amount_minor=300, reference="H", deadline_at_us=0): "leg 0, 300 POINTS, reference H",
    facts.PlanChanged(legs=(Leg(2, "wallet", 1700, "CNY"),)): "to be paid through wallet",
    facts.UnexpectedPayment(channel="wallet", amount_minor=100, currency="CNY", reference="U"): (
        "1.00 CNY through wallet, reference U"
    ),
    facts.UnexpectedAccepted(leg=2): "leg 2 is kept, and settled",
    facts.Reopened(leg=0, deadline_at_us=0): "its legs are planned anew, until 1970-01-01T00:00:00Z",
    facts.RefundRequested(
        refund=1, leg=0, amount_minor=100, worth_minor=100, key="k", why="requested", deadline_at_us=0
    ): "refund 1: leg 0, 100 POINTS, requested, key k",
    facts.RefundPending(refund=1): "refund 1 was accepted by its channel",
    facts.RefundUnknown(refund=1): "refund 1 was sent, and no answer came",
    facts.Refunded(refund=1, reference="R"): "refund 1 of leg 0, 100 POINTS went back, reference R",
    facts.RefundRefused(refund=1, error="no"): "refund 1 of leg 0, 100 POINTS: no",
    facts.RefundStuck(refund=1): "refund 1 of leg 0, 100 POINTS",
    facts.RefundResumed(refund=1, deadline_at_us=0): "refund 1 is tried until 1970-01-01T00:00:00Z",
    facts.DisputeOpened(leg=1, amount_minor=1700, reference="D"): "leg 1, 17.00 CNY, reference D",
    facts.DisputeWon(leg=1, reference="D"): "leg 1, reference D",
    facts.DisputeLost(leg=1, amount_minor=1700, reference="D"): "leg 1, 17.00 CNY, reference D",
    facts.StepDone(step="pack"): "pack",
    facts.Revoked(why="by_operator", error="recall", deadline_at_us=0): "by_operator: recall",
    facts.Amended(before='{"a":1,"b":2}', data='{"a":1,"b":3,"c":null}'): "b: 2 -> 3; c: nothing -> null",
    facts.Cancelled(why="by_business", error="sold out"): "by_business: sold out",
    facts.Rejected(why="insufficient_balance"): "insufficient_balance",
    facts.Closed(why="unpaid"): "unpaid",
    facts.Stuck(why="held"): "held",
    facts.Resumed(deadline_at_us=0): "tried until 1970-01-01T00:00:00Z",
    facts.AllRefunded(): "",
    facts.Delivered(): "",
    facts.Finished(): "",
    facts.TakenBack(): "",
    facts.Ended(): "",
}
"""Nothing, where the fact's own name says all."""


def told(fact: Fact, **stamp: Any) -> tuple[str, str, str]:
    """What a timeline says of a fact, by whom and why."""
    order, _ = begin("8Doi5X2H5KhQlsGog67cZF", CREATED, Stamp(0, "w", "s"))
    order.refunds = (Refund(1, 0, 100, 100, "k", "requested", 0),)
    (moment,) = timeline(order, [entry_of(order, fact, **stamp)])
    return moment.what, moment.who, moment.why


def entry_of(order: Order[Any], fact: Fact, **stamp: Any) -> Entry:
    """The entry of any fact, whether or not the order allows it."""
    from orderway.core.journal import _entry

    return _entry("", order, fact, Stamp(0, "w", "s", **stamp))


def test_every_fact_has_its_words() -> None:
    assert {type(fact).__name__ for fact in SAID} == set(FACTS)


@pytest.mark.parametrize("fact", SAID, ids=lambda fact: type(fact).__name__)
def test_a_fact_says_what_it_means(fact: Fact) -> None:
    assert told(fact) == (SAID[fact], "", "")


def test_who_and_why_are_told() -> None:
    assert told(facts.Released(leg=0), actor="mia", reason="asked", cause="n 1")[1:] == ("mia", "asked; cause n 1")


def test_data_that_is_no_object_is_told_whole() -> None:
    assert told(facts.Amended(before="[1]", data="[2]"))[0] == "[1] -> [2]"


def test_an_erased_amendment_says_so() -> None:
    order, _ = begin("8Doi5X2H5KhQlsGog67cZF", CREATED, Stamp(0, "w", "s"))
    entry = entry_of(order, facts.Amended(before="{}", data='{"a":1}'))
    (moment,) = timeline(order, [entry._replace(private=None)])
    assert moment.what == "private parts erased"
