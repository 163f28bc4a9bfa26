"""Many rows as one parameter a column: ``unnest($1::text::text[], $2::text::bigint[], ...)``.

The text of a statement is then the same for one row and for a thousand: it is prepared once. An array travels as its
literal, made here: to encode the values one by one, as the driver does, is a sixth of what an order costs the client.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import NoneType
from typing import Any

from sqlalchemy import Integer, MetaData, SmallInteger, String, Table
from sqlalchemy.types import BigInteger

from orderway.sql.dialect import Rows
from orderway.sql.steps import Refused
from orderway.sql.tables import shard_tables

__all__ = ["SHARD", "array", "columns_of", "types_of", "unnest"]

SHARD = shard_tables(MetaData(), 0)
"""Tables as those of every shard, but for their names."""
_SEPARATOR = "\x1f"
_PLAIN = {int, bool, NoneType}


def columns_of(rows: Rows, width: int) -> list[str]:
    """Rows as an array a column; so many empty ones where there is no row.

    Raises:
        Refused: see ``array``.
    """
    return [array(column) for column in zip(*rows, strict=True)] if rows else ["{}"] * width


def array(values: Sequence[Any]) -> str:
    """The literal of an array of texts, or of integers or truth values; each may be None. Where all are equal, it is so
    many of the first.

    Raises:
        Refused: a value is of another type, or an integer too long to be printed.
    """
    count = len(values)
    if count > 1 and values.count(values[0]) == count:  # most columns of a batch: nothing is looked at value by value
        return f"{{{','.join([array(values[:1])[1:-1]] * count)}}}"
    if type(values[0]) is str:
        try:
            text = _SEPARATOR.join(values)
        except TypeError:  # a None among them
            return _one_by_one(values)
        if text.count(_SEPARATOR) == len(values) - 1:
            escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace(_SEPARATOR, '","')
            return f'{{"{escaped}"}}'
    elif _PLAIN.issuperset(map(type, values)):
        try:
            return f"{{{','.join(map(str, values)).replace('None', 'NULL')}}}"
        except ValueError as error:
            raise Refused(str(error)) from None
    return _one_by_one(values)


def types_of(table: Table, names: Sequence[str]) -> list[str]:
    """The types of these columns' parameters, one at a time."""
    return [_type_of(table.c[name].type) for name in names]


def unnest(first: int, types: Sequence[str], names: Sequence[str], alias: str = "v") -> str:
    """A table of parameters from ``$first`` on."""
    arrays = ", ".join(f"${first + at}::text::{kind}[]" for at, kind in enumerate(types))
    return f"unnest({arrays}) AS {alias}({', '.join(names)})"


def _one_by_one(values: Iterable[Any]) -> str:
    return f"{{{','.join(map(_element, values))}}}"


def _element(value: Any) -> str:
    if value is None:
        return "NULL"
    if type(value) is str:
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    raise Refused(f"a value of type {type(value).__name__} is not allowed here")


def _type_of(kind: Any) -> str:
    if isinstance(kind, BigInteger):
        return "bigint"
    if isinstance(kind, SmallInteger):
        return "smallint"
    if isinstance(kind, Integer):
        return "integer"
    assert isinstance(kind, String)
    return "text"
