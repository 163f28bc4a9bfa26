"""One database reached over a network: a writer, two readers, and connections for the user's own transactions."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from orderway.core.order import Order
from orderway.errors import Unavailable, WrongThread
from orderway.sql.commit import GroupCommit
from orderway.sql.compiled import CompiledQueries
from orderway.sql.database import Query, Tables
from orderway.sql.network.line import Line
from orderway.sql.network.link import Server
from orderway.sql.network.reader import Reader
from orderway.sql.network.schema import prepare
from orderway.sql.network.transaction import NetworkTransaction, Transactions
from orderway.sql.network.writer import Writer
from orderway.sql.operations import Claim, Fetch, Get, Operation
from orderway.sql.schema import Expected, Stored
from orderway.sql.shards import ShardMap
from orderway.sql.steps import Conflict, Failed, Refused
from orderway.sql.writes import Writes

__all__ = ["NetworkDatabase"]

T = TypeVar("T")


IDLE_S = 2
"""So long the writer may stand still within a transaction: less than it takes to be taken for dead."""
TOLD_TOGETHER = 32
"""Of a group commit's callers: enough to make the next one worth its trip, and done before the database is."""


class NetworkDatabase:
    """A database behind a server. Bound to the event loop that it is started on.

    Args:
        server: how it is reached.
        expected: the shard map, and which of the databases that belong together this one is.
        create: make missing tables; without it, only a database of Orderway is opened.
        answer_within_s: a database that is silent for longer has failed; also how long to wait for a connection.
        transactions: at most so many of the user's own at a time; further ones wait in line.
        largest_batch: at most this many operations a transaction.
        most_waiting: past this many waiting operations, callers stand in line.
    """

    def __init__(
        self,
        server: Server,
        *,
        expected: Expected = Expected(),  # noqa: B008 it is immutable
        create: bool = True,
        answer_within_s: float = 10.0,
        transactions: int = 4,
        largest_batch: int = 1024,
        most_waiting: int = 8192,
    ) -> None:
        self._server = server
        self._expected = expected
        self._create = create
        self._answer_within_s = answer_within_s
        self._most_transactions = transactions
        self._bounds = {"largest_batch": largest_batch, "most_waiting": most_waiting}
        self.on_commit: Callable[[int, float], None] | None = None
        self._engine: _Engine | None = None

    @property
    def where(self) -> str:
        """Where it is, for messages: without its password."""
        return self._server.where

    @property
    def number(self) -> int:
        """Which of the databases that belong together it is, from 0."""
        return self._open().stored.database

    @property
    def shards(self) -> ShardMap:
        """The shard map stored in it, of all databases that belong together."""
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
        """Connect, make the tables where there are none, and check schema and shard map: see ``Database.start``."""
        if self._engine is None:
            stored = await prepare(self._server, self._expected, create and self._create, self._answer_within_s)
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
        [[now_us]] = await engine.scans.submit(Fetch(self._server.dialect.now, ()))
        return int(now_us)

    async def check_rights(self, but: Collection[str] = ()) -> None:
        """See whether its user may read and write its tables, without touching a row; see ``Database.check_rights``.

        Raises:
            MissingRights: it may not; Unavailable: it does not answer, or not what was asked.
        """
        engine = self._open()
        line = self.line(engine.stored.epoch)
        tables = [table for table in engine.tables.metadata.sorted_tables if table.name not in but]
        try:
            link = await line.get()
            async with asyncio.timeout(line.answer_within_s):
                found = await link.perform(self._server.rights(tables))
        except (Failed, Refused, Conflict, TimeoutError) as error:
            raise line.unavailable(error) from error
        finally:
            await line.drop()
        found.check(self.where)

    @asynccontextmanager
    async def transaction(self, time_limit_s: float) -> AsyncIterator[NetworkTransaction]:
        """As ``Store.transaction``."""
        async with self._open().transactions.transaction(time_limit_s) as transaction:
            yield transaction

    def line(self, epoch: int, idle_s: int = 0) -> Line:
        """One more line to the database; see ``Server.connect``."""
        return Line(self._server, epoch, self._answer_within_s, idle_s)

    def _open(self) -> _Engine:
        engine = self._engine
        if engine is None:
            raise Unavailable(f"{self.where} is not open: nothing was done")
        if engine.pid != os.getpid():
            raise WrongThread(f"{self.where} was opened before this process was forked: open it anew after the fork")
        return engine


class _Engine:
    """The connections of an open database."""

    def __init__(self, database: NetworkDatabase, stored: Stored) -> None:
        self.pid = os.getpid()
        self.stored = stored
        dialect = database._server.dialect
        own = stored.shards.of_database(stored.database)
        self.tables = Tables(own)
        self.writes = Writes(dialect, stored.shards, own)
        self.queries = CompiledQueries(dialect)
        self._lines = [database.line(stored.epoch, IDLE_S) for _ in range(3)]
        writer = Writer(self._lines[0], self.writes)
        readers = [Reader(line, self.writes.orders) for line in self._lines[1:]]
        self.commits = GroupCommit(writer.begin, **database._bounds, told_together=TOLD_TOGETHER)
        self.commits.on_commit = database.on_commit
        self.gets, self.scans = (GroupCommit(reader.begin, **database._bounds) for reader in readers)
        self.transactions = Transactions(lambda: database.line(stored.epoch), self.writes, database._most_transactions)

    async def close(self) -> None:
        for group in (self.commits, self.gets, self.scans):
            await group.close()
        await self.transactions.close()
        for line in self._lines:
            await line.drop()
