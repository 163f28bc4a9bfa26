"""The SQLite adapters pass every conformance suite, in one file and spread over two, from one and two processes."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from orderway.adapters import Ports, open_ports
from orderway.sql.shards import ShardMap
from orderway.testing.conformance import (
    PROCESSES,
    ROWS,
    Backend,
    Connection,
    LedgerConformance,
    MailboxConformance,
    ParkingConformance,
    SequenceConformance,
    StoreConformance,
    WorkersConformance,
)


class SqliteBackend:
    """One file, or several; a connection is a whole set of adapters of its own, with its own writer threads."""

    capabilities = frozenset({PROCESSES, ROWS})

    def __init__(self, folder: Path, shards: int, databases: int) -> None:
        self.paths = [folder / f"orders-{number}.db" for number in range(databases)]
        self.url = [f"sqlite:///{path}" for path in self.paths]
        self.shards = shards
        self.opened: list[Ports] = []

    async def connect(self) -> Connection:
        ports = await open_ports(self.url, shards=self.shards)
        self.opened.append(ports)
        return Connection(ports.store, ports.workers, ports.ledger, ports.sequence, ports.parking, ports.mailbox)

    async def execute(self, sql: str) -> None:
        for path in self.paths:
            await asyncio.to_thread(self._run, path, sql)

    async def fetch(self, sql: str) -> list[tuple[Any, ...]]:
        shards = ShardMap.even(self.shards, len(self.paths))
        database = shards.databases[shards.of_uid("u")] if shards.databases else 0
        return await asyncio.to_thread(self._run, self.paths[database], sql)

    async def close(self) -> None:
        for ports in self.opened:
            await ports.close()

    def _run(self, path: Path, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(path, timeout=30)) as connection, connection:
            return connection.execute(sql).fetchall()


@pytest.fixture(params=[(1, 1), (3, 1), (3, 2)], ids=["1-shard", "3-shards", "3-shards-2-databases"])
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backend]:
    backend = SqliteBackend(tmp_path, *request.param)
    yield backend
    await backend.close()


class TestStore(StoreConformance):
    pass


class TestWorkers(WorkersConformance):
    pass


class TestLedger(LedgerConformance):
    pass


class TestSequence(SequenceConformance):
    pass


class TestParking(ParkingConformance):
    pass


class TestMailbox(MailboxConformance):
    pass
