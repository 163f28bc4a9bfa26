"""Performing steps on a SQLite connection, and SQLite as a dialect."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy.dialects import sqlite

from orderway.sql.dialect import union_all
from orderway.sql.dialects.sqlite.common import CommonStatements
from orderway.sql.dialects.sqlite.errors import BAD_VALUE, translated
from orderway.sql.dialects.sqlite.statements import OrderStatements, PostingStatements
from orderway.sql.refusals import check_epoch
from orderway.sql.steps import SETTLE, Count, Mismatch, Own, Parameters, Read, Step, Steps, Write

__all__ = ["SQLITE", "bound", "fence", "perform"]

T = TypeVar("T")


class SqliteDialect:
    """See ``orderway.sql.dialect.Dialect``."""

    title = "SQLite"
    sqlalchemy = sqlite.dialect(paramstyle="qmark")
    now = "SELECT CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"
    common = CommonStatements()

    def union(self, queries: Sequence[Read]) -> Read:
        """One query for what these find."""
        return Read(union_all(queries), [value for query in queries for value in query.values])

    def orders(self, shard: int) -> OrderStatements:
        """The statements of a shard's orders."""
        return OrderStatements(shard)

    def postings(self, shard: int) -> PostingStatements:
        """The statements of a shard's ledger."""
        return PostingStatements(shard)


SQLITE = SqliteDialect()


def fence(connection: sqlite3.Connection, epoch: int) -> None:
    """See to it that the shard map is still this one; the lock of the transaction keeps it so until its end.

    Raises:
        Unavailable: it is another one.
    """
    row = connection.execute("SELECT epoch FROM ow_meta WHERE id = 1").fetchone()
    check_epoch(row[0] if row else None, epoch)


def perform(connection: sqlite3.Connection, steps: Steps[T]) -> T:
    """Perform steps, each at once, inside the transaction that the connection is in.

    Raises:
        Failed, Refused, OrderwayError: as the steps let through what went wrong.
    """
    try:
        step: Step = next(steps)
        while True:
            try:
                result = _do(connection, step)
            except Mismatch as error:
                step = steps.throw(error)
            except (sqlite3.Error, *BAD_VALUE) as error:
                step = steps.throw(translated(error))
            else:
                step = steps.send(result)
    except StopIteration as end:
        value: T = end.value
        return value


def bound(parameters: Parameters) -> dict[str, Any] | tuple[Any, ...]:
    """Parameters as the driver wants them."""
    return dict(parameters) if isinstance(parameters, Mapping) else tuple(parameters)


def _do(connection: sqlite3.Connection, step: Step) -> Any:
    if isinstance(step, Write):
        touched = connection.execute(step.sql, step.values).rowcount
        if step.expect is not None and touched != step.expect:
            raise Mismatch(f"{touched} rows were touched instead of {step.expect}")
        return None
    if isinstance(step, Read):
        return connection.execute(step.sql, step.values).fetchall()
    if isinstance(step, Count):
        return connection.execute(step.sql, step.values).rowcount
    if isinstance(step, Own):
        return connection.execute(step.sql, bound(step.parameters)).rowcount
    assert step is SETTLE
    return None
