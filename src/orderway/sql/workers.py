"""The workers' table, one in each database."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from sqlalchemy import Column, select

from orderway.sql.cluster import Cluster
from orderway.sql.database import Database
from orderway.sql.operations import Beat, Bury, Join

__all__ = ["SqlWorkers"]

T = TypeVar("T")


class SqlWorkers:
    """The ``Workers`` port, over one database or several; see there for what each method promises.

    Who holds an order is read where the order is, so that a worker beats in each database.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def join(self, incarnation: int, name: str) -> None:
        """Enter a new incarnation with counter 0."""

        async def join(database: Database) -> None:
            await database.write(Join(incarnation, name))

        await self._where_it_answers(join)

    async def beat(self, incarnation: int) -> bool:
        """Count the incarnation's counter up by one; False if it was declared dead anywhere."""

        async def beat(database: Database) -> bool:
            return await database.write(Beat(incarnation))

        return all(beaten is not False for beaten in await self._where_it_answers(beat))

    async def counters(self) -> Mapping[int, tuple[int | None, ...]]:
        """The counters of all incarnations, by database; None where it is not there, or where nobody answers."""
        each = await self._where_it_answers(lambda database: _by_incarnation(database, "beats"))
        incarnations = {incarnation for rows in each if rows for incarnation in rows}
        return {
            incarnation: tuple([None if rows is None else rows.get(incarnation) for rows in each])
            for incarnation in sorted(incarnations)
        }

    async def names(self) -> Mapping[int, str]:
        """The names of all incarnations in the tables."""
        names: dict[int, str] = {}
        for rows in await self._where_it_answers(lambda database: _by_incarnation(database, "name")):
            names |= rows or {}
        return names

    async def now_us(self) -> int | None:
        """The first database's own time."""
        return await self._cluster.home.now_us()

    async def bury(self, incarnation: int) -> None:
        """Take an incarnation out of the tables."""

        async def bury(database: Database) -> None:
            await database.write(Bury(incarnation))

        await self._where_it_answers(bury)

    async def _where_it_answers(self, ask: Callable[[Database], Coroutine[Any, Any, T]]) -> list[T | None]:
        """The answer of each database; None where there is none.

        Raises:
            Unavailable: there is none from any.
        """
        databases = self._cluster.databases
        answers = await self._cluster.ask(lambda number: ask(databases[number]))
        return [answers.get(number) for number in range(len(databases))]


async def _by_incarnation(database: Database, name: str) -> dict[int, Any]:
    workers = database.tables.common.workers.c
    column: Column[Any] = workers[name]
    return {row[0]: row[1] for row in await database.fetch(select(workers.incarnation, column))}
