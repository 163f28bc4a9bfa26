"""Plain connections of the fastest asyncio drivers: what the original's protocol runs on, and what fills and audits.

Statements have ``?`` where values go, whatever the driver wants instead.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

__all__ = ["Plain", "Run", "connect_mysql", "connect_postgresql", "connect_sqlite"]

Run = Callable[..., Awaitable[Any]]
"""A statement that is ready: called with its values, it runs and commits."""


class Plain(Protocol):
    """One connection; each statement commits by itself."""

    def ready(self, sql: str) -> Run:
        """Make a statement ready to be run again and again."""

    async def run(self, sql: str) -> None:
        """Run one statement."""

    async def fetch(self, sql: str) -> Sequence[Sequence[Any]]:
        """Run one query; returns its rows."""

    async def close(self) -> None:
        """Disconnect."""


class _Postgresql:
    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.run = connection.execute
        self.fetch = connection.fetch
        self.close = connection.close

    def ready(self, sql: str) -> Run:
        numbers = count(1)
        numbered = re.sub(r"\?", lambda _: f"${next(numbers)}", sql)
        execute = self._connection.execute  # prepares it once, and keeps it

        async def run(*values: Any) -> None:
            await execute(numbered, *values)

        return run


class _Mysql:
    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.run = connection.query
        self.close = connection.ensure_closed

    def ready(self, sql: str) -> Run:
        formatted = sql.replace("%", "%%").replace("?", "%s")
        # One round trip and no cursor: the fastest way that the driver has.
        query, literal = self._connection.query, self._connection.literal

        async def run(*values: Any) -> None:
            await query(formatted % tuple(map(literal, values)))

        return run

    async def fetch(self, sql: str) -> Sequence[Sequence[Any]]:
        async with self._connection.cursor() as cursor:
            await cursor.execute(sql)
            rows: Sequence[Sequence[Any]] = await cursor.fetchall()
            return rows


class _Sqlite:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def ready(self, sql: str) -> Run:
        async def run(*values: Any) -> None:
            self._connection.execute(sql, values)

        return run

    async def run(self, sql: str) -> None:
        self._connection.execute(sql)

    async def fetch(self, sql: str) -> Sequence[Sequence[Any]]:
        return self._connection.execute(sql).fetchall()

    async def close(self) -> None:
        self._connection.close()


async def connect_postgresql(url: str) -> Plain:
    """On asyncpg."""
    import asyncpg

    return _Postgresql(await asyncpg.connect(url))


async def connect_mysql(url: str) -> Plain:
    """On asyncmy."""
    import asyncmy

    parts = urlsplit(url)
    connection = await asyncmy.connect(
        host=parts.hostname,
        port=parts.port,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        db=parts.path.lstrip("/"),
        autocommit=True,
    )
    return _Mysql(connection)


async def connect_sqlite(url: str) -> Plain:
    """On the standard library's sqlite3. Nothing is measured on it, and nothing on it need be durable."""
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -262144")
    return _Sqlite(connection)
