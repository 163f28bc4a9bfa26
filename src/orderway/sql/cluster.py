"""The databases that one set of orders is spread over, and which of them an order, a user or a shard lives in."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from orderway.sql.database import Database
from orderway.sql.shards import ShardMap
from orderway.sql.tables import ShardTables

__all__ = ["Cluster"]


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

    @property
    def shards(self) -> ShardMap:
        """The shard map."""
        return self.home.shards

    async def start(self) -> None:
        """Open all databases; if one of them cannot be opened, none is. See ``Store.start``."""
        opened = await asyncio.gather(*(database.start() for database in self.databases), return_exceptions=True)
        problem = next((result for result in opened if isinstance(result, BaseException)), None)
        if problem is not None:
            await self.close()
            raise problem

    async def close(self) -> None:
        """Close all databases. Idempotent."""
        await asyncio.gather(*(database.close() for database in self.databases))

    def of_order(self, order_id: str) -> Database:
        """The database that this order lives in.

        Raises:
            InvalidValue: this is no order id.
        """
        shard = self.shards.of_order(order_id)
        return self._only or self._of_shard(shard)

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
