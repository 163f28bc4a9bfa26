"""How an amount is spread over the legs of an order: exact to the last minor unit, and never above what is left."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any, Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orderway.core import facts as f
from orderway.core.ids import id_by_time
from orderway.core.order import Order, Stage
from orderway.core.payment import Leg, LegState, RefundState
from orderway.core.refunds import Allocation, allocate, refundable_worth_minor
from orderway.errors import IllegalTransition

EXAMPLES = 20_000 if os.environ.get("ORDERWAY_LONG") else 500
ORDER_ID = id_by_time(1_790_000_000_000_000, 7, 513)
policies: st.SearchStrategy[Allocation] = st.sampled_from(["reverse", "ratio"])
amounts = st.integers(1, 40) | st.integers(1, 2**40)


def paid_by(*legs: tuple[int, int, str]) -> Order[Any]:
    """An order that was paid in these legs: amount, worth and currency of each."""
    made = tuple(
        Leg(number, "wallet", amount, currency, worth_minor=worth).paid(amount, f"R-{number}")
        for number, (amount, worth, currency) in enumerate(legs)
    )
    total = sum(leg.worth_minor for leg in made)
    created = f.Created(
        order_type=1, uid="u", amount_minor=total, currency="USD", legs=made, deadline_at_us=9, fingerprint="ab"
    )
    return replace(Order.begin(ORDER_ID, created, 1), stage=Stage.PAID)


own = st.builds(lambda amount: (amount, amount, "USD"), amounts)
foreign = st.tuples(amounts, amounts, st.just("POINTS"))
orders = st.lists(own | foreign, min_size=1, max_size=6).map(lambda legs: paid_by(*legs))


def asked(order: Order[Any], leg: Leg, amount_minor: int, worth_minor: int) -> f.RefundRequested:
    return f.RefundRequested(
        refund=len(order.refunds) + 1,
        leg=leg.number,
        amount_minor=amount_minor,
        worth_minor=worth_minor,
        key="k",
        why="requested",
        deadline_at_us=9,
    )


def refunded(
    order: Order[Any], worth_minor: int, by: Allocation, ending: Literal["back", "refused", "open"]
) -> Order[Any]:
    """The order after a refund of this much, each part of which ended so; checks what every allocation promises."""
    shares = allocate(order, worth_minor, by)
    assert shares is not None
    assert sum(worth for _, _, worth in shares) == worth_minor
    assert len({leg.number for leg, _, _ in shares}) == len(shares)
    for leg, amount_minor, worth in shares:
        assert leg == order.legs[leg.number]
        assert 0 <= amount_minor <= leg.refundable_minor
        assert 0 < worth <= refundable_worth_minor(order, leg)
        assert leg.currency != order.currency or amount_minor == worth
        order = order.after(asked(order, leg, amount_minor, worth), 2)
        number = len(order.refunds)
        if ending == "back":
            order = order.after(f.Refunded(refund=number, reference="B"), 3)
        elif ending == "refused":
            order = order.after(f.RefundRefused(refund=number), 3)
    return order


def left_minor(order: Order[Any]) -> int:
    return sum(refundable_worth_minor(order, leg) for leg in order.legs)


@settings(max_examples=EXAMPLES, deadline=None)
@given(orders, policies, st.data())
def test_partial_refunds_end_with_exactly_all_of_each_leg_back(
    order: Order[Any], by: Allocation, data: st.DataObject
) -> None:
    most = order.amount_minor
    for _ in range(20):
        left = left_minor(order)
        if not left:
            break
        part = data.draw(st.integers(1, left) | st.integers(1, min(left, 3)) | st.just(left))
        order = refunded(order, part, data.draw(st.sampled_from([by, by, "reverse", "ratio"])), "back")
        assert left_minor(order) == left - part
    if left_minor(order):
        order = refunded(order, left_minor(order), by, "back")
    assert [leg.refunded_minor for leg in order.legs] == [leg.captured_minor for leg in order.legs]
    assert (order.refunded_minor, order.is_wound_up) == (most, True)
    assert allocate(order, 1, by) is None
    assert order.after(f.AllRefunded(), 4).stage is Stage.REFUNDING


@settings(max_examples=EXAMPLES, deadline=None)
@given(orders, policies, st.data())
def test_what_was_refused_is_refundable_again_and_what_is_on_its_way_is_not(
    order: Order[Any], by: Allocation, data: st.DataObject
) -> None:
    for _ in range(12):
        left = left_minor(order)
        if not left:
            break
        before = order
        part = data.draw(st.integers(1, left))
        ending: Literal["back", "refused", "open"] = data.draw(st.sampled_from(["back", "refused", "open"]))
        order = refunded(order, part, by, ending)
        assert left_minor(order) == left - (0 if ending == "refused" else part)
        if ending == "refused":
            assert order.legs == before.legs
    for refund in order.refunds:
        if refund.is_live:
            fact = data.draw(
                st.sampled_from(
                    [f.Refunded(refund=refund.number, reference="B"), f.RefundRefused(refund=refund.number)]
                )
            )
            order = order.after(fact, 5)
    while left := left_minor(order):
        order = refunded(order, left, by, "back")
    assert [leg.kept_minor for leg in order.legs] == [0] * len(order.legs)


@settings(max_examples=EXAMPLES, deadline=None)
@given(orders, policies, st.integers(1, 2**50))
def test_more_than_is_left_is_not_spread_at_all(order: Order[Any], by: Allocation, more: int) -> None:
    assert allocate(order, order.amount_minor + more, by) is None


@settings(max_examples=EXAMPLES, deadline=None)
@given(orders, st.data())
@example(paid_by((1, 1, "USD"), (1, 1, "USD"), (1, 1, "USD")), None)
def test_in_ratio_each_leg_gives_its_part_up_to_the_rounding(order: Order[Any], data: st.DataObject | None) -> None:
    total = order.amount_minor
    part = data.draw(st.integers(1, total)) if data else 2
    shares = {leg.number: worth for leg, _, worth in allocate(order, part, "ratio") or ()}
    for leg in order.legs:
        exact = part * leg.worth_minor // total
        assert exact <= shares.get(leg.number, 0) <= exact + len(order.legs)


@settings(max_examples=EXAMPLES, deadline=None)
@given(orders, st.data())
def test_in_reverse_a_leg_gives_only_once_those_after_it_are_empty(order: Order[Any], data: st.DataObject) -> None:
    part = data.draw(st.integers(1, order.amount_minor))
    shares = {leg.number: worth for leg, _, worth in allocate(order, part, "reverse") or ()}
    first = min(shares)
    assert all(shares.get(leg.number) == leg.worth_minor for leg in order.legs if leg.number > first)


@pytest.mark.parametrize(
    ("by", "expected"), [("reverse", {0: 700, 1: 300}), ("ratio", {0: 800, 1: 200})], ids=["reverse", "ratio"]
)
def test_an_example_to_check_by_hand(by: Allocation, expected: dict[int, int]) -> None:
    order = paid_by((1200, 1200, "USD"), (300, 300, "USD"))
    assert {leg.number: amount for leg, amount, _ in allocate(order, 1000, by) or ()} == expected


def test_points_go_back_in_proportion_and_the_last_part_takes_the_rest() -> None:
    order = paid_by((500, 99, "POINTS"))
    given_back = []
    for part in (33, 33, 33):
        ((_, amount_minor, _),) = allocate(order, part, "reverse") or ()
        given_back.append(amount_minor)
        order = refunded(order, part, "reverse", "back")
    assert given_back == [166, 167, 167]
    assert order.legs[0].kept_minor == 0


# ---- what the facts of refunds and disputes may not contradict


def refusal(order: Order[Any], fact: f.Fact) -> str:
    with pytest.raises(IllegalTransition) as caught:
        order.after(fact, 9)
    return str(caught.value)


@settings(max_examples=EXAMPLES, deadline=None)
@given(orders, st.lists(st.tuples(st.integers(0, 5), st.integers(-5, 2**41)), max_size=15))
def test_no_requests_reserve_more_than_was_captured(order: Order[Any], requests: list[tuple[int, int]]) -> None:
    for number, amount_minor in requests:
        leg = order.find_leg(number)
        fact = asked(order, leg or Leg(number, "none", 1, "USD"), amount_minor, amount_minor)
        if leg is not None and 0 < amount_minor <= leg.refundable_minor:
            order = order.after(fact, 2)
        else:
            assert "is refused" in refusal(order, fact)
    for leg in order.legs:
        assert 0 <= leg.refunding_minor + leg.refunded_minor <= leg.captured_minor <= leg.authorized_minor


def test_refunds_are_numbered_without_gaps() -> None:
    order = paid_by((10, 10, "USD"))
    fact = asked(order, order.legs[0], 5, 5)
    for number in (0, 2):
        assert "its next refund is number 1" in refusal(order, replace(fact, refund=number))
    assert "its next refund is number 2" in refusal(order.after(fact, 2), fact)


@pytest.mark.parametrize("ended", [f.Refunded(refund=1, reference="B"), f.RefundRefused(refund=1)])
def test_a_refund_that_is_over_moves_no_more(ended: f.Fact) -> None:
    order = paid_by((10, 10, "USD"))
    order = order.after(asked(order, order.legs[0], 5, 5), 2).after(ended, 3)
    for fact in (
        f.RefundPending(refund=1),
        f.RefundUnknown(refund=1),
        f.Refunded(refund=1, reference="B"),
        f.RefundRefused(refund=1),
        f.RefundStuck(refund=1),
        f.RefundResumed(refund=1, deadline_at_us=9),
    ):
        assert f"its refund 1 is {order.refunds[0].state}" in refusal(order, fact)
        assert "its refund 7 is missing" in refusal(order, replace(fact, refund=7))


def test_a_stuck_refund_stays_reserved_and_is_asked_about_when_it_goes_on() -> None:
    order = paid_by((10, 10, "USD"))
    order = order.after(asked(order, order.legs[0], 4, 4), 2).after(f.RefundStuck(refund=1), 3)
    assert (order.legs[0].refundable_minor, order.is_settled, order.needs_person) == (6, True, True)
    order = order.after(f.RefundResumed(refund=1, deadline_at_us=77), 4)
    assert (order.refunds[0].state, order.refunds[0].deadline_at_us) == (RefundState.UNKNOWN, 77)
    assert (order.legs[0].refundable_minor, order.is_settled, order.needs_person) == (6, False, False)


def test_a_lost_dispute_takes_no_more_than_is_left() -> None:
    order = paid_by((10, 10, "USD"))
    order = order.after(asked(order, order.legs[0], 4, 4), 2)
    order = order.after(f.DisputeOpened(leg=0, amount_minor=10, reference="D"), 3)
    assert (order.stage, order.resume_stage, order.needs_person) == (Stage.DISPUTED, Stage.PAID, True)
    assert "leg 0 has 6 left" in refusal(order, f.DisputeLost(leg=0, amount_minor=7, reference="D"))
    order = order.after(f.DisputeLost(leg=0, amount_minor=6, reference="D"), 4)
    assert (order.stage, order.legs[0].refundable_minor, order.legs[0].disputed_minor) == (Stage.PAID, 0, 0)
    assert "is still with us" in refusal(order, f.AllRefunded())
    assert order.after(f.Refunded(refund=1, reference="B"), 5).after(f.AllRefunded(), 6).stage is Stage.REFUNDING


def test_unexpected_money_goes_back_and_is_no_part_of_the_price() -> None:
    order = paid_by((10, 10, "USD"))
    fact = f.UnexpectedPayment(channel="wechat", amount_minor=7, currency="USD", reference="W")
    order = order.after(fact, 2)
    assert left_minor(order) == 10
    order = order.after(asked(order, order.legs[1], 7, 0), 3).after(f.Refunded(refund=1, reference="B"), 4)
    assert (order.legs[1].state, order.legs[1].kept_minor) == (LegState.UNEXPECTED, 0)
    assert (order.refunded_minor, order.paid_minor, order.needs_person) == (0, 10, False)
