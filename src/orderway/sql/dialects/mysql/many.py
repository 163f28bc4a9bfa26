"""Statements for many rows, cut so that each fits into a packet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import TypeVar

from orderway.sql.dialect import Rows
from orderway.sql.dialects.mysql.literals import literal, literals
from orderway.sql.steps import Steps, Write

__all__ = ["chunks", "in_list", "insert", "insert_into"]

T = TypeVar("T")

LONGEST = 256 * 1024
"""Characters a statement, unless a single row has more: at most 1 MB, less than any server takes in a packet."""
MOST = 512
"""Rows a statement. MariaDB makes a temporary table of a list of 1,000 values."""


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
    for chunk in chunks([f"({literals(row)})" for row in ordered], len):
        yield Write(f"{beginning}{','.join(chunk)}{end}")


def in_list(values: Iterable[str]) -> str:
    """The values in parentheses."""
    return f"({','.join(map(literal, values))})"
