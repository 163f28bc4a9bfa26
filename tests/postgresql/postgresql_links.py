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
    me = await connection.fetchval("SELECT pg_backend_pid()")
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND $1::int = ANY(pg_blocking_pids(pid))"
    while not await connection.fetchval(waiting, me):
        continue
