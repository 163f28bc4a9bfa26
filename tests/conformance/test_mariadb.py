"""The MariaDB adapters pass every conformance suite: in one database and over two, from one process and from two."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncmy
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
from orderway.testing.servers import MariadbDatabases

PLACES = [(1, 1), (3, 2), *([(3, 1)] if os.environ.get("ORDERWAY_LONG") else [])]
"""Shards and databases. Three shards in one database have nothing that three over two have not: in the long profile."""


class MariadbBackend:
    """Databases on one server; a connection is a whole set of adapters of its own, with its own writers."""

    capabilities = frozenset({PROCESSES, ROWS})

    def __init__(self, server: MariadbDatabases, shards: int, databases: int) -> None:
        self.server = server
        self.url = [server.new_database() for _ in range(databases)]
        self.shards = shards
        self.opened: list[Ports] = []

    async def connect(self) -> Connection:
        ports = await open_ports(self.url, shards=self.shards)
        self.opened.append(ports)
        return Connection(ports.store, ports.workers, ports.ledger, ports.sequence, ports.parking, ports.mailbox)

    async def execute(self, sql: str) -> None:
        for url in self.url:
            await self._run(url, sql)

    async def fetch(self, sql: str) -> list[tuple[Any, ...]]:
        shards = ShardMap.even(self.shards, len(self.url))
        return await self._run(self.url[shards.databases[shards.of_uid("u")] if shards.databases else 0], sql)

    async def close(self) -> None:
        for ports in self.opened:
            await ports.close()
        for url in self.url:
            self.server.drop(url)

    async def _run(self, url: str, sql: str) -> list[tuple[Any, ...]]:
        parts = urlsplit(url)
        connection = await asyncmy.connect(
            host=parts.hostname,
            port=parts.port,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            database=parts.path[1:],
            autocommit=True,
        )
        try:
            async with connection.cursor() as cursor:
                await cursor.execute(sql)
                return list(await cursor.fetchall())
        finally:
            await connection.ensure_closed()


@pytest.fixture(params=PLACES, ids=lambda place: f"{place[0]}-shards-{place[1]}-databases")
async def backend(request: pytest.FixtureRequest, mariadb_server: MariadbDatabases) -> AsyncIterator[Backend]:
    backend = MariadbBackend(mariadb_server, *request.param)
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
