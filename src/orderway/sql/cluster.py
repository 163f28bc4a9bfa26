"""The databases that one set of orders is spread over, and which of them an order, a user or a shard lives in."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from functools import partial
from time import monotonic
from typing import Any, TypeVar

from orderway.core.ids import slot_of_order
from orderway.errors import ConfigError, MissingRights, Unavailable
from orderway.sql.database import Database
from orderway.sql.schema import NoTables, out_of_place, traces
from orderway.sql.shards import ShardMap, not_alike
from orderway.sql.tables import ShardTables

__all__ = ["Cluster"]

logger = logging.getLogger("orderway")

T = TypeVar("T")
TELL_EVERY_S = 60.0
"""A right that is missing in one of several databases is told of so often: it answers, so nobody else sees it."""
PATIENCE_S = 0.5
"""So long the others wait for a silent database: less than a heartbeat may be late before its worker counts as dead."""


class Cluster:
    """One database or several, in the order in which the shard map names them.

    Args:
        databases: not started.
    """

    def __init__(self, databases: Sequence[Database]) -> None:
        self.databases = tuple(databases)
        self.home = self.databases[0]
        """Where that lives which belongs to no order and no user: sequences, parked payments."""
        self._only = self.home if len(self.databases) == 1 else None
        self._behind: dict[int, asyncio.Task[Any]] = {}
        self._told_at_s: dict[int, float] = {}

    @property
    def shards(self) -> ShardMap:
        """The shard map."""
        return self.home.shards

    async def start(self) -> None:
        """Open all databases; if one of them cannot be opened, none is. See ``Store.start``."""
        try:
            if self._only is not None:
                await self._only.start()
            else:
                await self._start_together()
        except BaseException:
            await self.close()
            raise

    async def _start_together(self) -> None:
        """Open several. An empty one is made only if the others hold nothing: else it stands in another's place."""
        empty = await self._open(self.databases)
        used = [each for each in self.databases if empty and each not in empty and await _is_used(each)]
        if used:
            empty = await self._open(empty)  # another process may have made them since, and have used them all
        if used and empty:
            raise out_of_place(empty[0].where, used[0].where)
        await self._open(empty, create=True)
        if problem := not_alike(self.databases):
            raise ConfigError(problem)

    async def _open(self, databases: Sequence[Database], *, create: bool = False) -> list[Database]:
        """Open those that have tables, or get them now; returns the others. Each has come to an end when it is over."""
        opened = await asyncio.gather(*(each.start(create=create) for each in databases), return_exceptions=True)
        for result in opened:
            if isinstance(result, BaseException) and (create or not isinstance(result, NoTables)):
                raise result
        return [each for each, result in zip(databases, opened, strict=True) if isinstance(result, NoTables)]

    async def ask(
        self, question: Callable[[int], Coroutine[Any, Any, T]], numbers: Iterable[int] | None = None
    ) -> dict[int, T]:
        """Ask several databases at once; the answers, by the database's number, of those that answer.

        One that is down, or silent for ``PATIENCE_S``, is left out: it keeps nobody from the others. A silent one is
        not asked again until it has answered, or failed; what it was asked may still happen.

        Args:
            question: asks the database of this number.
            numbers: of the databases to ask; None for all.

        Raises:
            Unavailable: none of them answers.
        """
        asked = range(len(self.databases)) if numbers is None else list(numbers)
        if len(self.databases) == 1:
            return {number: await question(number) for number in asked}
        tasks = {number: asyncio.create_task(question(number)) for number in asked if number not in self._behind}
        if not tasks:
            if not asked:
                return {}
            raise Unavailable(f"{self.databases[asked[0]].where} has not answered yet: nothing was done")
        for task in tasks.values():
            task.add_done_callback(_seen)
        await self._wait(tasks)
        done = {number: task for number, task in tasks.items() if task.done()}
        problems = {number: error for number, task in done.items() if (error := task.exception()) is not None}
        for number, error in problems.items():
            if not isinstance(error, Unavailable) or len(problems) == len(tasks):
                raise error
            if isinstance(error, MissingRights):
                self._tell(number, error)
        return {number: task.result() for number, task in done.items() if task.exception() is None}

    async def _wait(self, tasks: dict[int, asyncio.Task[T]]) -> None:
        """Wait for all, but no longer than it is worth; then for as many as it takes to have an answer."""
        _, pending = await asyncio.wait(tasks.values(), timeout=PATIENCE_S)
        while pending and len(pending) == len(tasks):
            _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for number, task in tasks.items():
            if task in pending:
                self._behind[number] = task
                task.add_done_callback(partial(self._caught_up, number))

    def _tell(self, number: int, error: MissingRights) -> None:
        now_s = monotonic()
        if now_s - self._told_at_s.get(number, -TELL_EVERY_S) >= TELL_EVERY_S:
            self._told_at_s[number] = now_s
            logger.warning("%s is left out, the others go on: %s", self.databases[number].where, error)

    def _caught_up(self, number: int, task: asyncio.Task[Any]) -> None:
        del self._behind[number]

    async def close(self) -> None:
        """Close all databases. Idempotent."""
        await asyncio.gather(*(database.close() for database in self.databases))

    def of_order(self, order_id: str) -> Database:
        """The database that this order lives in.

        Raises:
            InvalidValue: this is no order id.
        """
        if self._only is not None:
            slot_of_order(order_id)  # refuses what is none
            return self._only
        return self._of_shard(self.shards.of_order(order_id))

    def of_uid(self, uid: str) -> Database:
        """The database that this user's orders and accounts live in.

        Raises:
            InvalidValue: the uid is no Unicode text.
        """
        return self._only or self._of_shard(self.shards.of_uid(uid))

    def each_shard(self, first: int = 0) -> Iterator[tuple[Database, int, ShardTables]]:
        """All shards from this one on: their database, number and tables."""
        for shard in range(first, len(self.shards)):
            yield self.of_shard(shard)

    def of_shard(self, shard: int) -> tuple[Database, int, ShardTables]:
        """A shard's database, number and tables."""
        database = self._only or self._of_shard(shard)
        return database, shard, database.tables.shards[shard]

    def _of_shard(self, shard: int) -> Database:
        return self.databases[self.shards.databases[shard]]


async def _is_used(database: Database) -> bool:
    return any([await database.fetch(query) for query in traces(database.tables)])


def _seen(task: asyncio.Task[Any]) -> None:
    """Look at how a task ended: perhaps nobody waits for it any more."""
    if not task.cancelled():
        task.exception()
