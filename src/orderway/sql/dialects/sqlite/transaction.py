"""Transactions of the user's own, beside the group commits: each one at a time, in a thread and connection of theirs.

The thread keeps the time limit, not the loop: code that never comes back cannot hold the write lock for longer.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, TypeVar

from orderway.errors import CommitUnknown, Unavailable
from orderway.ports.statements import check_statement
from orderway.ports.store import Change
from orderway.sql.dialects.sqlite.errors import BAD_VALUE, is_environment, refused_statement, unavailable
from orderway.sql.dialects.sqlite.lock import FileLock
from orderway.sql.dialects.sqlite.perform import bound, fence, perform
from orderway.sql.dialects.sqlite.threads import tell
from orderway.sql.dialects.sqlite.writer import commit, roll_back
from orderway.sql.operations import Record
from orderway.sql.steps import Failed, Parameters
from orderway.sql.writes import Writes

__all__ = ["SqliteTransaction", "TransactionThread"]

T = TypeVar("T")
Job = tuple[Callable[[sqlite3.Connection], Any], "asyncio.Future[Any]"]


class SqliteTransaction:
    """One transaction, from ``begin`` to ``end``; its jobs run in the thread, one after another."""

    def __init__(self, thread: TransactionThread, time_limit_s: float) -> None:
        self._thread = thread
        self._loop = asyncio.get_running_loop()
        self.time_limit_s = time_limit_s
        self._gate = threading.Lock()
        self.jobs: SimpleQueue[Job | None] = SimpleQueue()
        self.over: str = ""
        """Why nothing more can be done, once that is so."""

    async def begin(self) -> None:
        """Wait for the turn and for the write lock.

        Raises:
            Unavailable: they did not come in time; nothing was done.
        """
        begun = self._ask(lambda connection: None)
        self._thread.enter(self)
        await begun

    async def end(self) -> None:
        """Roll back what was not committed. Idempotent."""
        with suppress(Unavailable):  # it is over already
            ended = self._ask(roll_back)
            self.jobs.put(None)
            await ended

    def refuse_rest(self) -> None:
        """Answer whatever was asked after the end; called by the thread, once."""
        with self._gate:
            self.over = self.over or "it has ended"
            while not self.jobs.empty():
                if (item := self.jobs.get()) is not None:
                    self.fail(item[1], self._refusal())

    async def execute(self, sql: str, parameters: Parameters = ()) -> int:
        """Run one statement; returns the number of rows that it touched."""
        return await self._ask(lambda connection: _execute(connection, sql, parameters).rowcount)

    async def fetch(self, sql: str, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
        """Run one query; returns all of its rows."""
        return await self._ask(lambda connection: _execute(connection, sql, parameters).fetchall())

    async def commit_with(self, change: Change) -> None:
        """Apply the change as the last statement and commit all of it together."""
        await self._ask(lambda connection: self._commit_with(connection, change))

    def fail(self, future: asyncio.Future[Any], error: Exception) -> None:
        """Tell the loop that a job failed."""
        tell(self._loop, _set_exception, future, error)

    def succeed(self, future: asyncio.Future[Any], result: Any) -> None:
        """Tell the loop that a job is done."""
        tell(self._loop, _set_result, future, result)

    def _ask(self, job: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self._loop.create_future()
        with self._gate:
            if self.over:
                raise self._refusal()
            self.jobs.put((job, future))
        return future

    def _refusal(self) -> Unavailable:
        return Unavailable(f"the transaction can do no more: {self.over}")

    def _commit_with(self, connection: sqlite3.Connection, change: Change) -> None:
        operation = Record(change)
        perform(connection, self._thread.writes.alone(operation))
        if operation.error is not None:
            self.over = "the change was refused and everything rolled back"
            roll_back(connection)
            raise operation.error
        self.over = "commit_with has ended it"
        problem = commit(connection)
        if problem is None:
            return
        written = self._thread.look_up(operation)
        if written is None:
            raise CommitUnknown(
                f"the commit gave no answer and could not be looked up: {problem}", order_id=operation.order_id
            ) from problem
        if not written:
            raise unavailable(problem, operation.order_id) from problem


class TransactionThread:
    """Runs transactions, first come, first served; whatever happens to one, the next one gets its turn.

    Args:
        connect: opens the connection; used again when the one at hand has failed.
        lock: shared with the writer and other processes.
        lock_timeout_s: how long a transaction waits for it.
        writes: what to do at the end of a transaction.
        epoch: of the shard map.
    """

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        lock: FileLock,
        lock_timeout_s: float,
        writes: Writes,
        epoch: int,
    ) -> None:
        self._connect = connect
        self._lock = lock
        self._lock_timeout_s = lock_timeout_s
        self.writes = writes
        self._epoch = epoch
        self._connection: sqlite3.Connection | None = None
        self._inbox: SimpleQueue[SqliteTransaction | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def enter(self, transaction: SqliteTransaction) -> None:
        """Queue a transaction."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="orderway-transaction", daemon=True)
            self._thread.start()
        self._inbox.put(transaction)

    async def close(self) -> None:
        """End the thread once what was queued is over."""
        if self._thread is not None:
            self._inbox.put(None)
            await asyncio.to_thread(self._thread.join)
        self._lock.close()

    def look_up(self, operation: Record) -> bool | None:
        """Whether a commit that gave no answer happened, read on a fresh connection; None if nobody can say."""
        self._disconnect()
        try:
            self._connection = self._connect()
            return perform(self._connection, self.writes.is_written([operation]))
        except (sqlite3.Error, Failed):
            return None

    def _serve(self) -> None:
        while (transaction := self._inbox.get()) is not None:
            try:
                self._lock.acquire(self._lock_timeout_s)
            except Exception as error:  # noqa: BLE001 nothing may end the thread: others stand in line behind it
                transaction.over = str(error)
            else:
                try:
                    self._serve_locked(transaction)
                finally:
                    self._lock.release()
            transaction.refuse_rest()
        self._disconnect()

    def _serve_locked(self, transaction: SqliteTransaction) -> None:
        try:
            if self._connection is None:
                self._connection = self._connect()
            self._run(self._connection, transaction)
            if self._connection is not None:
                self._connection.set_progress_handler(None, 0)
                roll_back(self._connection)
        except Exception as error:  # noqa: BLE001 a broken connection or a mistake of ours must not end the thread
            self._disconnect()
            transaction.over = transaction.over or str(error)

    def _run(self, connection: sqlite3.Connection, transaction: SqliteTransaction) -> None:
        """Run a transaction until it is over; leaves what was not committed to be rolled back."""
        deadline = monotonic() + transaction.time_limit_s
        connection.set_progress_handler(lambda: monotonic() > deadline, 20_000)
        connection.execute("BEGIN IMMEDIATE")
        fence(connection, self._epoch)
        while not transaction.over:
            try:
                item = transaction.jobs.get(timeout=max(0.0, deadline - monotonic()))
            except Empty:
                transaction.over = f"it took longer than its limit of {transaction.time_limit_s} s and was rolled back"
                return
            if item is None:
                transaction.over = "it has ended"
                return
            job, future = item
            try:
                result = job(connection)
            except Exception as error:  # noqa: BLE001 whatever it is belongs to the caller
                if monotonic() > deadline:
                    transaction.over = f"it took longer than its limit of {transaction.time_limit_s} s"
                elif not transaction.over and (is_environment(error) or is_environment(error.__cause__)):
                    transaction.over = f"SQLite failed: {error}"
                    self._disconnect()
                transaction.fail(future, unavailable(error) if is_environment(error) else error)
            else:
                transaction.succeed(future, result)
            if not transaction.over and not connection.in_transaction:
                # ``OR ROLLBACK`` and triggers can do so: what came after it would be committed statement by statement.
                transaction.over = "it was rolled back"

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):  # it has failed already; a new one is opened in its place
                connection.close()


def _execute(connection: sqlite3.Connection, sql: str, parameters: Parameters) -> sqlite3.Cursor:
    check_statement(sql)
    try:
        return connection.execute(sql, bound(parameters))
    except (sqlite3.Error, *BAD_VALUE) as error:
        raise refused_statement(sql, error) from error


def _set_result(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)


def _set_exception(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
