"""The journal: its chain finds every alteration, its private parts can be erased, and replaying it gives the order."""

from __future__ import annotations

import copy
import json
import os
from contextlib import suppress
from dataclasses import fields, replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orderway.core import facts as f
from orderway.core import journal
from orderway.core.ids import id_by_time
from orderway.core.journal import Entry, Stamp
from orderway.core.order import FINAL_STAGES, JOURNALED, TRANSITIONS, Order, Stage
from orderway.core.payment import Leg
from orderway.errors import IllegalTransition
from orderway.testing.conformance import situations

EXAMPLES = 5_000 if os.environ.get("ORDERWAY_LONG") else 200
ORDER_ID = id_by_time(1_790_000_000_000_000, 7, 513)
texts = st.text(st.characters(codec="utf-8"), max_size=20)
hostile_texts = st.one_of(
    texts, st.sampled_from(["\n", "\x00", '"', "\\", "\u2028", "}{", "null", "🛒", "a\nb\nc", "'; --"])
)
PRICE = 1999
ONE_LEG = (Leg(0, "scripted", PRICE, "USD", worth_minor=PRICE),)
MIXED = (
    Leg(0, "points", 300, "POINTS", worth_minor=30, holds=True),
    Leg(1, "wallet", PRICE - 30, "USD", worth_minor=PRICE - 30, holds=True, at_most=True),
    Leg(2, "scripted", PRICE - 30, "USD", worth_minor=PRICE - 30, at_most=True),
)


def created(random: Random, texts: list[str]) -> f.Created:
    """An order's beginning: paid in one leg, in three, or free."""
    legs = random.choice([ONE_LEG, ONE_LEG, MIXED, ()])
    return f.Created(
        order_type=random.randrange(65_536),
        uid=random.choice(texts),
        amount_minor=PRICE if legs else 0,
        currency="USD",
        legs=legs,
        deadline_at_us=random.randrange(2**60),
        fingerprint=random.choice(texts),
        own_number=random.choice(texts),
        remark=random.choice(texts),
        data=json.dumps(random.choice(texts), ensure_ascii=False),
    )


def some_fact(random: Random, texts: list[str], kind: type[f.Fact], order: Order[Any]) -> f.Fact:
    """A fact of this kind, mostly one that does not contradict the order."""
    leg = random.choice(order.legs or ONE_LEG)
    amount_minor, worth_minor = leg.amount_minor, leg.worth_minor
    if kind in {f.RefundRequested, f.DisputeLost}:
        amount_minor = worth_minor = random.choice([1, leg.refundable_minor])
    fitting: dict[str, Any] = {
        "amount_minor": amount_minor,
        "worth_minor": worth_minor,
        "leg": leg.number if random.random() < 0.9 or kind is not f.UnexpectedPayment else None,
        "legs": (Leg(len(order.legs), random.choice(texts), 1, "USD", worth_minor=1, at_most=True),),
        "refund": len(order.refunds) + 1 if kind is f.RefundRequested else random.randint(1, len(order.refunds) + 1),
        "currency": "USD",
        "deadline_at_us": random.randrange(2**60),
        "skipped": random.random() < 0.5,
        "data": json.dumps(random.choice(texts)) if random.random() < 0.3 else None,
    }
    names = [column.name for column in fields(kind)]
    return kind(**{name: fitting[name] if name in fitting else random.choice(texts) for name in names})


def some_stamp(random: Random, texts: list[str]) -> Stamp:
    actor, reason, cause = (random.choice(texts) for _ in range(3))
    return Stamp(random.randrange(2**60), random.randbytes(8).hex(), random.randbytes(8).hex(), actor, reason, cause)


def journey_of(random: Random, texts: list[str]) -> tuple[Order[Any], list[Entry]]:
    """An order after a random legal sequence of facts, and its journal."""
    order, entry = journal.begin(ORDER_ID, created(random, texts), some_stamp(random, texts))
    entries = [entry]
    for _ in range(random.randrange(30)):
        table = TRANSITIONS[order.stage]
        moving = [kind for kind, target in table.items() if target is not order.stage]
        kind = random.choice(moving if moving and random.random() < 0.2 else list(table))
        with suppress(IllegalTransition):  # the payments' guards refuse it
            fact = some_fact(random, texts, kind, order)
            order, entry = journal.record(order, fact, some_stamp(random, texts))
            entries.append(entry)
    return order, entries


journeys = st.builds(
    lambda seed, texts: journey_of(Random(seed), ["", *texts]),
    st.integers(0, 2**64),
    st.lists(hostile_texts, max_size=5),
)


def walk() -> tuple[Order[Any], list[Entry]]:
    """A plain journey with private parts in four of its five entries."""
    created = f.Created(
        order_type=1,
        uid="ann",
        amount_minor=1999,
        currency="USD",
        legs=ONE_LEG,
        deadline_at_us=2_000,
        fingerprint="ab",
        remark="for Ann",
        data='{"street":"Elm"}',
    )
    order, entry = journal.begin(ORDER_ID, created, stamp(0))
    entries = [entry]
    for at, fact in enumerate(
        (
            f.PaymentUnknown(leg=0, error="timeout"),
            f.Paid(leg=0, amount_minor=1999, reference="r", deadline_at_us=3_000),
            f.StepDone(step="pack", result='"Elm"'),
            f.Delivered(data='{"street":"Oak"}'),
        ),
        start=1,
    ):
        order, entry = journal.record(order, fact, stamp(at))
        entries.append(entry)
    return order, entries


def stamp(at: int) -> Stamp:
    return Stamp(at_us=1_000 + at, write_id=f"w{at}", salt=f"salt{at}", actor="ann", reason="because", cause="n1")


# ---- replaying


@settings(max_examples=EXAMPLES, deadline=None)
@given(journeys)
def test_replaying_any_journal_gives_the_order(journey: tuple[Order[Any], list[Entry]]) -> None:
    order, entries = journey
    assert journal.check_chain(entries) == []
    replayed = journal.replay(entries)
    assert journal.differences(order, replayed) == []
    assert all(getattr(order, name) == getattr(replayed, name) for name in JOURNALED)
    assert order.version == len(entries)
    assert order.digest == entries[-1].digest


@settings(max_examples=EXAMPLES, deadline=None)
@given(journeys)
def test_each_entry_gives_its_fact_back(journey: tuple[Order[Any], list[Entry]]) -> None:
    _, entries = journey
    for entry in entries:
        fact = journal.fact_of(entry)
        assert type(fact).__name__ == entry.fact
        assert "\n" not in entry.body
        assert json.loads(entry.body) == entry.fields


def test_the_random_journeys_reach_every_end_and_record_every_fact() -> None:
    """A test of the tests above: what is never reached is never replayed."""
    ends, facts = set[Stage](), set[str]()
    for seed in range(20_000):
        order, entries = journey_of(Random(seed), ["", "é"])
        facts.update(entry.fact for entry in entries)
        ends.update({order.stage} if order.is_final else ())
        if len(ends) == len(FINAL_STAGES) and len(facts) == len(f.FACTS):
            break
    assert ends == FINAL_STAGES
    assert facts == set(f.FACTS)


@pytest.mark.parametrize("kind", [kind for kind in f.FACTS.values() if kind is not f.Created])
def test_each_fact_comes_back_from_its_entry_and_leads_to_the_same_order(kind: type[f.Fact]) -> None:
    fact = situations.FACTS[kind]
    for stage in (stage for stage, allowed in situations.allowed() if allowed is kind):
        order = situations.in_situation(walk()[0], stage, kind)
        after, entry = journal.record(order, fact, stamp(9))
        assert journal.fact_of(entry) == fact
        again = order.after(journal.fact_of(entry), entry.at_us)
        assert journal.differences(after, replace(again, digest=after.digest)) == []


def test_an_entry_tells_who_why_and_what_brought_it_about() -> None:
    _, entries = walk()
    assert entries[2].fields["actor"] == "ann"
    assert (entries[2].fields["reason"], entries[2].fields["cause"]) == ("because", "n1")
    assert (entries[2].version, entries[2].at_us, entries[2].write_id) == (3, 1_002, "w2")


@pytest.mark.parametrize("entries", [[], walk()[1][1:]], ids=["empty", "without its beginning"])
def test_a_journal_without_its_beginning_cannot_be_replayed(entries: list[Entry]) -> None:
    with pytest.raises(IllegalTransition, match="begins with Created"):
        journal.replay(entries)


def test_differences_name_the_column_and_both_values() -> None:
    order, entries = walk()
    (problem,) = journal.differences(replace(order, remark="for Bob"), journal.replay(entries))
    assert ORDER_ID in problem
    assert "remark is 'for Bob', its journal says 'for Ann'" in problem


@pytest.mark.parametrize("name", JOURNALED)
def test_every_journaled_column_is_compared(name: str) -> None:
    order, entries = walk()
    altered = copy.copy(order)
    setattr(altered, name, object())
    assert len(journal.differences(altered, journal.replay(entries))) == 1


def test_operational_columns_are_not_compared() -> None:
    order, entries = walk()
    moved = replace(order, due_at_us=5, attempts=9, holder=3, last_error="boom")
    assert journal.differences(moved, journal.replay(entries)) == []


def test_a_journal_cut_off_at_its_end_differs_from_its_row() -> None:
    order, entries = walk()
    assert journal.check_chain(entries[:-1]) == []
    problems = " ".join(journal.differences(order, journal.replay(entries[:-1])))
    assert "version is 5, its journal says 4" in problems
    assert "digest" in problems


# ---- the chain

ALTERATIONS: dict[str, list[Any]] = {
    "order_id": ["x", ORDER_ID + " "],
    "version": [0, 99],
    "fact": ["Finished", ""],
    "at_us": [0, 1_999],
    "write_id": ["w9", ""],
    "body": ["{}", "", "not json", "[]", "null", '{"private": 5}'],
    "private": ['{"salt":"x"}', "", "\n"],
    "digest": ["", "0" * 64],
}


def test_every_column_of_an_entry_is_altered_here() -> None:
    assert set(ALTERATIONS) == set(Entry._fields)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in ALTERATIONS.items() for value in values])
@pytest.mark.parametrize("place", range(5))
def test_an_altered_entry_is_found(place: int, name: str, value: Any) -> None:
    _, entries = walk()
    assert getattr(entries[place], name) != value
    entries[place] = entries[place]._replace(**{name: value})
    assert journal.check_chain(entries) != []


@pytest.mark.parametrize("place", range(4))
def test_a_removed_entry_is_found(place: int) -> None:
    _, entries = walk()
    del entries[place]
    problems = journal.check_chain(entries)
    assert f"entry {place + 1} of {ORDER_ID} is missing" in problems[0]


@pytest.mark.parametrize(("one", "other"), [(one, other) for one in range(5) for other in range(one)])
def test_swapped_entries_are_found(one: int, other: int) -> None:
    _, entries = walk()
    entries[one], entries[other] = entries[other], entries[one]
    assert journal.check_chain(entries) != []


@pytest.mark.parametrize("place", range(6))
@pytest.mark.parametrize("copied", range(5))
def test_an_inserted_entry_is_found(place: int, copied: int) -> None:
    _, entries = walk()
    entries.insert(place, entries[copied])
    assert journal.check_chain(entries) != []


def test_an_inserted_entry_with_a_right_digest_of_its_own_breaks_the_next_one() -> None:
    order, entries = walk()
    before = replace(order, version=2, digest=entries[1].digest)
    _, forged = journal.record(before, f.Finished(), stamp(9))
    renumbered = [entry._replace(version=entry.version + 1) for entry in entries[2:]]
    problems = journal.check_chain([*entries[:2], forged, *renumbered])
    assert [ORDER_ID in problem for problem in problems] == [True] * 3


def test_two_orders_entries_cannot_be_exchanged() -> None:
    _, entries = walk()
    other, first = journal.begin("other", journal.fact_of(entries[0]), stamp(0))  # type: ignore[arg-type]
    assert other.id == "other"
    assert journal.check_chain([first._replace(order_id=ORDER_ID), *entries[1:]]) != []


# ---- private parts


def test_private_fields_are_not_in_the_chained_body() -> None:
    _, entries = walk()
    bodies = "".join(entry.body for entry in entries)
    privates = "".join(entry.private or "" for entry in entries)
    for secret in ("Elm", "Oak", "for Ann", "timeout"):
        assert secret not in bodies
        assert secret in privates


@pytest.mark.parametrize("erased", [{0}, {3}, {0, 1, 3, 4}])
def test_erasing_private_parts_leaves_the_chain_whole(erased: set[int]) -> None:
    order, entries = walk()
    kept = [entry._replace(private=None) if place in erased else entry for place, entry in enumerate(entries)]
    assert journal.check_chain(kept) == []
    replayed = journal.replay(kept)
    assert journal.differences(order, replayed, erased=True) == []
    assert replayed.stage is Stage.DELIVERED


def test_an_erased_journal_still_shows_a_wrong_public_column() -> None:
    order, entries = walk()
    kept = [entry._replace(private=None) for entry in entries]
    assert len(journal.differences(replace(order, uid="bob"), journal.replay(kept), erased=True)) == 1


def test_a_private_parts_hash_says_nothing_without_its_salt() -> None:
    fact = f.Stuck(why="hook", error="boom")
    order, _ = walk()
    one, two = (journal.record(order, fact, stamp(1)._replace(salt=salt))[1] for salt in ("a", "b"))
    assert one.fields["private"] != two.fields["private"]
    assert one._replace(private=None, body="", digest="") == two._replace(private=None, body="", digest="")


def test_a_private_part_that_was_never_there_is_found() -> None:
    _, entries = walk()
    assert entries[2].private is None
    entries[2] = entries[2]._replace(private='{"salt":"x","data":"{}"}')
    assert journal.check_chain(entries) == [f"the private part of entry 3 of {ORDER_ID} was altered"]


# ---- text


@given(st.dictionaries(texts, st.one_of(st.none(), st.booleans(), st.integers(), texts, st.lists(texts))))
def test_compact_json_is_one_line_and_the_same_for_equal_values(value: dict[str, Any]) -> None:
    text = journal.compact_json(value)
    assert "\n" not in text
    assert json.loads(text) == value
    assert journal.compact_json(dict(reversed(value.items()))) == text


def test_compact_json_refuses_what_is_no_json() -> None:
    for value in (float("nan"), float("inf"), object(), {1, 2}, b"x"):
        with pytest.raises((ValueError, TypeError)):
            journal.compact_json({"value": value})
