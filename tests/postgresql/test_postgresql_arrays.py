"""Arrays as literals: what the server reads is what was meant, whatever text it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest

from orderway.sql.dialects.postgresql.arrays import array, columns_of
from orderway.sql.steps import Refused

HOSTILE = [
    *("", "plain", "NULL", "null", "{}", "{a,b}", '"', '""', "\\", '\\"', "\\\\", ",", '","', " padded ", "\t\n\r"),
    *("'; DROP TABLE ow_orders_0; --", '{"a": "b\\n"}', "汉字", "👩‍👩‍👧 e\u0301", "\x1f", "a\x1fb", "\x01\x7f"),
]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("text", HOSTILE),
        ("text", [text for text in HOSTILE if "\x1f" not in text]),
        ("text", [None, *HOSTILE, None]),
        ("text", ["first", None]),
        ("text", [None]),
        *(("text", [text] * 3) for text in (None, "", "NULL", '\x1f"\\,')),
        ("bigint", [-1] * 2),
        ("boolean", [True] * 2),
        ("bigint", [0, -1, 2**63 - 1, -(2**63)]),
        ("bigint", [None, 7, None]),
        ("boolean", [True, False]),
    ],
)
async def test_the_server_reads_what_was_meant(postgresql_url: str, kind: str, values: Sequence[Any]) -> None:
    connection = await asyncpg.connect(postgresql_url)
    try:
        assert await connection.fetchval(f"SELECT $1::text::{kind}[]", array(values)) == list(values)
    finally:
        await connection.close()


@pytest.mark.parametrize("values", [["a", 1], [1, "a"], [1.5], [1.5, 1.5], ["a", b"b"], [10**5000]])
def test_other_values_are_refused(values: Sequence[Any]) -> None:
    with pytest.raises(Refused):
        array(values)


def test_rows_become_columns_also_without_a_row() -> None:
    assert columns_of([("a", 1), ("b", 2)], 2) == ['{"a","b"}', "{1,2}"]
    assert columns_of([], 2) == ["{}", "{}"]
