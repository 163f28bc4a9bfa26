"""The workers' table in a SQL database."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import select

from orderway.sql.database import Database
from orderway.sql.operations import Beat, Bury, Join

__all__ = ["SqlWorkers"]


class SqlWorkers:
    """The ``Workers`` port; see there for what each method promises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def join(self, incarnation: int, name: str) -> None:
        """Enter a new incarnation with counter 0."""
        await self._database.write(Join(incarnation, name))

    async def beat(self, incarnation: int) -> bool:
        """Count the incarnation's counter up by one; False if it was declared dead."""
        return await self._database.write(Beat(incarnation))

    async def counters(self) -> Mapping[int, int]:
        """The counters of all incarnations in the table."""
        workers = self._database.tables.common.workers.c
        return {row[0]: row[1] for row in await self._database.fetch(select(workers.incarnation, workers.beats))}

    async def names(self) -> Mapping[int, str]:
        """The names of all incarnations in the table."""
        workers = self._database.tables.common.workers.c
        return {row[0]: row[1] for row in await self._database.fetch(select(workers.incarnation, workers.name))}

    async def bury(self, incarnation: int) -> None:
        """Take an incarnation out of the table."""
        await self._database.write(Bury(incarnation))
