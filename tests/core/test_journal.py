"""The journal: its chain finds every alteration, its private parts can be erased, and replaying it gives the order."""

from __future__ import annotations

import copy
import json
import os
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from orderway.core import facts as f
from orderway.core import journal
from orderway.core.ids import id_by_time
from orderway.core.journal import Entry, Stamp
from orderway.core.order import FINAL_STAGES, JOURNALED, Order, Stage
from orderway.core.payment import Leg
from orderway.errors import IllegalTransition

EXAMPLES = 5_000 if os.environ.get("ORDERWAY_LONG") else 200
ORDER_ID = id_by_time(1_790_000_000_000_000, 7, 513)
texts = st.text(st.characters(codec="utf-8"), max_size=20)
hostile_texts = st.one_of(
    texts, st.sampled_from(["\n", "\x00", '"', "\\", "\u2028", "}{", "null", "🛒", "a\nb\nc", "'; --"])
)
json_texts = st.one_of(st.none(), hostile_texts.map(lambda text: json.dumps({"text": text}, ensure_ascii=False)))
minors = st.integers(1, 10**15)

stamps = st.builds(
    Stamp,
    at_us=st.integers(0, 2**60),
    write_id=st.text("0123456789abcdef", min_size=8, max_size=8),
    salt=st.text("0123456789abcdef", min_size=8, max_size=8),
    actor=st.one_of(st.just("system"), hostile_texts),
    reason=hostile_texts,
    cause=hostile_texts,
)


PRICE = 1999
beginnings = st.builds(
    f.Created,
    order_type=st.integers(0, 65_535),
    uid=hostile_texts,
    amount_minor=st.shared(st.sampled_from([PRICE, PRICE, 0]), key="price"),
    currency=st.just("USD"),
    legs=st.shared(st.sampled_from([PRICE, PRICE, 0]), key="price").map(
        lambda price: (Leg(0, "scripted", price, "USD"),) if price else ()
    ),
    deadline_at_us=st.integers(0, 2**60),
    fingerprint=hostile_texts,
    own_number=hostile_texts,
    remark=hostile_texts,
    data=json_texts,
)
WITH_DATA = {"data": json_texts}
LEG = {"leg": st.just(0), **WITH_DATA}
DEADLINE = {"deadline_at_us": st.integers(0, 2**60), **WITH_DATA}
MONEY = {"amount_minor": minors, "currency": st.just("USD"), "reference": hostile_texts}
FACTS: dict[type[f.Fact], st.SearchStrategy[f.Fact]] = {
    f.PaymentPending: st.builds(f.PaymentPending, reference=hostile_texts, **LEG),
    f.PaymentUnknown: st.builds(f.PaymentUnknown, error=hostile_texts, **LEG),
    f.PaymentDeclined: st.builds(f.PaymentDeclined, error=hostile_texts, **LEG),
    f.PaymentClosed: st.builds(f.PaymentClosed, **LEG),
    f.Paid: st.builds(f.Paid, amount_minor=st.just(PRICE), reference=hostile_texts, **{**LEG, **DEADLINE}),
    f.UnexpectedPayment: st.builds(f.UnexpectedPayment, channel=hostile_texts, **MONEY, **WITH_DATA),
    f.StepDone: st.builds(f.StepDone, step=hostile_texts, result=st.sampled_from(["null", "[1]", '"é"']), **WITH_DATA),
    f.Delivered: st.builds(f.Delivered, **WITH_DATA),
    f.Finished: st.builds(f.Finished, **WITH_DATA),
    f.Cancelled: st.builds(f.Cancelled, why=hostile_texts, **WITH_DATA),
    f.Rejected: st.builds(f.Rejected, why=hostile_texts, **WITH_DATA),
    f.Closed: st.builds(f.Closed, why=hostile_texts, **WITH_DATA),
    f.Stuck: st.builds(f.Stuck, why=hostile_texts, error=hostile_texts, **WITH_DATA),
    f.Ended: st.builds(f.Ended, **WITH_DATA),
    f.Resumed: st.builds(f.Resumed, **DEADLINE),
}


@st.composite
def journeys(draw: st.DrawFn) -> tuple[Order[Any], list[Entry]]:
    """An order after a random legal sequence of facts, and its journal."""
    order, entry = journal.begin(ORDER_ID, draw(beginnings), draw(stamps))
    entries = [entry]
    for _ in range(draw(st.integers(0, 10))):
        kind = draw(st.sampled_from([kind for kind in FACTS if order.allows(kind)]))
        try:
            order, entry = journal.record(order, draw(FACTS[kind]), draw(stamps))
        except IllegalTransition:
            continue  # the payments' guards refused it
        entries.append(entry)
    return order, entries


def walk() -> tuple[Order[Any], list[Entry]]:
    """A plain journey with private parts in four of its five entries."""
    created = f.Created(
        order_type=1,
        uid="ann",
        amount_minor=1999,
        currency="USD",
        legs=(Leg(0, "scripted", 1999, "USD"),),
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
@given(journeys())
def test_replaying_any_journal_gives_the_order(journey: tuple[Order[Any], list[Entry]]) -> None:
    order, entries = journey
    assert journal.check_chain(entries) == []
    replayed = journal.replay(entries)
    assert journal.differences(order, replayed) == []
    assert all(getattr(order, name) == getattr(replayed, name) for name in JOURNALED)
    assert order.version == len(entries)
    assert order.digest == entries[-1].digest


@settings(max_examples=EXAMPLES, deadline=None)
@given(journeys())
def test_each_entry_gives_its_fact_back(journey: tuple[Order[Any], list[Entry]]) -> None:
    _, entries = journey
    for entry in entries:
        fact = journal.fact_of(entry)
        assert type(fact).__name__ == entry.fact
        assert "\n" not in entry.body
        assert json.loads(entry.body) == entry.fields


@pytest.mark.parametrize("stage", sorted(FINAL_STAGES))
def test_the_random_journeys_reach_every_end(stage: Stage) -> None:
    """A test of the tests above: what is never reached is never replayed."""
    order, _ = find(
        journeys(),
        lambda journey: journey[0].stage is stage,
        settings=settings(max_examples=2_000, phases=[Phase.generate], database=None, derandomize=True),
    )
    assert order.is_final


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
