"""Values arrive as they were sent, whatever stands in them, and under every ``sql_mode``."""

from __future__ import annotations

import datetime
from dataclasses import replace
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mysql_links import Connect, value_of

from orderway.sql.dialects.mysql.link import MysqlLink
from orderway.sql.dialects.mysql.literals import literal, literals
from orderway.sql.dialects.mysql.many import LONGEST, MOST, statements
from orderway.sql.operations import Create, Record
from orderway.sql.steps import Read, Refused
from orderway.sql.writes import Writes
from orderway.testing.conformance.builders import NOW_US, make_change, make_order, paid

HOSTILE = [
    *("'", "''", '"', "`", "\\", "\\'", "\\\\'", "\\\\", "a\\", "\\0", "\0", "a\0b'", "\x1a", "\n;\n", "\ufeff"),
    *("'; DROP TABLE ow_meta; --", "' OR 1 = 1 #", "\\'; DROP TABLE ow_meta; --", "/*! x */", "%s", "%", ":name", "?"),
    *("ann ", " ann", "ann\t", "NULL", "🧾👩‍👩‍👧", "é", "e\u0301", "\u4e2d\u6587", "\uffff", "\U0010ffff", "{}", "[]"),
]
MODES = ["", "NO_BACKSLASH_ESCAPES,ANSI_QUOTES", "ANSI,STRICT_ALL_TABLES", "TRADITIONAL"]


class Color(StrEnum):
    RED = "r'ed\\"


class Size(IntEnum):
    LARGE = 3


@pytest.mark.parametrize("mode", MODES)
async def test_hostile_texts_mean_the_same_under_every_mode(link: MysqlLink, mode: str) -> None:
    await link.script(f"SET SESSION sql_mode = '{mode}'")
    for text in HOSTILE:
        assert await value_of(link, f"SELECT {literal(text)}") == text
        assert await value_of(link, f"SELECT HEX({literal(text)})") == text.encode().hex().upper()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.one_of(st.sampled_from("'\"\\`;-#/*%\0\n"), st.characters(exclude_categories=["Cs"]))))
def test_no_text_ends_its_literal_early(text: str) -> None:
    quoted = literal(text)
    if quoted.startswith("_utf8mb4 X'"):
        assert bytes.fromhex(quoted[11:-1]).decode() == text
    else:
        assert "\\" not in quoted
        assert quoted[1:-1].replace("''", "") == text.replace("'", "")
        assert quoted[1:-1].count("'") == 2 * text.count("'")


VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.sampled_from(HOSTILE), st.text())


@given(st.integers(1, 5).flatmap(lambda width: st.lists(st.tuples(*[VALUES] * width), min_size=1, max_size=4)))
def test_rows_of_literals_are_their_values_literals(rows: list[tuple[Any, ...]]) -> None:
    try:
        one_by_one = "),(".join(",".join(map(literal, row)) for row in rows)
    except Refused:  # an integer that no column holds, or a text that is none
        return
    assert literals(rows, "),(") == one_by_one


@given(st.lists(st.tuples(st.text(), st.integers(0, 2**63)), min_size=1, max_size=50))
def test_rows_of_one_shape_are_their_values_literals(rows: list[tuple[Any, ...]]) -> None:
    assert literals(rows, " UNION ALL ") == " UNION ALL ".join(
        f"{literal(text)},{literal(number)}" for text, number in rows
    )


def test_an_integer_too_long_to_be_printed_is_refused() -> None:
    with pytest.raises(Refused, match="beyond 64 bits"):
        literals([("a", 1), ("b", 10**5000)], "),(")


@pytest.mark.parametrize("longest", [1, LONGEST // 1000, LONGEST // 3, LONGEST - 100, LONGEST, 3 * LONGEST])
@pytest.mark.parametrize("count", [0, 1, 2, MOST, MOST + 1, 5 * MOST + 3])
def test_statements_hold_all_rows_in_order_and_fit(longest: int, count: int) -> None:
    rows = [(f"{at}", "x" * (longest if at % 97 == 5 else 1)) for at in range(count)]
    written: list[tuple[Any, ...]] = []
    for text, size in statements(rows, lambda some: "|".join(map("-".join, some))):
        part = [tuple(row.split("-")) for row in text.split("|")]
        assert len(part) == size <= MOST
        assert size == 1 or len(text) <= LONGEST
        written += part
    assert written == rows


@pytest.mark.parametrize("text", HOSTILE)
async def test_orders_keep_texts_through_every_shape_of_statement(link: MysqlLink, writes: Writes, text: str) -> None:
    orders = [
        make_order(uid=text, remark=text, own_number=text, currency=text[:16], data=f"{{{text}}}") for _ in range(3)
    ]
    await link.transact(writes.together([Create(*each) for each in orders]))
    for many in (orders[:1], orders[1:]):  # the statement for one change, and the one for several
        changes = [make_change(order, paid(order, text), holder=5, due_at_us=NOW_US) for order, _ in many]
        for change in changes:
            change.order.last_error = change.order.why = text
        await link.transact(writes.together([Record(change) for change in changes]))
        found = await link.perform(writes.orders.find_all([order.id for order, _ in many]))
        assert [found[change.order.id] for change in changes] == [change.order for change in changes]


async def test_ids_are_compared_byte_for_byte_when_many_are_changed_at_once(link: MysqlLink, writes: Writes) -> None:
    ids = ["a", "A", "a ", "a\\", "\\", "'", "á"]
    changes = []
    for at, order_id in enumerate(ids):
        order, entry = make_order()
        await link.transact(writes.together([Create(order, entry)]))
        await link.script(f"UPDATE ow_orders_0 SET id = {literal(order_id)} WHERE id = '{order.id}'")
        change = make_change(order, paid(order), due_at_us=NOW_US + at)
        change.order.legs = ()
        change.order.id = order_id
        changes.append(change)
    await link.transact(writes.orders.record([Record(change) for change in changes]))
    found = await link.send([Read("SELECT id, due_at_us FROM ow_orders_0")])
    assert dict(found) == {order_id: NOW_US + at for at, order_id in enumerate(ids)}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, 1),
        (2**63 - 1, 2**63 - 1),
        (-(2**63), -(2**63)),
        (0.1, 0.1),
        (1e300, 1e300),
        (Decimal("12.3400"), Decimal("12.3400")),
        (b"\0'\\\xff", b"\0'\\\xff"),
        (bytearray(b"a"), b"a"),
        (Color.RED, "r'ed\\"),
        (Size.LARGE, 3),
        (datetime.datetime(2026, 11, 23, 4, 5, 6, 7), "2026-11-23 04:05:06.000007"),
        (datetime.date(2026, 11, 23), "2026-11-23"),
        (datetime.time(4, 5, 6), "04:05:06"),
    ],
)
async def test_each_type_arrives(link: MysqlLink, value: Any, expected: Any) -> None:
    assert await value_of(link, f"SELECT {literal(value)}") == expected


@pytest.mark.parametrize(
    "value",
    [
        *(2**64, -(2**64), 10**5000, float("nan"), float("inf"), Decimal("NaN"), object(), [1], {"a": 1}),
        *("\\\ud800", datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_no_column_can_hold_is_refused(value: Any) -> None:
    with pytest.raises(Refused):
        literal(value)


async def test_a_value_that_does_not_fit_is_refused_alone_and_never_cut_off(connect: Connect, writes: Writes) -> None:
    link = await connect()
    good, broken, large, long = (make_order() for _ in range(4))
    operations = [
        Create(*good),
        Create(replace(broken[0], remark="\ud800"), broken[1]),
        Create(replace(large[0], amount_minor=2**63), large[1]),
        Create(replace(long[0], uid="u" * 129), long[1]),
    ]
    await link.transact(writes.apart(operations))
    assert [type(operation.error).__name__ for operation in operations] == ["NoneType", *["InvalidValue"] * 3]
    assert await value_of(link, "SELECT GROUP_CONCAT(id) FROM ow_orders_0") == good[0].id


async def test_an_amount_beyond_64_bits_is_refused_when_many_are_changed_at_once(
    link: MysqlLink, writes: Writes
) -> None:
    orders = [make_order() for _ in range(2)]
    await link.transact(writes.together([Create(*each) for each in orders]))
    changes = [make_change(order, paid(order)) for order, _ in orders]
    changes[1].order.updated_at_us = 2**63
    with pytest.raises(Refused, match="Out of range"):
        await link.transact(writes.together([Record(change) for change in changes]))
    assert await value_of(link, "SELECT MAX(version) FROM ow_orders_0") == 1
