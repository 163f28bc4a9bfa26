"""One SQLite file as a database: a writer, two readers, and a thread for the user's own transactions."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, TypeVar

from orderway.core.order import Order
from orderway.errors import ConfigError, Unavailable, WrongThread
from orderway.sql.commit import GroupCommit
from orderway.sql.compiled import CompiledQueries
from orderway.sql.database import Query, Tables
from orderway.sql.dialects.sqlite.connect import ConnectionFactory, connect
from orderway.sql.dialects.sqlite.errors import is_read_only, may_not_write, unavailable
from orderway.sql.dialects.sqlite.lock import FileLock, LockTimeout
from orderway.sql.dialects.sqlite.perform import SQLITE
from orderway.sql.dialects.sqlite.reader import Reader
from orderway.sql.dialects.sqlite.schema import prepare, require
from orderway.sql.dialects.sqlite.threads import BatchThread
from orderway.sql.dialects.sqlite.transaction import SqliteTransaction, TransactionThread
from orderway.sql.dialects.sqlite.writer import Writer
from orderway.sql.operations import Claim, Fetch, Get, Operation
from orderway.sql.schema import Expected, Stored
from orderway.sql.shards import ShardMap
from orderway.sql.writes import Writes

__all__ = ["SqliteDatabase"]

T = TypeVar("T")


class SqliteDatabase:
    """A SQLite file. Bound to the event loop that it is started on; any number of them may be open at once.

    Args:
        path: the file; ``<path>-lock`` beside it is the lock between processes.
        expected: the shard map, and which of the databases that belong together this one is.
        create: make a missing file, and missing tables; without it, only a database of Orderway is opened.
        lock_timeout_s: how long a write waits for other processes and for transactions of the user's own.
        largest_batch: at most this many operations a transaction.
        most_waiting: past this many waiting operations, callers stand in line.
        factory: the class of the connections that write; tests give one that fails.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        expected: Expected = Expected(),  # noqa: B008 it is immutable
        create: bool = True,
        lock_timeout_s: float = 10.0,
        largest_batch: int = 1024,
        most_waiting: int = 8192,
        factory: ConnectionFactory = sqlite3.Connection,
    ) -> None:
        self._path = Path(path).absolute()
        self._expected = expected
        self._create = create
        self._lock_timeout_s = lock_timeout_s
        self._largest_batch = largest_batch
        self._most_waiting = most_waiting
        self._factory = factory
        self.on_commit: Callable[[int, float], None] | None = None
        self._engine: _Engine | None = None

    @property
    def where(self) -> str:
        """Where it is, for messages."""
        return str(self._path)

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def number(self) -> int:
        """Which of the databases that belong together it is, from 0."""
        return self._open().stored.database

    @property
    def shards(self) -> ShardMap:
        """The shard map stored in it."""
        return self._open().stored.shards

    @property
    def epoch(self) -> int:
        """The epoch of the shard map."""
        return self._open().stored.epoch

    @property
    def tables(self) -> Tables:
        """Its tables."""
        return self._open().tables

    @property
    def writer(self) -> GroupCommit:
        """The group commit in front of the writer."""
        return self._open().commits

    async def start(self, *, create: bool = True) -> None:
        """Open the file, make it where there is none, and check schema and shard map: see ``Database.start``."""
        if self._engine is not None:
            return
        stored = await asyncio.to_thread(self._prepare, create and self._create)
        self._engine = _Engine(self, stored)

    async def close(self) -> None:
        """Finish what was accepted, and disconnect. Idempotent."""
        engine, self._engine = self._engine, None
        if engine is not None and engine.pid == os.getpid():
            await engine.close()

    def write(self, operation: Operation[T]) -> asyncio.Future[T]:
        """Have an operation done by the writer, in a group commit."""
        return (self._engine or self._open()).commits.submit(operation)

    def get(self, order_id: str) -> asyncio.Future[Order[Any]]:
        """Read an order, together with others that are asked for at the same time."""
        engine = self._open()
        engine.stored.shards.of_order(order_id)  # refuses what is no order id, before others share its fate
        return engine.gets.submit(Get(order_id))

    async def due(self, claim: Claim) -> Sequence[tuple[int, str, int]]:
        """``due_at_us``, id and shard of what this claim would find, in any order, perhaps too many; costs no write."""
        engine = self._open()
        queries = engine.writes.orders.due(claim, claim.limit)
        found = await asyncio.gather(*(engine.gets.submit(Fetch(each.sql, each.values)) for each in queries))
        return [(due_at_us, order_id, shard) for rows in found for due_at_us, order_id, shard in rows]

    async def fetch(self, query: Query, **values: Any) -> Sequence[Sequence[Any]]:
        """Run a query, out of the way of ``get`` and of the writer; returns all rows."""
        engine = self._open()
        return await engine.scans.submit(engine.queries.fetch(query, values))

    async def now_us(self) -> int:
        """Its own time in microseconds since 1970, UTC, some time between call and return."""
        engine = self._open()
        [[now_us]] = await engine.scans.submit(Fetch(SQLITE.now, ()))
        return int(now_us)

    async def check_rights(self, but: Collection[str] = ()) -> None:
        """See whether it may be written to, as a whole, without writing: see ``Database.check_rights``."""
        self._open()
        await asyncio.to_thread(self._begin_to_write)

    def _begin_to_write(self) -> None:
        try:
            with closing(self.connect()) as connection:
                connection.execute("BEGIN IMMEDIATE")  # which is no write yet
                connection.execute("UPDATE ow_meta SET epoch = epoch WHERE 1 = 0")
                connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise (may_not_write(error, self.where) if is_read_only(error) else unavailable(error)) from error

    @asynccontextmanager
    async def transaction(self, time_limit_s: float) -> AsyncIterator[SqliteTransaction]:
        """As ``Store.transaction``."""
        transaction = SqliteTransaction(self._open().transactions, time_limit_s)
        try:
            await transaction.begin()
            yield transaction
        finally:
            await transaction.end()

    def connect(self) -> sqlite3.Connection:
        """A connection for writing."""
        return connect(self._path, busy_timeout_s=self._lock_timeout_s, factory=self._factory)

    def connect_reader(self) -> sqlite3.Connection:
        """A connection for reading."""
        connection = connect(self._path, busy_timeout_s=self._lock_timeout_s)
        connection.execute("PRAGMA query_only = ON")
        return connection

    def lock(self) -> FileLock:
        """A lock object for one more thread that writes."""
        return FileLock(self._path.with_name(f"{self._path.name}-lock"))

    def _prepare(self, create: bool) -> Stored:
        if not create:
            require(self._path, self._expected)
        try:
            lock = self.lock()
        except PermissionError as error:
            raise may_not_write(error, self.where) from error
        except OSError as error:
            raise ConfigError(f"{self._path} cannot be opened: {error.strerror}; its folder must exist") from error
        try:
            lock.acquire(self._lock_timeout_s)
            try:
                connection = self.connect()
                try:
                    return prepare(connection, self._expected, str(self._path))
                finally:
                    connection.close()
            finally:
                lock.release()
        except (LockTimeout, sqlite3.OperationalError) as error:
            raise (may_not_write(error, self.where) if is_read_only(error) else unavailable(error)) from error
        except sqlite3.DatabaseError as error:
            raise ConfigError(f"{self._path} cannot be used: {error}") from error
        finally:
            lock.close()

    def _open(self) -> _Engine:
        engine = self._engine
        if engine is None:
            raise Unavailable(f"{self._path} is not open: nothing was done")
        if engine.pid != os.getpid():
            raise WrongThread(f"{self._path} was opened before this process was forked: open it anew after the fork")
        return engine


class _Engine:
    """The threads of an open file."""

    def __init__(self, database: SqliteDatabase, stored: Stored) -> None:
        self.pid = os.getpid()
        self.stored = stored
        own = stored.shards.of_database(stored.database)
        self.tables = Tables(own)
        self.writes = Writes(SQLITE, stored.shards, own)
        timeout_s = database._lock_timeout_s
        self._writer = Writer(database.connect, database.lock(), timeout_s, self.writes, stored.epoch)
        self._readers = [Reader(database.connect_reader, self.writes.orders) for _ in range(2)]
        runs = (self._writer.run, self._readers[0].run, self._readers[1].run)
        names = ("orderway-writer", "orderway-reader", "orderway-scanner")
        self._threads = [BatchThread(name, run) for name, run in zip(names, runs, strict=True)]
        bounds = {"largest_batch": database._largest_batch, "most_waiting": database._most_waiting}
        self.commits, self.gets, self.scans = (GroupCommit(thread.begin, **bounds) for thread in self._threads)
        self.commits.on_commit = database.on_commit
        self.queries = CompiledQueries(SQLITE)
        self.transactions = TransactionThread(database.connect, database.lock(), timeout_s, self.writes, stored.epoch)

    async def close(self) -> None:
        for group in (self.commits, self.gets, self.scans):
            await group.close()
        for thread in self._threads:
            await thread.close()
        await self.transactions.close()
        self._writer.close()
        for reader in self._readers:
            reader.close()
