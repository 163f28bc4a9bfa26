"""Every stage, leg and refund is explained, and what a person is told to do is a command line that there is."""

from __future__ import annotations

import functools
import itertools
import shlex
from dataclasses import replace
from typing import Any

import pytest

from orderway.cli.commands import orderway
from orderway.core.facts import Created
from orderway.core.order import Order, Stage
from orderway.core.payment import GATEWAY, Leg, LegState, Refund, RefundState
from orderway.explain import Explanation, explain
from orderway.ports.business import Business

NOW_US = 1_800_000_000_000_000
HOUR_US = 3_600_000_000
CHANNELS = ("scripted", GATEWAY)
_HELD = {LegState.HELD}
_WITH_MONEY = {LegState.PAID, LegState.UNEXPECTED, LegState.ACCEPTED}
_GONE = {RefundState.RETURNED: "refunded_minor", RefundState.REFUSED: ""}


def order(stage: Stage, *legs: Leg, **fields: Any) -> Order[Any]:
    """An order of 19.99 in this stage, however it may have come there."""
    created = Created(
        order_type=1,
        uid="ann",
        amount_minor=1999,
        currency="CNY",
        legs=legs,
        deadline_at_us=NOW_US + HOUR_US,
        fingerprint="",
    )
    made = Order.begin("8Doi5X2H5KhQlsGog67cZF", created, NOW_US - HOUR_US)
    made.stage = stage
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def leg(state: LegState, channel: str = "scripted", number: int = 0, **fields: Any) -> Leg:
    """A leg over the whole price in this state, with the money that belongs to it."""
    made = Leg(number, channel, 1999, "CNY", state=state, worth_minor=1999, reference="T-1")
    if state in _HELD | _WITH_MONEY:
        made = replace(made, authorized_minor=1999)
    if state in _WITH_MONEY:
        made = replace(made, captured_minor=1999)
    return replace(made, **fields)


def refunded(state: RefundState, channel: str) -> tuple[Leg, Refund]:
    """A paid leg, and a refund of 5.00 of it in this state."""
    column = _GONE.get(state, "refunding_minor")
    paid = leg(LegState.PAID, channel, **({column: 500} if column else {}))
    return paid, Refund(1, 0, 500, 500, "k", "requested", NOW_US + HOUR_US, state=state)


def explained(made: Order[Any], **fields: Any) -> Explanation:
    """The explanation of an order whose type is served."""
    return explain(made, NOW_US, fields.get("workers", {}), fields.get("business", Business()))


def assert_sound(explanation: Explanation) -> None:
    """Sentences without holes; commands that there are; and advice wherever a person is needed."""
    made = explanation.order
    for sentence in (explanation.next, *explanation.reasons, *explanation.advice):
        assert sentence.strip() == sentence != ""
        assert "None" not in sentence
    assert explanation.advice or not made.needs_person, (made.stage, made.legs, made.refunds)
    for sentence in explanation.advice:
        text, _, command = sentence.partition("orderway ")
        assert "orderway" not in text + command, f"two commands in one sentence: {sentence}"
        if command:
            assert_parses(command)
        else:
            assert made.stage is Stage.DISPUTED or any(each.disputed_minor for each in made.legs), sentence


@functools.cache
def assert_parses(command: str) -> None:
    name, *words = shlex.split(command)
    orderway.commands[name].make_context(name, words)  # raises a UsageError where a word is wrong


@pytest.mark.parametrize(
    ("stage", "resume_stage"),
    [*((stage, None) for stage in Stage), *itertools.product((Stage.FAILING, Stage.STUCK, Stage.DISPUTED), Stage)],
)
def test_every_stage_with_every_leg(stage: Stage, resume_stage: Stage | None) -> None:
    for state, channel, disputed_minor in itertools.product(LegState, CHANNELS, (0, 500)):
        made = order(stage, leg(state, channel, disputed_minor=disputed_minor), resume_stage=resume_stage)
        assert_sound(explained(made))


@pytest.mark.parametrize("stage", Stage)
def test_every_stage_with_every_refund(stage: Stage) -> None:
    for state, channel in itertools.product(RefundState, CHANNELS):
        paid, refund = refunded(state, channel)
        assert_sound(explained(order(stage, paid, refunds=(refund,))))


def test_every_stage_with_legs_of_two_states() -> None:
    for stage, first, second in itertools.product(Stage, LegState, LegState):
        made = order(stage, leg(first, worth_minor=999), leg(second, number=1, worth_minor=1000))
        assert_sound(explained(made))


def test_nothing_is_said_of_an_order_that_is_done() -> None:
    done = explained(order(Stage.FINISHED, leg(LegState.PAID)))
    assert (done.next, done.reasons, done.advice) == ("nothing: it is delivered and finished", (), ())


def test_legs_wait_for_each_other() -> None:
    held = leg(LegState.HELD, worth_minor=999, holds=True)
    points, money = (leg(LegState.PLANNED, number=number, worth_minor=500) for number in (1, 2))
    made = explained(order(Stage.CREATED, held, points, money))
    assert made.next == "leg 1, through scripted, is asked for"
    first, second, third = made.reasons
    assert "is held: it is taken once every other part is in" in first
    assert second.startswith("leg 1, 19.99 CNY through scripted, was not asked for yet; it may be paid until 20")
    assert third == "leg 2, 19.99 CNY through scripted, is asked for once leg 1 is in"
    late = explained(order(Stage.CREATED, held, points, deadline_at_us=NOW_US))
    assert late.next.startswith("its time to be paid is over")
    assert "what is held is taken" in explained(order(Stage.CREATED, leg(LegState.HELD))).next


def test_what_is_closed_after_the_end_is_told() -> None:
    made = explained(order(Stage.CANCELLED, leg(LegState.CLOSING), leg(LegState.CLOSING, number=1, authorized_minor=9)))
    assert "payments are closed and refunds brought about" in made.next
    assert "it is closed at the channel, which has not confirmed it yet" in made.reasons[0]
    assert "its hold is released at the channel" in made.reasons[1]


def test_unexpected_money_is_a_persons_or_on_its_way_back() -> None:
    extra = leg(LegState.UNEXPECTED, number=1, worth_minor=0)
    ask = explained(order(Stage.FINISHED, leg(LegState.PAID), extra))
    assert "19.99 CNY of it has nowhere to go: a person must decide" in ask.reasons[0]
    assert [advice.partition(": ")[2].split()[:2] for advice in ask.advice] == [
        ["orderway", "refund"],
        ["orderway", "accept"],
    ]
    assert "--leg 1 " in ask.advice[0]
    policy = explained(order(Stage.FINISHED, leg(LegState.PAID), replace(extra, refunding_minor=1999)))
    assert policy.reasons[0].endswith("; it goes back")
    assert policy.advice == ()


def test_a_refund_of_your_own_gateway_is_yours_to_pay_out() -> None:
    paid, refund = refunded(RefundState.RESERVED, GATEWAY)
    made = explained(order(Stage.DELIVERED, paid, refunds=(refund,)))
    assert "is yours to pay out" in made.reasons[0]
    assert "orderway record-refund 8Doi5X2H5KhQlsGog67cZF 1 --returned REFERENCE --actor YOU" in made.advice[0]


def test_a_stuck_refund_can_be_asked_about_again_or_told() -> None:
    paid, refund = refunded(RefundState.STUCK, "scripted")
    made = explained(order(Stage.FINISHED, paid, refunds=(refund,)))
    assert made.order.needs_person
    commands = [advice.partition("orderway ")[2].split()[0] for advice in made.advice]
    assert commands == ["resume", "record-refund", "record-refund"]


def test_a_refused_refund_is_worth_a_word_until_it_is_tried_again() -> None:
    paid, refund = refunded(RefundState.REFUSED, "scripted")
    made = explained(order(Stage.FINISHED, paid, refunds=(refund,)))
    assert "was refused for good" in made.reasons[0]
    assert "--key again-2 " in made.advice[0]
    again = replace(refund, number=2, state=RefundState.PENDING)
    assert explained(order(Stage.FINISHED, paid, refunds=(refund, again))).advice == ()


@pytest.mark.parametrize(
    ("resume_stage", "commands"),
    [
        (Stage.CREATED, ["resume", "cancel"]),
        (Stage.PAID, ["resume", "amend", "skip", "cancel"]),
        (Stage.RETURNING, ["resume", "amend", "skip"]),
        (Stage.REFUNDING, ["resume"]),
    ],
)
def test_a_stuck_order_can_be_mended_as_its_stage_allows(resume_stage: Stage, commands: list[str]) -> None:
    made = explained(order(Stage.STUCK, resume_stage=resume_stage, why="hook_failed"))
    assert [advice.partition("orderway ")[2].split()[0] for advice in made.advice] == commands
    assert made.reasons[-1].startswith("why: hook_failed (a hook failed until its time was over); it would go on from")


def test_an_unknown_currency_is_told_in_minor_units() -> None:
    made = order(Stage.CREATED, leg(LegState.UNKNOWN, currency="SHELLS"))
    assert "1999 SHELLS (minor units)" in explained(made).reasons[0]


def test_who_holds_it_and_whether_anybody_looks() -> None:
    made = order(Stage.PAID, holder=7, due_at_us=NOW_US - 61_000_000)
    assert "worker web-1 is carrying it right now" in explained(made, workers={7: "web-1"}).reasons
    alone = explained(made, business=None).reasons
    assert alone[0] == "the worker that carried it is dead; the next sweep takes it over"
    assert "order type 1 is not registered here; a process that serves it carries it on" in alone
    assert alone[-1].startswith("it was due 61 s ago and nobody looked")
