"""Many rows as one parameter a column: ``unnest($1::text[], $2::bigint[], ...)``.

The text of a statement is then the same for one row and for a thousand: it is prepared once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Integer, SmallInteger, String, Table
from sqlalchemy.types import BigInteger

from orderway.sql.dialect import Rows

__all__ = ["columns_of", "types_of", "unnest"]


def columns_of(rows: Rows, width: int) -> list[Sequence[Any]]:
    """Rows as columns; so many empty ones where there is no row."""
    return list(zip(*rows, strict=True)) if rows else [()] * width


def types_of(table: Table, names: Sequence[str]) -> list[str]:
    """The types of these columns' parameters, one at a time."""
    return [_type_of(table.c[name].type) for name in names]


def unnest(first: int, types: Sequence[str], names: Sequence[str], alias: str = "v") -> str:
    """A table of parameters from ``$first`` on."""
    arrays = ", ".join(f"${first + at}::{kind}[]" for at, kind in enumerate(types))
    return f"unnest({arrays}) AS {alias}({', '.join(names)})"


def _type_of(kind: Any) -> str:
    if isinstance(kind, BigInteger):
        return "bigint"
    if isinstance(kind, SmallInteger):
        return "smallint"
    if isinstance(kind, Integer):
        return "integer"
    assert isinstance(kind, String)
    return "text"
