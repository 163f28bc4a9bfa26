"""Fixtures: a SQLite file, opened as often as a test wants, and closed after it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlite_file import Faults, Open, Opened

from orderway.sql.cluster import Cluster
from orderway.sql.dialects.sqlite import SqliteDatabase
from orderway.sql.ledger import SqlLedger
from orderway.sql.parking import SqlParking
from orderway.sql.schema import Expected
from orderway.sql.sequence import SqlSequence
from orderway.sql.shards import ShardMap
from orderway.sql.store import SqlStore
from orderway.sql.workers import SqlWorkers


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
async def open_file(tmp_path: Path) -> AsyncIterator[Open]:
    opened: list[SqliteDatabase] = []

    async def open_one(*, shards: int | None = None, **options: Any) -> Opened:
        expected = Expected(None if shards is None else ShardMap.even(shards))
        database = SqliteDatabase(tmp_path / "orders.db", expected=expected, **options)
        await database.start()
        opened.append(database)
        cluster = Cluster([database])
        return Opened(
            database,
            SqlStore(cluster),
            SqlLedger(cluster),
            SqlWorkers(cluster),
            SqlSequence(cluster),
            SqlParking(cluster),
        )

    yield open_one
    for database in opened:
        await database.close()
