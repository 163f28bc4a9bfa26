"""The queue without a broker passes the suite of queues on every database, also when that is killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orderway.adapters import Ports, ports_for
from orderway.ports.queue import DELAYS, REDELIVERS, SURVIVES_RESTART, Queue
from orderway.queues.store import StoreQueue
from orderway.system_clock import SystemClock
from orderway.testing.conformance import QueueBackend, QueueConformance
from orderway.testing.servers import MariadbServer, PostgresqlServer
from orderway.testing.servers.fixtures import StartServer

DATABASES = ("sqlite", "postgresql", "mariadb")


class StoreQueues:
    """One database; each connection has ports, and so a writer, of its own."""

    capabilities = frozenset({DELAYS, REDELIVERS, SURVIVES_RESTART})
    patience_s = 30.0

    def __init__(self, url: str, server: PostgresqlServer | MariadbServer | None = None) -> None:
        self.url = url
        self.server = server
        self.opened: list[tuple[Queue, Ports]] = []

    async def open(self) -> Ports:
        ports = ports_for(self.url)
        await ports.start()
        return ports

    async def connect(self) -> Queue:
        ports = await self.open()
        queue = StoreQueue(ports.mailbox, "the database")
        await queue.start(SystemClock())
        self.opened.append((queue, ports))
        return queue

    async def restart(self) -> None:
        """Kill the server and start it again. A file has none: whoever had it open goes, and others come."""
        if self.server is not None:
            await asyncio.to_thread(self.server.kill)
            await asyncio.to_thread(self.server.start)
            return
        for _, ports in self.opened:
            await ports.close()
            await ports.start()

    async def close(self) -> None:
        for queue, ports in self.opened:
            await queue.close()
            await ports.close()


@pytest.fixture(params=DATABASES)
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[QueueBackend]:
    is_file = request.param == "sqlite"
    backend = StoreQueues(
        f"sqlite:///{tmp_path}/orders.db" if is_file else request.getfixturevalue(f"{request.param}_url")
    )
    yield backend
    await backend.close()


@pytest.fixture(params=["sqlite", PostgresqlServer, MariadbServer], ids=DATABASES)
async def mortal(request: pytest.FixtureRequest, tmp_path: Path, own_server: StartServer) -> AsyncIterator[StoreQueues]:
    if request.param == "sqlite":
        backend = StoreQueues(f"sqlite:///{tmp_path}/orders.db")
    else:
        server = await asyncio.to_thread(own_server, request.param())
        backend = StoreQueues(server.new_database(), server)
    yield backend
    await backend.close()


class TestQueue(QueueConformance):
    async def test_what_was_sent_survives_the_server(self, mortal: StoreQueues) -> None:  # type: ignore[override]
        await super().test_what_was_sent_survives_the_server(mortal)
