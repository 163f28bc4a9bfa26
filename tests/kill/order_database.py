"""The database of the orders, reached by its driver alone: nothing here knows of the package."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import asyncmy
import asyncpg
from asyncmy.cursors import DictCursor

__all__ = ["OrderDatabase", "open_database"]

Row = dict[str, Any]


class OrderDatabase(Protocol):
    """A connection of its own; each statement commits by itself."""

    list_tables: str
    """A query for the names of all tables, as ``name``."""

    async def fetch(self, sql: str) -> list[Row]:
        """The rows of a query, by the names of their columns."""

    async def execute(self, sql: str) -> int:
        """Run a statement; returns how many rows it touched."""


@asynccontextmanager
async def open_database(url: str) -> AsyncIterator[OrderDatabase]:
    """Connect to the database with this URL."""
    match urlsplit(url).scheme:
        case "sqlite":
            with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=30, isolation_level=None)) as file:
                yield _Sqlite(file)
        case "postgresql":
            postgresql = await asyncpg.connect(url)
            try:
                yield _Postgresql(postgresql)
            finally:
                await postgresql.close()
        case _:
            mysql = await _connect_mysql(url)
            try:
                yield _Mysql(mysql)
            finally:
                await mysql.ensure_closed()


class _Sqlite:
    list_tables = "SELECT name FROM sqlite_master WHERE type = 'table'"

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.row_factory = sqlite3.Row

    async def fetch(self, sql: str) -> list[Row]:
        return [dict(row) for row in self._connection.execute(sql)]

    async def execute(self, sql: str) -> int:
        return self._connection.execute(sql).rowcount


class _Postgresql:
    list_tables = "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'"

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def fetch(self, sql: str) -> list[Row]:
        return [dict(row) for row in await self._connection.fetch(sql)]

    async def execute(self, sql: str) -> int:
        touched = str(await self._connection.execute(sql)).rpartition(" ")[2]
        return int(touched) if touched.isdecimal() else 0


class _Mysql:
    list_tables = "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = DATABASE()"

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def fetch(self, sql: str) -> list[Row]:
        async with self._connection.cursor(DictCursor) as cursor:
            await cursor.execute(sql)
            return list(await cursor.fetchall())

    async def execute(self, sql: str) -> int:
        async with self._connection.cursor() as cursor:
            return int(await cursor.execute(sql))


async def _connect_mysql(url: str) -> Any:
    parts = urlsplit(url)
    return await asyncmy.connect(
        host=parts.hostname,
        port=parts.port,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=parts.path[1:],
        autocommit=True,
    )
