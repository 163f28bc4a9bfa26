"""A transaction of the user's own, in memory."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orderway.errors import DeliveryFailed, Unavailable, UsageError
from orderway.memory.database import MemoryDatabase
from orderway.ports.statements import check_statement
from orderway.ports.store import Change

__all__ = ["MemoryTransaction", "run_statement"]

Parameters = Mapping[str, Any] | Sequence[Any]


class MemoryTransaction:
    """A transaction over ``MemoryDatabase.goods``; see :class:`orderway.ports.store.Transaction`.

    Made by the store once it has the database's gate; gives the gate back when it ends, in whichever way.
    """

    def __init__(self, database: MemoryDatabase, commit: Callable[[Change], None], time_limit_s: float) -> None:
        self._database = database
        self._commit = commit
        self._over: Exception | None = None
        self._time_limit_s = time_limit_s
        self._alarm = asyncio.get_running_loop().call_later(time_limit_s, self._expire)
        database.goods.execute("BEGIN")

    async def execute(self, sql: str, parameters: Parameters = ()) -> int:
        """Run one statement; returns the number of rows that it touched."""
        await self._turn()
        return self._run(sql, parameters).rowcount

    async def fetch(self, sql: str, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
        """Run one query; returns all of its rows."""
        await self._turn()
        return self._run(sql, parameters).fetchall()

    async def commit_with(self, change: Change) -> None:
        """Apply the change as the last statement and commit all of it together."""
        await self._turn()
        try:
            with self._database.lock:
                self._commit(change)
        except BaseException:
            self._finish(UsageError("this transaction was rolled back: its change could not be applied"))
            raise
        self._finish(UsageError("this transaction is committed; begin another one"))

    def end(self) -> None:
        """Roll back, unless it is over already."""
        self._finish(UsageError("this transaction was left without commit_with and rolled back; begin another"))

    async def _turn(self) -> None:
        await asyncio.sleep(0)  # as at any database, others run before the answer comes
        if self._over is not None:
            raise self._over

    def _run(self, sql: str, parameters: Parameters) -> sqlite3.Cursor:
        try:
            return run_statement(self._database.goods, sql, parameters)
        finally:
            if not self._database.goods.in_transaction:  # ``OR ROLLBACK`` and triggers can do so
                self._finish(Unavailable("the transaction can do no more: it was rolled back"))

    def _expire(self) -> None:
        self._finish(Unavailable(f"the transaction was rolled back: it took more than {self._time_limit_s} s"))

    def _finish(self, why: Exception) -> None:
        if self._over is None:
            self._over = why
            self._alarm.cancel()
            self._database.goods.rollback()
            self._database.gate.release()


def run_statement(goods: sqlite3.Connection, sql: str, parameters: Parameters) -> sqlite3.Cursor:
    """Run one statement of the user's own.

    Raises:
        DeliveryFailed: the database refused it, or it would end the transaction.
    """
    check_statement(sql)
    try:
        return goods.execute(sql, dict(parameters) if isinstance(parameters, Mapping) else parameters)
    except (sqlite3.Error, sqlite3.Warning, OverflowError, ValueError) as error:
        raise DeliveryFailed(f"a statement failed: {error}: {sql}") from error
