"""The databases that are to fail: what the tests see of them past the package and past the proxy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import asyncmy
import asyncpg

__all__ = ["Session", "open_session"]


class Session(Protocol):
    """A connection of a bare driver. Without ``begin`` each statement commits by itself."""

    async def run(self, sql: str) -> list[tuple[Any, ...]]:
        """Run one statement; its rows."""

    async def is_waited_for(self) -> bool:
        """Whether somebody waits for a lock in this database."""


class _Postgresql:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def run(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await self._connection.fetch(sql)]

    async def is_waited_for(self) -> bool:
        here = "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        return bool(await self.run(f"SELECT 1 FROM pg_locks WHERE NOT granted AND pid IN ({here})"))


class _Mariadb:
    def __init__(self, connection: Any, database: str) -> None:
        self._connection = connection
        self._database = database

    async def run(self, sql: str) -> list[tuple[Any, ...]]:
        async with self._connection.cursor() as cursor:
            await cursor.execute(sql)
            return list(await cursor.fetchall()) if cursor.description else []

    async def is_waited_for(self) -> bool:
        [(version,)] = await self.run("SELECT VERSION()")
        if "MariaDB" not in version:
            return bool(await self.run("SELECT 1 FROM performance_schema.data_lock_waits"))
        # Not the tables of the information schema: they show what was, as long as they are asked all the time.
        [(_, _, status)] = await self.run("SHOW ENGINE INNODB STATUS")
        return any(f"`{self._database}`" in line and line.endswith("waiting") for line in status.splitlines())


@asynccontextmanager
async def open_session(url: str) -> AsyncIterator[Session]:
    """A session of a bare driver."""
    parts = urlsplit(url)
    if parts.scheme == "postgresql":
        connection = await asyncpg.connect(url)
        try:
            yield _Postgresql(connection)
        finally:
            await connection.close()
        return
    connection = await asyncmy.connect(
        host=parts.hostname,
        port=parts.port,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or "").encode(),
        database=parts.path[1:],
        autocommit=True,
    )
    try:
        yield _Mariadb(connection, parts.path[1:])
    finally:
        await connection.ensure_closed()
