"""Points at which a process really dies: around each call of the engine, and around each statement to its database."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sqlite3
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncmy
import asyncpg

from orderway.testing.crash import CrashPoints

__all__ = ["KillPoints", "kill_at_trips", "killing_connection"]


class KillPoints(CrashPoints):
    """Points at one of which this process really dies."""

    folder: Path
    die_at: str | None
    nth: int

    def arm(self, folder: Path, die_at: str | None, nth: int) -> None:
        """Say where to die."""
        self.folder, self.die_at, self.nth = folder, die_at, nth
        self.passes: Counter[str] = Counter()
        self.lock = threading.Lock()

    def _arrive(self, name: str, error: Exception, *, can_freeze: bool) -> bool:
        self.pass_point(name)
        return False

    def pass_point(self, name: str) -> None:
        """Count a point, and die if it is the one."""
        with self.lock:
            self.passes[name] += 1
            if name == self.die_at and self.passes[name] == self.nth:
                (self.folder / "died-at").write_text(name)
                os.kill(os.getpid(), signal.SIGKILL)


# ---- SQLite: each statement of a write transaction

_FIRST_WORDS = re.compile(r"(BEGIN|COMMIT|INSERT INTO \w+?|UPDATE \w+?)(?=_\d|\W|$)")


def killing_connection(points: KillPoints) -> type[sqlite3.Connection]:
    """Connections with a point before and after each statement of a write transaction."""

    class KillingConnection(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:  # type: ignore[override]
            match = _FIRST_WORDS.match(sql)
            if match is None:
                return super().execute(sql, *parameters)
            points.pass_point(f"before sql {match.group(1)}")
            cursor = super().execute(sql, *parameters)
            points.pass_point(f"after sql {match.group(1)}")
            return cursor

    return KillingConnection


# ---- databases behind a network: each trip to the server, which may carry several statements

_BEGIN = re.compile(r"BEGIN\b")
_COMMIT = re.compile(r"\bCOMMIT\s*$")
_WRITE = re.compile(r"\b(?:INSERT INTO|(?<!FOR )UPDATE|DELETE FROM)\b")
_LOCK = re.compile(r"\bFOR UPDATE\b")
_TABLE = re.compile(r"\b(goods|came_back|ow_[a-z]+)")
_MOST_TELLING = ("goods", "came_back", "ow_orders", "ow_postings", "ow_accounts", "ow_workers")


def trip_of(sql: str) -> str | None:
    """What a trip is called, by what it does to the most telling of its tables; None if it only reads."""
    does = "write" if _WRITE.search(sql) else "lock" if _LOCK.search(sql) else ""
    if not does:
        return "BEGIN" if _BEGIN.match(sql) else "COMMIT" if _COMMIT.search(sql) else None
    tables = set(_TABLE.findall(sql))
    told = next((table for table in _MOST_TELLING if table in tables), "others")
    return f"{does} {told}{' and commit' if _COMMIT.search(sql) else ''}"


def kill_at_trips(points: KillPoints) -> None:
    """Have the drivers' connections pass a point before each trip that writes, while it is under way, and after it.

    A server goes on with what is under way when its client dies, and may commit it.
    """

    async def travel(trip: str, go: Callable[[], Awaitable[Any]]) -> Any:
        points.pass_point(f"before trip {trip}")
        task = asyncio.ensure_future(go())
        await asyncio.sleep(0)  # the task runs until it waits for the answer: what it says has been sent
        points.pass_point(f"during trip {trip}")
        return await task

    class Postgresql(asyncpg.Connection):
        async def execute(self, query: str, *values: Any, timeout: float | None = None) -> str:
            return str(await self._travel(query, lambda: asyncpg.Connection.execute(self, query, *values)))

        async def fetch(self, query: str, *values: Any, **options: Any) -> list[Any]:
            return list(await self._travel(query, lambda: asyncpg.Connection.fetch(self, query, *values, **options)))

        async def _travel(self, sql: str, go: Callable[[], Awaitable[Any]]) -> Any:
            trip = trip_of(sql)
            if trip is None:
                return await go()
            answer = await travel(trip, go)
            points.pass_point(f"after trip {trip}")
            return answer

    class Mysql:
        """One packet of statements is one trip: it is over when the answer to its last statement is there."""

        def __init__(self, connection: Any) -> None:
            self._connection = connection
            self._trip: str | None = None

        def __getattr__(self, name: str) -> Any:
            return getattr(self._connection, name)

        async def query(self, sql: bytes) -> Any:
            self._trip = trip_of(sql.decode())
            if self._trip is None:
                return await self._connection.query(sql)
            answer = await travel(self._trip, lambda: self._connection.query(sql))
            self._look_for_the_end()
            return answer

        async def next_result(self) -> Any:
            answer = await self._connection.next_result()
            self._look_for_the_end()
            return answer

        def _look_for_the_end(self) -> None:
            if self._trip is not None and not self._connection._result.has_next:
                points.pass_point(f"after trip {self._trip}")
                self._trip = None

    connect_postgresql, connect_mysql = asyncpg.connect, asyncmy.connect

    async def postgresql(*arguments: Any, **named: Any) -> Any:
        return await connect_postgresql(*arguments, connection_class=Postgresql, **named)

    async def mysql(**named: Any) -> Any:
        return Mysql(await connect_mysql(**named))

    asyncpg.connect, asyncmy.connect = postgresql, mysql
