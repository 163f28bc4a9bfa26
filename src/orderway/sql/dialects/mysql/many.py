"""Statements for many rows, cut so that each fits into a packet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import TypeVar

from orderway.sql.dialect import Rows
from orderway.sql.dialects.mysql.literals import literal, literals
from orderway.sql.steps import Steps, Write

__all__ = ["chunks", "in_list", "insert", "insert_into", "statements"]

T = TypeVar("T")

LONGEST = 256 * 1024
"""Characters a statement, unless a single row has more: at most 1 MB, less than any server takes in a packet."""
MOST = 512
"""Rows a statement. MariaDB makes a temporary table of a list of 1,000 values."""


def statements(rows: Rows, text_of: Callable[[Rows], str]) -> Iterator[tuple[str, int]]:
    """Statements that together say all rows, in their order, and how many rows each of them says.

    Args:
        rows: what they say.
        text_of: the text of the statement for some of the rows.
    """
    if not rows:
        return
    text = text_of(rows) if len(rows) <= MOST else ""
    parts = -(-len(text) // LONGEST) if text else -(-len(rows) // MOST)
    if parts == 1 or len(rows) == 1:
        yield text, len(rows)
        return
    width = -(-len(rows) // parts)
    for first in range(0, len(rows), width):
        yield from statements(rows[first : first + width], text_of)


def chunks(items: Sequence[T], width: Callable[[T], int]) -> Iterator[Sequence[T]]:
    """The items in their order, in groups for one statement each.

    Args:
        items: what stands in the statements, one a row.
        width: about how many characters an item takes.
    """
    start = length = 0
    for at, item in enumerate(items):
        length += width(item)
        if at > start and (length > LONGEST or at - start == MOST):
            yield items[start:at]
            start, length = at, width(item)
    if start < len(items):
        yield items[start:]


def insert_into(table: str, columns: Iterable[str]) -> str:
    """The beginning of an insert, up to its rows."""
    return f"INSERT INTO {table} ({', '.join(f'`{column}`' for column in columns)}) VALUES "


def insert(beginning: str, rows: Rows, end: str = "") -> Steps[None]:
    """Insert rows, in the order of their first value; a key that is taken stops everything after it."""
    ordered = sorted(rows, key=itemgetter(0)) if len(rows) > 1 else rows
    for sql, _ in statements(ordered, lambda some: f"{beginning}({literals(some, '),(')}){end}"):
        yield Write(sql)


def in_list(values: Iterable[str]) -> str:
    """The values in parentheses."""
    return f"({','.join(map(literal, values))})"
