"""The SQLite adapters pass every conformance suite, as one shard and as three."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from orderway.adapters import Ports, open_ports
from orderway.testing.conformance import (
    PROCESSES,
    Backend,
    Connection,
    LedgerConformance,
    SequenceConformance,
    StoreConformance,
    WorkersConformance,
)


class SqliteBackend:
    """One file; a connection is a writer and readers of its own."""

    capabilities = frozenset({PROCESSES})

    def __init__(self, path: Path, shards: int) -> None:
        self.url = f"sqlite:///{path}"
        self.shards = shards
        self._path = path
        self._open: list[Ports] = []

    async def connect(self) -> Connection:
        ports = await open_ports(self.url, shards=self.shards)
        self._open.append(ports)
        return Connection(ports.store, ports.workers, ports.ledger, ports.sequence)

    async def execute(self, sql: str) -> None:
        self.run(sql)

    async def fetch(self, sql: str) -> list[tuple[Any, ...]]:
        return self.run(sql)

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self._path, isolation_level=None)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    async def close(self) -> None:
        for ports in self._open:
            await ports.close()


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
