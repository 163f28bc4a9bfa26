"""Legs of open amounts follow what is missing: held, paid, closed or replaced, the parts always add up to the price."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from orderway.core import facts as f
from orderway.core.ids import id_by_time
from orderway.core.order import Order, Stage
from orderway.core.payment import Leg, LegState
from orderway.errors import IllegalTransition

EXAMPLES = 20_000 if os.environ.get("ORDERWAY_LONG") else 500
ORDER_ID = id_by_time(1_790_000_000_000_000, 7, 513)


@st.composite
def plans(draw: st.DrawFn) -> Order[Any]:
    """An order whose parts are held one after the other; the last leg takes all that is missing by then."""
    fixed = draw(st.lists(st.integers(1, 50), max_size=3))
    open_minor = draw(st.integers(1, 100))
    holders = draw(st.permutations([*fixed, *[None] * draw(st.integers(0, 2))]))
    legs = [
        Leg(
            *(number, f"c{number}", open_minor if worth is None else worth * 10),
            currency="USD" if worth is None else "POINTS",
            worth_minor=worth or open_minor,
            holds=True,
            at_most=worth is None,
        )
        for number, worth in enumerate(holders)
    ]
    legs.append(Leg(len(legs), "last", open_minor, "USD", worth_minor=open_minor, at_most=True))
    created = f.Created(
        order_type=1,
        uid="u",
        amount_minor=sum(fixed) + open_minor,
        currency="USD",
        legs=tuple(legs),
        deadline_at_us=9,
        fingerprint="ab",
    )
    return Order.begin(ORDER_ID, created, 1)


def check_amounts(order: Order[Any]) -> None:
    """What is in hand, the fixed parts still open, and any one open part come to the price."""
    in_hand = order.amount_minor - order.missing_minor
    fixed = sum(leg.worth_minor for leg in order.legs if leg.is_open and not leg.at_most)
    for leg in order.legs:
        assert leg.amount_minor >= 0
        assert leg.worth_minor >= 0
        if leg.is_open and leg.at_most:
            assert in_hand + fixed + leg.worth_minor == order.amount_minor
            assert leg.amount_minor == leg.worth_minor


@settings(max_examples=EXAMPLES, deadline=None)
@given(plans(), st.data())
def test_whatever_is_held_the_parts_come_to_the_price(order: Order[Any], data: st.DataObject) -> None:
    *holders, last = order.legs
    for number in data.draw(st.permutations(range(len(holders)))):
        leg = order.legs[number]
        if leg.at_most and (leg.worth_minor == 0 or data.draw(st.booleans())):
            order = order.after(f.PaymentClosed(leg=number), 2)  # there was nothing
        else:
            worth_minor = data.draw(st.integers(1, leg.worth_minor)) if leg.at_most else leg.worth_minor
            amount_minor = worth_minor if leg.at_most else leg.amount_minor
            held = f.Held(leg=number, amount_minor=amount_minor, worth_minor=worth_minor, reference="H")
            order = order.after(held, 2)
        check_amounts(order)
    legs = [order.legs[last.number], *(leg for leg in order.legs if leg.state is LegState.HELD)]
    assert sum(leg.worth_minor for leg in legs) == order.amount_minor
    wanted = [leg for leg in legs if leg.worth_minor]
    for leg in wanted[:-1]:
        order = order.after(f.PartPaid(leg=leg.number, amount_minor=leg.amount_minor, reference="P"), 3)
        check_amounts(order)
    leg = wanted[-1]
    order = order.after(f.Paid(leg=leg.number, amount_minor=leg.amount_minor, reference="P", deadline_at_us=9), 4)
    assert (order.stage, order.missing_minor, order.paid_minor) == (Stage.PAID, 0, order.amount_minor)
    assert not any(leg.is_open or leg.state is LegState.HELD for leg in order.legs)


@settings(max_examples=EXAMPLES, deadline=None)
@given(plans(), st.data())
def test_no_fact_asks_for_less_than_nothing(order: Order[Any], data: st.DataObject) -> None:
    """Replaced legs that are paid after all, plans that ask for too much: amounts stay such as a database keeps."""
    for _ in range(8):
        new = data.draw(st.integers(1, 150))
        at_most = data.draw(st.booleans())
        extra = Leg(len(order.legs), "new", new, "USD", worth_minor=new, at_most=at_most)
        leg = data.draw(st.sampled_from(order.legs))
        fact = data.draw(
            st.sampled_from(
                [
                    f.PlanChanged(legs=(extra,)),
                    f.PartPaid(leg=leg.number, amount_minor=leg.amount_minor, reference="P"),
                    f.PaymentClosed(leg=leg.number),
                    f.Held(leg=leg.number, amount_minor=1, worth_minor=1, reference="H"),
                ]
            )
        )
        try:
            order = order.after(fact, 2)
        except IllegalTransition:
            continue
        for each in order.legs:
            assert min(each.amount_minor, each.worth_minor) >= 0, fact


def test_an_order_that_is_reopened_asks_anew_for_what_is_missing() -> None:
    legs = (
        Leg(0, "points", 300, "POINTS", worth_minor=30, holds=True),
        Leg(1, "last", 170, "USD", worth_minor=170, at_most=True),
    )
    created = f.Created(
        order_type=1, uid="u", amount_minor=200, currency="USD", legs=legs, deadline_at_us=9, fingerprint="ab"
    )
    order = Order.begin(ORDER_ID, created, 1)
    order = order.after(f.Held(leg=0, amount_minor=300, worth_minor=30, reference="H"), 2)
    order = order.after(f.Closed(why="late"), 3).after(f.Released(leg=0), 4).after(f.PaymentClosed(leg=1), 5)
    order = order.after(f.Reopened(leg=1, deadline_at_us=99), 6)
    assert [(leg.state, leg.attempt) for leg in order.legs] == [(LegState.PLANNED, 2), (LegState.PLANNED, 1)]
    assert [leg.worth_minor for leg in order.legs] == [30, 170]
    assert not order.legs[1].at_most  # it was paid: what the others lack, it cannot ask for any more
    assert replace(order.legs[0], attempt=1) == legs[0]
