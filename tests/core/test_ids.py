"""Order ids: three kinds, each with its slot and a check character."""

from __future__ import annotations

import random
import string
import zlib
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderway.core.ids import (
    RANDOM_BITS,
    SLOTS,
    check_order_id,
    id_by_sequence,
    id_by_time,
    id_from_own_number,
    slot_of_order,
    slot_of_uid,
)
from orderway.errors import InvalidValue

DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
NOW_US = 1_790_000_000_123_456
SAMPLES = [
    id_by_time(NOW_US, 2**RANDOM_BITS - 1, 65_535),
    id_by_time(0, 0, 0),
    id_by_sequence(NOW_US, 12_345, 40_000),
    id_from_own_number(7, "ann", "A-1"),
]

times = st.integers(0, 62**9 - 1)
bits = st.integers(0, 2**RANDOM_BITS - 1)
slots = st.integers(0, SLOTS - 1)
texts = st.text(st.characters(codec="utf-8"))


@given(times, bits, st.integers(0, 62**10 - 1), slots, texts, texts)
def test_all_three_kinds_are_short_plain_and_carry_their_slot(
    now_us: int, random_bits: int, number: int, slot: int, uid: str, own_number: str
) -> None:
    by_time = id_by_time(now_us, random_bits, slot)
    by_sequence = id_by_sequence(now_us % 62**6 * 1_000_000, number, slot)
    own = id_from_own_number(7, uid, own_number)
    assert [len(made) for made in (by_time, by_sequence, own)] == [22, 20, 26]
    for made, its_slot in ((by_time, slot), (by_sequence, slot), (own, slot_of_uid(uid))):
        assert made.isascii()
        assert made.isalnum()
        assert slot_of_order(made) == its_slot


def test_every_slot_survives_the_way_through_an_id() -> None:
    assert all(slot_of_order(id_by_time(NOW_US, slot, slot)) == slot for slot in range(SLOTS))


@given(texts)
def test_a_uids_slot_is_the_low_half_of_its_crc32(uid: str) -> None:
    assert slot_of_uid(uid) == zlib.crc32(uid.encode("utf-8")) % 65_536


def test_slots_of_known_uids_never_change() -> None:
    assert {uid: slot_of_uid(uid) for uid in ("", "ann", "123456789", "张三")} == {
        "": 0,
        "ann": 29299,
        "123456789": 0x3926,
        "张三": 45258,
    }


def test_ids_by_time_and_by_sequence_sort_by_time() -> None:
    draw = random.Random(1)
    instants = sorted(draw.sample(range(62**9), 2_000))
    by_time = [id_by_time(at, draw.getrandbits(RANDOM_BITS), draw.randrange(SLOTS)) for at in instants]
    assert by_time == sorted(by_time)
    assert all(a.encode() < b.encode() for a, b in pairwise(by_time))
    seconds = sorted(draw.sample(range(62**6), 2_000))
    by_sequence = [id_by_sequence(at * 1_000_000, number, draw.randrange(SLOTS)) for number, at in enumerate(seconds)]
    assert by_sequence == sorted(by_sequence)


def test_ids_of_one_microsecond_differ_by_their_random_part() -> None:
    draw = random.Random(2)
    assert len({id_by_time(NOW_US, draw.getrandbits(RANDOM_BITS), 5) for _ in range(10_000)}) == 10_000


@pytest.mark.parametrize("order_id", SAMPLES)
def test_every_single_wrong_character_is_caught(order_id: str) -> None:
    check_order_id(order_id)
    for place, right in enumerate(order_id):
        for wrong in DIGITS.replace(right, ""):
            with pytest.raises(InvalidValue):
                check_order_id(order_id[:place] + wrong + order_id[place + 1 :])


def test_most_swaps_of_neighbours_are_caught() -> None:
    draw = random.Random(3)
    swaps = caught = 0
    for _ in range(500):
        order_id = id_by_time(draw.randrange(62**9), draw.getrandbits(RANDOM_BITS), draw.randrange(SLOTS))
        for place in range(len(order_id) - 1):
            a, b = order_id[place], order_id[place + 1]
            if a != b:
                swaps += 1
                try:
                    check_order_id(order_id[:place] + b + a + order_id[place + 2 :])
                except InvalidValue:
                    caught += 1
    assert swaps > 9_000
    assert caught / swaps > 0.97


@pytest.mark.parametrize(("uid", "own_number"), [("ann", "\ud800"), ("\ud800", "A-1")])
def test_what_is_no_unicode_text_has_no_id(uid: str, own_number: str) -> None:
    with pytest.raises(InvalidValue, match="no Unicode text"):
        id_from_own_number(7, uid, own_number)


def test_ids_from_an_own_number_are_always_the_same() -> None:
    assert id_from_own_number(7, "ann", "A-1") == id_from_own_number(7, "ann", "A-1")


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((1, "ab", "c"), (1, "a", "bc")),
        ((1, "", "abc"), (1, "abc", "")),
        ((1, "1:a", "b"), (1, "1", ":ab")),
        ((11, "a", "b"), (1, "1a", "b")),
        ((1, "a", "1"), (1, "a", "01")),
        ((1, "a", "b"), (2, "a", "b")),
        ((1, "a", "b"), (1, "a", "b ")),
    ],
)
def test_parts_never_run_together(left: tuple[int, str, str], right: tuple[int, str, str]) -> None:
    assert id_from_own_number(*left) != id_from_own_number(*right)


@given(texts, texts, st.integers(1, 20))
def test_moving_characters_between_the_parts_gives_another_id(uid: str, own_number: str, moved: int) -> None:
    joined = uid + own_number
    cut = min(moved, len(joined))
    other = (joined[:cut], joined[cut:])
    same = other == (uid, own_number)
    assert (id_from_own_number(1, uid, own_number)[:22] == id_from_own_number(1, *other)[:22]) is same


HOSTILE: list[Any] = [
    *("", "0", "x" * 1_000_000, "0" * 21, "é" * 22, "1" * 21 + "\n", "' OR 1=1 --" + " " * 11, "\x00" * 22),
    *(SAMPLES[0][:-1] + " ", " " + SAMPLES[0][1:], SAMPLES[0].swapcase(), SAMPLES[0] + "0", "١" * 22, "\ud800" * 22),
    *(None, 5, SAMPLES[0].encode(), [SAMPLES[0]]),
]


@pytest.mark.parametrize("order_id", HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_no_order_id_is_refused_before_any_database_is_asked(order_id: Any) -> None:
    for ask in (check_order_id, slot_of_order):
        with pytest.raises(InvalidValue, match="order id") as caught:
            ask(order_id)
        assert len(str(caught.value)) < 300


def test_an_id_whose_slot_is_beyond_the_last_is_refused() -> None:
    head = SAMPLES[0][:-4] + "zzz"
    accepted = []
    for check in DIGITS:
        try:
            check_order_id(head + check)
        except InvalidValue:
            continue
        accepted.append(check)
    assert accepted == []


@pytest.mark.parametrize(
    "make",
    [
        lambda: id_by_time(-1, 0, 0),
        lambda: id_by_time(62**9, 0, 0),
        lambda: id_by_time(0, -1, 0),
        lambda: id_by_time(0, 62**9, 0),
        lambda: id_by_time(0, 0, -1),
        lambda: id_by_time(0, 0, SLOTS),
        lambda: id_by_sequence(0, 62**10, 0),
        lambda: id_by_sequence(0, -1, 0),
        lambda: id_by_sequence(62**6 * 1_000_000, 0, 0),
    ],
)
def test_parts_that_do_not_fit_are_refused(make: Any) -> None:
    with pytest.raises(InvalidValue):
        make()
