"""Links under test: what they send, and when they wait for a lock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from orderway.sql.dialects.postgresql.link import PostgresqlLink

Connection = asyncpg.Connection
Connect = Callable[[], Awaitable[PostgresqlLink]]


@asynccontextmanager
async def sent_by(link: PostgresqlLink) -> AsyncIterator[list[str]]:
    """What the link sends inside, complete when it is left: each is one trip, once its statement is prepared."""
    sent: list[str] = []

    def note(record: Any) -> None:
        sent.append(record.query)

    link._connection.add_query_logger(note)
    yield sent
    await asyncio.sleep(0)  # the driver tells it in the loop's next turn
    link._connection.remove_query_logger(note)


async def until_blocked_by(connection: Connection) -> None:
    """Returns when somebody waits for a lock of this connection."""
    blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
    await until(connection, blocked)


async def until(connection: Connection, query: str) -> None:
    """Returns when the query's one value is true."""
    async with asyncio.timeout(60):
        while not await connection.fetchval(query):
            continue
