"""The user's own tables in the databases of the orders, reached by the drivers alone."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any
from urllib.parse import unquote, urlsplit

from anyio.from_thread import start_blocking_portal

__all__ = ["Goods"]


class Goods:
    """A connection to each database. It blocks until its statements are done, also on an event loop's thread.

    Args:
        urls: ``postgresql://...`` or ``mysql://...``, of databases that together hold the orders.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = urls
        self._opened = ExitStack()
        self._connections: list[_Postgresql | _Mysql] = []

    def execute(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement in every database, commit it, and return the rows of all."""
        if not self._connections:
            self._portal = self._opened.enter_context(start_blocking_portal())
            for url in self._urls:
                connection = _Postgresql(url) if url.startswith("postgres") else _Mysql(url)
                self._portal.call(connection.open)
                self._opened.callback(self._portal.call, connection.close)
                self._connections.append(connection)
        return [row for connection in self._connections for row in self._portal.call(connection.execute, sql)]

    def close(self) -> None:
        """Disconnect. Idempotent."""
        self._connections.clear()
        self._opened.close()


class _Postgresql:
    def __init__(self, url: str) -> None:
        self._url = url

    async def open(self) -> None:
        import asyncpg

        self._connection = await asyncpg.connect(self._url)

    async def execute(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await self._connection.fetch(sql)]

    async def close(self) -> None:
        await self._connection.close()


class _Mysql:
    def __init__(self, url: str) -> None:
        self._url = url

    async def open(self) -> None:
        import asyncmy

        parts = urlsplit(self._url)
        self._connection = await asyncmy.connect(
            host=parts.hostname or "localhost",
            port=parts.port or 3306,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            database=unquote(parts.path[1:]),
            autocommit=True,
        )

    async def execute(self, sql: str) -> list[tuple[Any, ...]]:
        async with self._connection.cursor() as cursor:
            await cursor.execute(sql)
            return list(await cursor.fetchall())

    async def close(self) -> None:
        await self._connection.ensure_closed()
