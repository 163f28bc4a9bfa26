"""The PostgreSQL adapters pass every conformance suite, in one database and over two, from one and two processes."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
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
from orderway.testing.servers.postgresql import PostgresqlDatabases

PLACES = [(1, 1), (3, 2), *([(3, 1)] if os.environ.get("ORDERWAY_LONG") else [])]
"""Shards and databases. Three shards in one database have nothing that three over two have not: in the long profile."""


class PostgresqlBackend:
    """One database, or several; a connection is a whole set of adapters of its own."""

    capabilities = frozenset({PROCESSES, ROWS})

    def __init__(self, urls: Sequence[str], shards: int) -> None:
        self.url = urls
        self.shards = shards
        self.opened: list[Ports] = []

    async def connect(self) -> Connection:
        ports = await open_ports(self.url, shards=self.shards)
        self.opened.append(ports)
        return Connection(ports.store, ports.workers, ports.ledger, ports.sequence, ports.parking, ports.mailbox)

    async def execute(self, sql: str) -> None:
        for url in self.url:
            await _fetch(url, sql)

    async def fetch(self, sql: str) -> list[tuple[Any, ...]]:
        shards = ShardMap.even(self.shards, len(self.url))
        return await _fetch(self.url[shards.databases[shards.of_uid("u")] if shards.databases else 0], sql)

    async def close(self) -> None:
        for ports in self.opened:
            await ports.close()


async def _fetch(url: str, sql: str) -> list[tuple[Any, ...]]:
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()


@pytest.fixture(params=PLACES, ids=lambda place: f"{place[0]}-shards-{place[1]}-databases")
async def backend(request: pytest.FixtureRequest, postgresql_server: PostgresqlDatabases) -> AsyncIterator[Backend]:
    shards, databases = request.param
    urls = [postgresql_server.new_database() for _ in range(databases)]
    backend = PostgresqlBackend(urls, shards)
    yield backend
    await backend.close()
    for url in urls:
        postgresql_server.drop(url)


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
