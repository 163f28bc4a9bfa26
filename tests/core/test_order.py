"""Every stage with every fact, every guard, and the check of the table itself."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orderway.core import facts as f
from orderway.core.ids import id_by_time
from orderway.core.money import Money
from orderway.core.order import (
    FINAL_STAGES,
    JOURNALED,
    OPERATIONAL,
    RESUME,
    STATUS,
    TRANSITIONS,
    Order,
    Stage,
    Status,
    check_transitions,
)
from orderway.core.payment import Leg, LegState, Refund
from orderway.errors import ConfigError, IllegalTransition
from orderway.testing.conformance.situations import FACTS, PRICE, UNPAID, in_situation, target

ORDER_ID = id_by_time(1_790_000_000_000_000, 7, 513)
CREATED = f.Created(
    order_type=1,
    uid="ann",
    amount_minor=PRICE,
    currency="USD",
    legs=(Leg(0, "scripted", PRICE, "USD", worth_minor=PRICE),),
    deadline_at_us=2_000,
    fingerprint="ab",
    data='{"n":1}',
)
PAID = f.Paid(leg=0, amount_minor=PRICE, reference="r", deadline_at_us=3_000)
REFUND = f.RefundRequested(
    refund=1, leg=0, amount_minor=5, worth_minor=5, key="k", why="requested", deadline_at_us=4_000
)


def order_in(stage: Stage, kind: type[f.Fact]) -> Order[Any]:
    """An order of this stage that has what this fact is about."""
    return in_situation(Order.begin(ORDER_ID, CREATED, 1_000), stage, kind)


def stuck_order(stage: Stage, stopped: Stage) -> Order[Any]:
    return replace(Order.begin(ORDER_ID, CREATED, 1_000), stage=stage, resume_stage=stopped)


def paid_order() -> Order[Any]:
    return Order.begin(ORDER_ID, CREATED, 1_000).after(PAID, 1_100)


def test_the_facts_tried_here_are_all_there_are() -> None:
    assert set(FACTS) == set(f.FACTS.values())
    assert set(TRANSITIONS) == set(Stage)


@pytest.mark.parametrize("kind", f.FACTS.values(), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("stage", Stage)
def test_each_fact_in_each_stage_leads_to_the_tables_stage_or_is_refused(stage: Stage, kind: type[f.Fact]) -> None:
    order = order_in(stage, kind)
    before = copy.deepcopy(order)
    assert order.allows(kind) is (kind in TRANSITIONS[stage])
    if not order.allows(kind):
        with pytest.raises(IllegalTransition) as caught:
            order.after(FACTS[kind], 1_500)
        message = str(caught.value)
        assert caught.value.order_id == ORDER_ID
        assert f"is {stage}: {kind.__name__} is not allowed" in message
        assert all(allowed.__name__ in message for allowed in TRANSITIONS[stage])
    else:
        after = order.after(FACTS[kind], 1_500)
        assert after.stage is target(stage, kind)
        assert (after.version, after.updated_at_us, after.created_at_us) == (2, 1_500, 1_000)
    assert order == before


def test_no_stage_allows_created() -> None:
    assert not any(f.Created in facts for facts in TRANSITIONS.values())


@pytest.mark.parametrize("kind", [f.UnexpectedPayment, f.RefundRequested, f.Refunded, f.DisputeLost, f.PaymentClosed])
def test_money_is_kept_and_goes_back_in_every_stage(kind: type[f.Fact]) -> None:
    assert all(kind in facts for facts in TRANSITIONS.values())
    moved = {stage for stage, facts in TRANSITIONS.items() if facts[kind] is not stage}
    assert moved == ({Stage.DISPUTED} if kind is f.DisputeLost else set())


def test_success_is_never_lowered_by_a_late_failure() -> None:
    ladder = [Stage.CREATED, Stage.PAID, Stage.DELIVERED, Stage.FINISHED]
    for stage, facts in TRANSITIONS.items():
        targets = set(facts.values()) & set(ladder)
        if stage in ladder:
            assert not targets & set(ladder[: ladder.index(stage)])
    undone = {Stage.RETURNING, Stage.REFUNDING, Stage.DISPUTED}
    assert set(TRANSITIONS[Stage.FINISHED].values()) == {Stage.FINISHED, *undone}
    assert {TRANSITIONS[Stage.FINISHED][kind] for kind in (f.Revoked, f.AllRefunded, f.DisputeOpened)} == undone
    assert f.Cancelled not in TRANSITIONS[Stage.DELIVERED]
    assert f.Stuck not in TRANSITIONS[Stage.FINISHED]


# ---- beginning


def test_an_order_begins_created_with_what_was_agreed() -> None:
    order = Order.begin(ORDER_ID, CREATED, 1_000)
    assert (order.stage, order.status, order.version) == (Stage.CREATED, Status.FORWARDING, 1)
    assert (order.amount, order.paid_minor, order.pay_status) == (Money(PRICE, "USD"), 0, 0)
    assert (order.slot, order.data, order.is_final) == (513, {"n": 1}, False)
    assert order.created_at == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=1)
    assert order.deadline_at - order.updated_at == timedelta(milliseconds=1)
    assert order.due_at is None


def test_an_order_with_nothing_to_pay_begins_as_paid() -> None:
    order = Order.begin(ORDER_ID, replace(CREATED, amount_minor=0, legs=(), data=None), 1_000)
    assert (order.stage, order.pay_status, order.data) == (Stage.PAID, 0, {})
    assert order.after(f.Cancelled(why="sold out"), 2).stage is Stage.CANCELLING


def test_keys_are_the_same_whoever_asks_and_fit_the_channels() -> None:
    order = Order.begin(ORDER_ID, CREATED, 1_000)
    assert order.payment_key(order.legs[0]) == f"{ORDER_ID}-0-1" == order.after(PAID, 2).payment_key(order.legs[0])
    assert order.delivery_key == f"{ORDER_ID}-d"
    longest = replace(order, id="0" * 26)
    assert len(longest.payment_key(order.legs[0])) <= 32
    assert order.refund_key(Refund(7, 0, 5, 5, "k", "requested", 9)) == f"{ORDER_ID}-r7"
    assert len(longest.refund_key(Refund(9_999, 0, 5, 5, "k", "requested", 9))) <= 32


# ---- what each fact changes


def test_a_payment_fills_its_leg_and_sets_the_new_deadline() -> None:
    order = paid_order()
    assert order.legs == (
        Leg(
            *(0, "scripted", PRICE, "USD", LegState.PAID, 1, "r"),
            authorized_minor=PRICE,
            captured_minor=PRICE,
            worth_minor=PRICE,
        ),
    )
    assert (order.paid_minor, order.pay_status, order.deadline_at_us) == (PRICE, 1, 3_000)


@pytest.mark.parametrize(
    ("fact", "state"),
    [
        (f.PaymentPending(leg=0, reference="r"), LegState.PENDING),
        (f.PaymentUnknown(leg=0), LegState.UNKNOWN),
        (f.PaymentDeclined(leg=0), LegState.DECLINED),
        (f.PaymentClosed(leg=0), LegState.CLOSED),
    ],
)
def test_what_the_channel_says_moves_the_leg_and_not_the_order(fact: f.Fact, state: LegState) -> None:
    order = Order.begin(ORDER_ID, CREATED, 1_000).after(fact, 2)
    assert (order.stage, order.legs[0].state) == (Stage.CREATED, state)


def test_a_leg_keeps_its_reference_when_no_new_one_comes() -> None:
    order = Order.begin(ORDER_ID, CREATED, 1_000).after(f.PaymentPending(leg=0, reference="r"), 2)
    assert order.after(f.PaymentUnknown(leg=0), 3).legs[0].reference == "r"


def test_unexpected_money_is_kept_as_a_leg_of_its_own_and_pays_nothing() -> None:
    order = Order.begin(ORDER_ID, CREATED, 1_000).after(FACTS[f.UnexpectedPayment], 2)
    assert order.legs[1] == Leg(
        1, "scripted", 0, "USD", LegState.UNEXPECTED, reference="r2", authorized_minor=5, captured_minor=5
    )
    assert (order.stage, order.paid_minor, order.pay_status) == (Stage.CREATED, 0, 0)
    assert order.after(PAID, 3).stage is Stage.PAID


def test_steps_are_kept_by_name() -> None:
    order = paid_order()
    one = order.after(f.StepDone(step="pack", result="1"), 2)
    two = one.after(f.StepDone(step="ship"), 3)
    assert (order.steps, one.steps, two.steps) == ({}, {"pack": "1"}, {"pack": "1", "ship": "null"})


@pytest.mark.parametrize("kind", [f.Cancelled, f.Rejected, f.Closed])
def test_an_end_says_why_and_owes_its_hook(kind: type[f.Fact]) -> None:
    order = Order.begin(ORDER_ID, CREATED, 1_000).after(FACTS[kind], 2)
    assert order.why == FACTS[kind].why  # type: ignore[attr-defined]
    assert (order.legs[0].state, order.is_final) == (LegState.CLOSING, False)
    assert order.after(f.PaymentClosed(leg=0), 3).after(f.Ended(), 4).is_final


@pytest.mark.parametrize("stage", [stage for stage, facts in TRANSITIONS.items() if f.Stuck in facts])
@pytest.mark.parametrize("ended", [False, True])
def test_a_stuck_order_resumes_where_it_had_stopped(stage: Stage, ended: bool) -> None:
    stuck = order_in(stage, f.Stuck).after(f.Stuck(why="hook"), 2)
    assert (stuck.stage, stuck.why, stuck.resume_stage, stuck.status) == (Stage.FAILING, "hook", stage, Status.STUCK)
    if ended:
        stuck = stuck.after(f.Ended(), 3)
        assert (stuck.stage, stuck.is_final) == (Stage.STUCK, False)  # a refund of it is still on its way
        stuck = stuck.after(f.Refunded(refund=1, reference="B"), 3)
        assert (stuck.is_settled, stuck.is_final, stuck.needs_person) == (True, True, True)
    resumed = stuck.after(f.Resumed(deadline_at_us=9_000), 4)
    assert (resumed.stage, resumed.why, resumed.resume_stage, resumed.deadline_at_us) == (stage, "", None, 9_000)


@pytest.mark.parametrize("stage", [Stage.FAILING, Stage.STUCK])
def test_the_payment_that_a_stuck_order_waited_for_revives_it(stage: Stage) -> None:
    order = replace(stuck_order(stage, Stage.CREATED), why="hook").after(PAID, 2)
    assert (order.stage, order.why, order.resume_stage, order.paid_minor) == (Stage.PAID, "", None, PRICE)


def test_data_rides_in_any_fact_and_is_decoded_anew() -> None:
    order = paid_order()
    assert order.data == {"n": 1}
    after = order.after(f.Delivered(data='{"n":2}'), 2)
    assert (after.data, order.data) == ({"n": 2}, {"n": 1})


def test_data_is_decoded_once_and_by_the_order_types_own_decoder() -> None:
    decoded: list[str] = []

    def decode(text: str) -> Any:
        decoded.append(text)
        return json.loads(text)["n"]

    order = replace(Order.begin(ORDER_ID, CREATED, 1_000), _decode=decode)
    assert [order.data, order.data, order.after(PAID, 2).data] == [1, 1, 1]
    assert decoded == ['{"n":1}']


# ---- purity


def legal(stage: Stage) -> Iterator[tuple[Order[Any], f.Fact]]:
    return ((order_in(stage, kind), FACTS[kind]) for kind in TRANSITIONS[stage])


@pytest.mark.parametrize("stage", Stage)
def test_after_is_pure(stage: Stage) -> None:
    for order, fact in legal(stage):
        before = copy.deepcopy(order)
        once, again = order.after(fact, 5), order.after(fact, 5)
        assert once == again
        assert once is not again
        once.stage = Stage.FINISHED
        again.legs = again.refunds = ()
        assert order == before


@pytest.mark.parametrize("stage", Stage)
def test_facts_leave_operational_columns_alone(stage: Stage) -> None:
    for order, fact in legal(stage):
        after = replace(order, due_at_us=7, attempts=3, holder=11, last_error="boom").after(fact, 5)
        assert [getattr(after, name) for name in OPERATIONAL] == [7, 3, 11, "boom"]
    assert not set(OPERATIONAL) & set(JOURNALED)


# ---- guards


def refusal(order: Order[Any], fact: f.Fact) -> str:
    before = copy.deepcopy(order)
    with pytest.raises(IllegalTransition) as caught:
        order.after(fact, 9_999)
    assert order == before
    assert caught.value.order_id == ORDER_ID
    assert f"{type(fact).__name__} is refused" in str(caught.value)
    return str(caught.value)


def test_a_payment_of_another_amount_is_refused() -> None:
    order = Order.begin(ORDER_ID, CREATED, 1_000)
    for amount_minor in (PRICE - 1, PRICE + 1, 0, -PRICE):
        message = refusal(order, replace(PAID, amount_minor=amount_minor))
        assert f"{amount_minor} minor units were paid and {PRICE} were asked" in message


def test_a_payment_of_a_leg_that_is_not_there_is_refused() -> None:
    order = Order.begin(ORDER_ID, CREATED, 1_000)
    assert "leg 1 is missing" in refusal(order, replace(PAID, leg=1))


def test_a_payment_of_unexpected_money_again_is_refused() -> None:
    order = Order.begin(ORDER_ID, CREATED, 1_000).after(FACTS[f.UnexpectedPayment], 2)
    assert "leg 1 is unexpected" in refusal(order, replace(PAID, leg=1, amount_minor=5))


CHANNEL_SAYS = [f.PaymentPending(leg=0), f.PaymentUnknown(leg=0), f.PaymentDeclined(leg=0), f.PaymentClosed(leg=0)]


OVER = [f.PaymentDeclined(leg=0), f.PaymentClosed(leg=0)]


@pytest.mark.parametrize("over", OVER, ids=lambda fact: type(fact).__name__)
def test_only_money_moves_a_leg_that_is_over(over: f.Fact) -> None:
    order = Order.begin(ORDER_ID, CREATED, 1_000).after(over, 2)
    assert order.after(PAID, 3).stage is Stage.PAID  # a channel that broke its word: the money is there all the same


@pytest.mark.parametrize("fact", CHANNEL_SAYS, ids=lambda fact: type(fact).__name__)
@pytest.mark.parametrize("over", OVER, ids=lambda fact: type(fact).__name__)
def test_nothing_else_moves_a_leg_that_is_over(over: f.Fact, fact: f.Fact) -> None:
    order = Order.begin(ORDER_ID, CREATED, 1_000).after(over, 2)
    assert f"leg 0 is {order.legs[0].state}" in refusal(order, fact)


@pytest.mark.parametrize("fact", CHANNEL_SAYS, ids=lambda fact: type(fact).__name__)
def test_the_channel_cannot_speak_of_a_leg_that_is_not_there(fact: f.Fact) -> None:
    order = Order.begin(ORDER_ID, CREATED, 1_000)
    assert "leg 3 is missing" in refusal(order, replace(fact, leg=3))  # type: ignore[call-arg]


def test_only_what_comes_to_the_price_pays_it() -> None:
    order = Order.begin(ORDER_ID, replace(CREATED, legs=(Leg(0, "scripted", 5, "USD"),)), 1_000)
    assert f"its paid legs come to 5 of {PRICE}" in refusal(order, replace(PAID, amount_minor=5))
    part = order.after(f.PartPaid(leg=0, amount_minor=5, reference="r"), 2)
    assert (part.stage, part.paid_minor, part.missing_minor, part.pay_status) == (Stage.CREATED, 5, PRICE - 5, 0)
    whole = f.PartPaid(leg=0, amount_minor=PRICE, reference="r")
    assert f"come to {PRICE} of {PRICE}" in refusal(Order.begin(ORDER_ID, CREATED, 1_000), whole)


@pytest.mark.parametrize("kind", [f.Cancelled, f.Rejected, f.Closed])
@pytest.mark.parametrize("stopped", [Stage.PAID, Stage.DELIVERED, Stage.RETURNING])
def test_a_paid_order_cannot_be_ended_as_if_it_were_not(kind: type[f.Fact], stopped: Stage) -> None:
    stuck = replace(paid_order(), stage=Stage.STUCK, resume_stage=stopped)
    for order in (replace(paid_order(), stage=stopped), stuck):
        if order.allows(kind):
            assert "was paid: it is undone with Revoked" in refusal(order, FACTS[kind])
        else:
            assert kind is not f.Cancelled or stopped is not Stage.PAID


@pytest.mark.parametrize("kind", [f.Cancelled, f.Rejected, f.Closed])
def test_an_order_with_money_in_it_ends_only_once_all_of_it_is_back(kind: type[f.Fact]) -> None:
    order = order_in(Stage.CREATED, f.PartPaid).after(FACTS[f.PartPaid], 2).after(FACTS[kind], 3)
    assert [leg.state for leg in order.legs[:4]] == [LegState.PAID, *[LegState.CLOSING] * 3]
    for fact in (
        f.Released(leg=1),
        f.PaymentClosed(leg=2),
        f.PaymentClosed(leg=3),
        replace(REFUND, refund=1, leg=0, amount_minor=1000, worth_minor=1000),
        f.Refunded(refund=1, reference="B"),
    ):
        assert "still on its way, or still with us" in refusal(order, f.Ended())
        order = order.after(fact, 4)
    assert order.after(f.Ended(), 5).is_final


def test_an_order_that_was_never_paid_is_not_revoked() -> None:
    stuck = stuck_order(Stage.STUCK, Stage.CREATED)
    assert "was never paid: it is ended with Cancelled" in refusal(stuck, FACTS[f.Revoked])


@pytest.mark.parametrize(
    ("legs", "number"), [(UNPAID, 4), (UNPAID, 6), (UNPAID, 0)], ids=["one that there is", "a gap", "the first"]
)
def test_new_legs_follow_the_old_ones(legs: tuple[Leg, ...], number: int) -> None:
    order = replace(Order.begin(ORDER_ID, CREATED, 1_000), legs=legs)
    assert "do not follow" in refusal(order, f.PlanChanged(legs=(Leg(number, "wechat", 5, "USD"),)))


@pytest.mark.parametrize("stage", [Stage.FAILING, Stage.STUCK])
@pytest.mark.parametrize("stopped", [Stage.PAID, Stage.DELIVERED, Stage.CANCELLING, Stage.REJECTING, Stage.CLOSING])
def test_a_payment_cannot_revive_what_did_not_wait_for_it(stage: Stage, stopped: Stage) -> None:
    assert f"stuck when {stopped}" in refusal(stuck_order(stage, stopped), PAID)


# ---- statuses


def test_statuses_keep_the_originals_numbers() -> None:
    assert {status.name: status.value for status in Status} == {
        "FORWARDING": 1,
        "FINISHED": 2,
        "CANCELLED": 3,
        "INSUFFICIENT_BALANCE": 4,
        "REFUNDED": 5,
        "STUCK": 6,
        "CLOSED": 7,
    }
    assert set(STATUS) == set(Stage)


# ---- the check of the table


def without(stage: Stage, kind: type[f.Fact]) -> dict[Stage, dict[type[f.Fact], Any]]:
    return {
        at: {fact: to for fact, to in facts.items() if (at, fact) != (stage, kind)} for at, facts in TRANSITIONS.items()
    }


def test_the_table_has_no_unreachable_and_no_dead_end_stage() -> None:
    check_transitions()


@pytest.mark.parametrize(
    ("stage", "kind", "unreachable"),
    [
        (Stage.DELIVERED, f.Finished, {"finished"}),
        (Stage.CREATED, f.Closed, {"closing", "closed"}),
        (Stage.CREATED, f.Rejected, {"rejecting", "rejected"}),
        (Stage.PAID, f.Delivered, {"delivered", "finished"}),
        (Stage.FAILING, f.Ended, {"stuck"}),
        (Stage.REFUNDING, f.Ended, {"refunded"}),
    ],
)
def test_a_table_with_an_unreachable_stage_is_refused(stage: Stage, kind: type[f.Fact], unreachable: set[str]) -> None:
    with pytest.raises(ConfigError, match="no fact leads to") as caught:
        check_transitions(without(stage, kind))
    assert set(str(caught.value).partition("leads to ")[2].split(", ")) == unreachable


def test_a_table_with_a_dead_end_is_refused() -> None:
    table = {at: dict(facts) for at, facts in TRANSITIONS.items()}
    table[Stage.CLOSING] = {f.UnexpectedPayment: Stage.CLOSING}
    with pytest.raises(ConfigError, match="no fact leads to closed"):
        check_transitions(table)
    table[Stage.CANCELLING][f.Closed] = Stage.CLOSED
    with pytest.raises(ConfigError, match=r"no fact leads out of closing$"):
        check_transitions(table)


def test_resuming_alone_is_no_way_out() -> None:
    table = {at: dict(facts) for at, facts in TRANSITIONS.items()}
    table[Stage.FAILING] = {f.Resumed: RESUME}
    with pytest.raises(ConfigError, match="stuck"):
        check_transitions(table)
    assert Stage.STUCK in FINAL_STAGES
