"""The page ``docs/odd-payments.md``, computed by the code that decides: ``python -m orderway.odd_page FILE``.

Each cell is what ``odd.payment_facts`` gives for an order that was built by replaying facts, under every policy that
an order type can have. ``tests/engine/test_odd_payments.py`` does each cell for real.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from pathlib import Path
from typing import Any, Literal, get_args

from orderway.core.facts import (
    Cancelled,
    Closed,
    Created,
    Delivered,
    Ended,
    Fact,
    Finished,
    Held,
    Paid,
    PartPaid,
    PaymentClosed,
    PaymentPending,
    Refunded,
    RefundRequested,
    Reopened,
    Revoked,
    Stuck,
    TakenBack,
    UnexpectedPayment,
)
from orderway.core.money import Money
from orderway.core.order import Order
from orderway.core.payment import GATEWAY, Leg
from orderway.odd import Deadlines, Payment, payment_facts

__all__ = ["PAYER", "SITUATIONS", "STAGES", "Answer", "Deciding", "Policy", "answer", "deciding", "order_in", "page"]

PAYER = "ann"
PRICE = Money(1000, "CNY")
HELD_MINOR = 400
_UNTIL = Deadlines(deliver_us=3, pay_us=2, refund_us=4)


Late = Literal["give_back", "revive", "ask"]
Odd = Literal["give_back", "ask"]


@dataclass(frozen=True, slots=True)
class Policy:
    """What an order type may want: the three attributes of ``Business`` of the same names, with its defaults."""

    late_payment: Late = "give_back"
    second_payment: Odd = "give_back"
    wrong_payment: Odd = "ask"


_LATE: tuple[Late, ...] = get_args(Late)
_ODD: tuple[Odd, ...] = get_args(Odd)
_CHOICES: Mapping[str, Sequence[str]] = {"late_payment": _LATE, "second_payment": _ODD, "wrong_payment": _ODD}
_POLICIES = tuple(Policy(*choices) for choices in product(_LATE, _ODD, _ODD))
"""Every policy that an order type can have."""


class Answer(StrEnum):
    """What becomes of a payment; all but the first keep its money."""

    NOTHING = "nothing"
    PAYS = "pays"
    REVIVES = "revives"
    BACK = "back"
    ASK = "ask"
    HALTS = "halts"
    PARKED = "parked"


_ANSWERS: Mapping[tuple[type[Fact], ...], Answer] = {
    (): Answer.NOTHING,
    (Paid,): Answer.PAYS,
    (PartPaid,): Answer.PAYS,
    (Reopened, Paid): Answer.REVIVES,
    (UnexpectedPayment, RefundRequested): Answer.BACK,
    (UnexpectedPayment,): Answer.ASK,
    (UnexpectedPayment, Stuck): Answer.HALTS,
}


# ---- the orders, each built by replaying its facts

_PENDING = PaymentPending(leg=0)
_PAID = Paid(leg=0, amount_minor=PRICE.amount_minor, reference="S-1", deadline_at_us=3)
_DELIVERED = (_PENDING, _PAID, Delivered())
_BACK = RefundRequested(
    refund=1, leg=0, amount_minor=PRICE.amount_minor, worth_minor=PRICE.amount_minor, key="", why="", deadline_at_us=4
)
_REFUNDING = (_PENDING, _PAID, Revoked(why="by_operator", deadline_at_us=3), TakenBack(), _BACK)

STAGES: Mapping[str, Sequence[Fact] | None] = {
    "unknown order": None,
    "unpaid": (_PENDING,),
    "held": (Held(leg=0, amount_minor=HELD_MINOR, worth_minor=HELD_MINOR, reference="H-1"), PaymentPending(leg=1)),
    "paid": (_PENDING, _PAID),
    "delivered": _DELIVERED,
    "finished": (*_DELIVERED, Finished()),
    "closed": (_PENDING, PaymentClosed(leg=0), Closed(why="unpaid"), Ended()),
    "cancelled": (_PENDING, Cancelled(why="by_operator"), PaymentClosed(leg=0), Ended()),
    "refunding": _REFUNDING,
    "refunded": (*_REFUNDING, Refunded(refund=1, reference="B-1"), Ended()),
    "stuck, unpaid": (_PENDING, Stuck(why="held"), Ended()),
    "stuck, paid": (_PENDING, _PAID, Stuck(why="hook_failed"), Ended()),
    "another user's": (_PENDING,),
}
"""Where an order may stand when a payment comes: the facts after ``Created``; None where there is no order."""


def order_in(stage: str, channel: str, order_id: str = "X") -> Order[Any]:
    """An order to be paid through this channel, in this stage; for an unknown order, what it is when it is created."""
    price = PRICE.amount_minor
    if stage == "held":
        rest = price - HELD_MINOR
        legs: tuple[Leg, ...] = (
            Leg(0, "wallet", HELD_MINOR, PRICE.currency, worth_minor=HELD_MINOR, holds=True),
            Leg(1, channel, rest, PRICE.currency, worth_minor=rest),
        )
    else:
        legs = (Leg(0, channel, price, PRICE.currency, worth_minor=price),)
    created = Created(
        order_type=1,
        uid="bob" if stage == "another user's" else PAYER,
        amount_minor=price,
        currency=PRICE.currency,
        legs=legs,
        deadline_at_us=2,
        fingerprint="",
    )
    order = Order.begin(order_id, created, 0)
    for fact in STAGES[stage] or ():
        order = order.after(fact, 1)
    return order


# ---- the payments

Pay = Callable[[Order[Any], str], Sequence[Payment]]


def _asked(order: Order[Any]) -> tuple[Money, str]:
    """What the order's last leg asks of its payer, and its key."""
    leg = [leg for leg in order.legs if not leg.holds][-1]
    return Money(leg.amount_minor, leg.currency), order.payment_key(leg)


def _one(change: Callable[[Money], Money] = lambda asked: asked, *, uid: str = PAYER, via: str = "") -> Pay:
    def payments(order: Order[Any], channel: str) -> Sequence[Payment]:
        asked, key = _asked(order)
        return [Payment(via or channel, change(asked), "S-2", "" if via else key, uid)]

    return payments


def _again(reference: str) -> Pay:
    """The payment that was asked for, unless it is there; and then one under this reference."""

    def payments(order: Order[Any], channel: str) -> Sequence[Payment]:
        asked, key = _asked(order)
        first = Payment(channel, asked, "S-1", key, PAYER)
        return [first, Payment(channel, asked, reference, key, PAYER)]

    return payments


SITUATIONS: Mapping[str, Pay] = {
    "exact": _one(),
    "second": _again("S-2"),
    "other channel": _one(via="other"),
    "too little": _one(lambda asked: Money(asked.amount_minor - 1, asked.currency)),
    "too much": _one(lambda asked: Money(asked.amount_minor + 1, asked.currency)),
    "other currency": _one(lambda asked: Money(asked.amount_minor, "USD")),
    "by another user": _one(uid="eve"),
    "repeated": _again("S-1"),
}
"""What may come; the last payment of each is the one in question."""


# ---- what becomes of them

Deciding = Mapping[tuple[tuple[str, str], ...], Answer]
"""What becomes of a payment, by the settings that it depends on, each with its value."""


def answer(situation: str, stage: str, policy: Policy, channel: str = "scripted") -> Answer:
    """What becomes of a payment, as the code decides it."""
    if STAGES[stage] is None:
        return Answer.NOTHING if situation == "repeated" else Answer.PARKED
    order = order_in(stage, channel)
    facts: Sequence[Fact] = ()
    for payment in SITUATIONS[situation](order, channel):
        facts = payment_facts(order, payment, policy, _UNTIL)
        for fact in facts:
            order = order.after(fact, 1)
    return _ANSWERS[tuple(type(fact) for fact in facts)]


def deciding(situation: str, stage: str, channel: str = "scripted") -> Deciding:
    """What becomes of a payment under each combination of the settings that matter for it."""
    answers = {policy: answer(situation, stage, policy, channel) for policy in _POLICIES}
    matter = [name for name in _CHOICES if _matters(name, answers)]
    return {tuple((name, getattr(policy, name)) for name in matter): found for policy, found in answers.items()}


def _matters(name: str, answers: Mapping[Policy, Answer]) -> bool:
    """True if two policies that differ in this setting only lead to different answers."""
    by_others: dict[tuple[str, ...], set[Answer]] = {}
    for policy, found in answers.items():
        others = tuple(getattr(policy, other) for other in _CHOICES if other != name)
        by_others.setdefault(others, set()).add(found)
    return any(len(found) > 1 for found in by_others.values())


# ---- the page

_CODES: Mapping[tuple[str, frozenset[Answer]], str] = {
    ("", frozenset({Answer.PARKED})): "parked",
    ("", frozenset({Answer.PAYS})): "pays",
    ("", frozenset({Answer.NOTHING})): "–",
    ("", frozenset({Answer.ASK})): "ask",
    ("", frozenset({Answer.HALTS})): "ask!",
    ("late_payment", frozenset({Answer.REVIVES, Answer.BACK, Answer.ASK})): "late",
    ("late_payment", frozenset({Answer.REVIVES, Answer.ASK})): "late",
    ("late_payment", frozenset({Answer.BACK, Answer.ASK})): "too late",
    ("late_payment second_payment", frozenset({Answer.BACK, Answer.ASK})): "late again",
    ("second_payment", frozenset({Answer.BACK, Answer.ASK})): "second",
    ("second_payment", frozenset({Answer.BACK, Answer.HALTS})): "second!",
    ("wrong_payment", frozenset({Answer.BACK, Answer.ASK})): "wrong",
    ("wrong_payment", frozenset({Answer.BACK, Answer.HALTS})): "wrong!",
}
"""What stands in a cell: by the settings that matter, and what may come of it. "!" is where an order may stop."""

_MEANING: Mapping[Answer, str] = {
    Answer.PARKED: "it is kept until an order of this id is created; then it means what it means for an unpaid one",
    Answer.NOTHING: "it is known already; nothing changes",
    Answer.PAYS: "it is what the order waits for",
    Answer.REVIVES: "the order is opened again, paid with it, and delivered",
    Answer.BACK: "it goes back by itself",
    Answer.ASK: "it is kept for a person",
    Answer.HALTS: "it is kept for a person, and the order is stuck until it is resumed",
}

_INTRODUCTION = """\
# Odd payments

<!-- Written from orderway.odd by `make docs`; edits here are lost. -->

Every verified payment is recorded, whatever state its order is in: no money is lost, and none is taken for another.
The same notification again changes nothing. What else follows is for each order type to say, by three attributes of
its [`Business`](settings.md); the default comes first:

| attribute | for money that comes | choices |
|---|---|---|
{attributes}

- `give_back` sends the money back through its channel, as a [refund](payments.md) that is tried until it is done.
- `ask` keeps it with the order, which is listed with `needs_person` (`orderway list --needs-person`): a person refunds
  it ([`orderway refund --leg`](cli.md)), or says that it shall be kept ([`orderway accept`](cli.md)).
- `revive` opens the order again, and carries it out. It needs that the payment is right and of one's own user, and that
  nobody decided that the order shall end: what an operator or the business cancelled stays cancelled. It gives back
  where it cannot revive.

An order goes on as if such a payment had not come, with one exception: one that still waits to be paid, and whose odd
payment is for a person to judge, is stuck until it is resumed (`!` in the tables). The right payment pays it even then.

Each cell below is computed by the code that decides, and done for real by a test, with every choice that matters.
"""

_ATTRIBUTES: Mapping[str, str] = {
    "late_payment": "for an order that ended unpaid",
    "second_payment": "for an order that is paid, or was",
    "wrong_payment": "for an order that waits, but in another amount, currency or channel; from somebody else",
}


_SITUATION_MEANING: Mapping[str, str] = {
    "exact": "what the order asks for, or asked for, under a reference that is new",
    "second": "the payment that was asked for, unless it is there already, and then the same under another reference",
    "other channel": "the right amount, through a channel that the order does not ask",
    "too little": "one cent less than was asked for",
    "too much": "one cent more than was asked for",
    "other currency": "the right number, of another currency",
    "by another user": "the right amount, of a payer whom the channel knows as another user",
    "repeated": "the payment that was asked for, unless it is there already, and then the same notification again",
}

_STAGE_MEANING: Mapping[str, str] = {
    "unknown order": "no order of this id exists yet",
    "unpaid": "its channel was asked, and has not been paid",
    "held": "a part of the price is held in the user's wallet, and the channel is asked for the rest",
    "paid": "the price is paid, the goods are owed",
    "delivered": "the goods are handed over, the `finished` hook is owed",
    "finished": "done",
    "closed": "not paid in time",
    "cancelled": "cancelled by an operator or by its business, before it was paid",
    "refunding": "cancelled after it was paid, and the money is on its way back",
    "refunded": "cancelled after it was paid, and the money is back",
    "stuck, unpaid": "in front of a person, while it waited to be paid",
    "stuck, paid": "in front of a person, after it was paid",
    "another user's": "unpaid, and of another user than the payer, who named the wrong order",
}


def page() -> str:
    """The text of the page, in Markdown."""
    defaults = Policy()
    attributes = [
        f"| `{name}` | {text} | {', '.join(_sorted_choices(name, getattr(defaults, name)))} |"
        for name, text in _ATTRIBUTES.items()
    ]
    return "\n".join(
        [
            _INTRODUCTION.format(attributes="\n".join(attributes)),
            *_section("Through a channel", "", "scripted"),
            *_section("Through your own gateway", _OWN_GATEWAY, GATEWAY),
            *_readings(),
        ]
    )


_OWN_GATEWAY = """\
Money of your own gateway (`record_payment` without a channel) only you can give back. So it is kept for a person, even
where it would go back by itself elsewhere. The other channel in this table is a real one, and gives back.
"""


def _sorted_choices(name: str, default: str) -> list[str]:
    return [f"`{choice}`" for choice in sorted(_CHOICES[name], key=lambda choice: choice != default)]


def _section(title: str, text: str, channel: str) -> list[str]:
    cells = {(stage, situation): deciding(situation, stage, channel) for stage in STAGES for situation in SITUATIONS}
    codes = {cell: _CODES[_signature(found)] for cell, found in cells.items()}
    lines = [f"## {title}", "", *([text] if text else []), f"| order is | {' | '.join(SITUATIONS)} |"]
    lines.append("|---" * (len(SITUATIONS) + 1) + "|")
    lines += [
        f"| **{stage}** | {' | '.join(codes[stage, situation] for situation in SITUATIONS)} |" for stage in STAGES
    ]
    legend = {codes[cell]: found for cell, found in cells.items()}
    lines += ["", "| cell | what follows |", "|---|---|"]
    lines += [f"| {code} | {_outcomes(legend[code])} |" for code in dict.fromkeys(_CODES.values()) if code in legend]
    return [*lines, ""]


def _signature(found: Deciding) -> tuple[str, frozenset[Answer]]:
    settings = next(iter(found))
    return " ".join(name for name, _ in settings), frozenset(found.values())


def _outcomes(found: Deciding) -> str:
    wanted: dict[Answer, list[str]] = {}
    for settings, what in _branches(found):
        wanted.setdefault(what, []).append(" and ".join(f'`{name} = "{choice}"`' for name, choice in settings))
    parts = [f"{' or '.join(each)}: {_MEANING[what]}" if any(each) else _MEANING[what] for what, each in wanted.items()]
    return "<br>".join(parts)


def _branches(found: Deciding) -> list[tuple[Sequence[tuple[str, str]], Answer]]:
    """What follows by setting, without the settings that make no difference beside the ones before them."""
    if len(set(found.values())) == 1:
        return [((), next(iter(found.values())))]
    by_first: dict[tuple[str, str], dict[tuple[tuple[str, str], ...], Answer]] = {}
    for settings, what in found.items():
        by_first.setdefault(settings[0], {})[settings[1:]] = what
    return [((first, *more), what) for first, rest in by_first.items() for more, what in _branches(rest)]


def _readings() -> list[str]:
    lines = ["## How to read it", "", "| payment | means |", "|---|---|"]
    lines += [f"| {situation} | {text} |" for situation, text in _SITUATION_MEANING.items()]
    lines += ["", "| order is | means |", "|---|---|"]
    lines += [f"| {stage} | {text} |" for stage, text in _STAGE_MEANING.items()]
    return [*lines, ""]


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
