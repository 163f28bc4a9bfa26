"""A SQLite file with its ports, and connections that count commits and fail when they are told to."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from orderway.sql.dialects.sqlite import SqliteDatabase
from orderway.sql.ledger import SqlLedger
from orderway.sql.parking import SqlParking
from orderway.sql.sequence import SqlSequence
from orderway.sql.store import SqlStore
from orderway.sql.workers import SqlWorkers


@dataclass
class Faults:
    """What the connections made with ``connection`` shall do at COMMIT, once."""

    at_commit: Callable[[Callable[[], Any]], Any] | None = None
    commits: int = 0
    opened: list[sqlite3.Connection] = field(default_factory=list)
    refuse_to_open: bool = False

    @property
    def connection(self) -> type[sqlite3.Connection]:
        faults = self

        class FaultyConnection(sqlite3.Connection):
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                if faults.refuse_to_open:
                    raise sqlite3.OperationalError("disk I/O error")
                super().__init__(*args, **kwargs)
                faults.opened.append(self)

            def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
                if sql != "COMMIT":
                    return super().execute(sql, *args)
                faults.commits += 1
                fault, faults.at_commit = faults.at_commit, None
                if fault is None:
                    return super().execute(sql)
                return fault(lambda: super(FaultyConnection, self).execute(sql))

        return FaultyConnection


@dataclass
class Opened:
    """An open database and the adapters over it."""

    database: SqliteDatabase
    store: SqlStore
    ledger: SqlLedger
    workers: SqlWorkers
    sequence: SqlSequence
    parking: SqlParking

    def run(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run a statement on a connection that Orderway knows nothing of."""
        connection = sqlite3.connect(self.database.path, isolation_level=None)
        try:
            return connection.execute(sql, parameters).fetchall()
        finally:
            connection.close()


Open = Callable[..., Awaitable[Opened]]
