"""The SQLite adapters pass every conformance suite, as one shard and as three, from one process and from two."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from orderway.adapters import Ports, open_ports
from orderway.testing.conformance import (
    PROCESSES,
    Backend,
    Connection,
    LedgerConformance,
    ParkingConformance,
    SequenceConformance,
    StoreConformance,
    WorkersConformance,
)


class SqliteBackend:
    """One file; a connection is a whole set of adapters of its own, with its own writer thread."""

    capabilities = frozenset({PROCESSES})

    def __init__(self, path: Path, shards: int) -> None:
        self.path = path
        self.url = f"sqlite:///{path}"
        self.shards = shards
        self.opened: list[Ports] = []

    async def connect(self) -> Connection:
        ports = await open_ports(self.url, shards=self.shards)
        self.opened.append(ports)
        return Connection(ports.store, ports.workers, ports.ledger, ports.sequence, ports.parking)

    async def execute(self, sql: str) -> None:
        await self.fetch(sql)

    async def fetch(self, sql: str) -> list[tuple[Any, ...]]:
        return await asyncio.to_thread(self._fetch, sql)

    async def close(self) -> None:
        for ports in self.opened:
            await ports.close()

    def _fetch(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path, timeout=30)) as connection, connection:
            return connection.execute(sql).fetchall()


@pytest.fixture(params=[1, 3], ids=["1-shard", "3-shards"])
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backend]:
    backend = SqliteBackend(tmp_path / "orders.db", request.param)
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
