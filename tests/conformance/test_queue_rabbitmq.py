"""The queue over RabbitMQ passes the conformance suite of queues, on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from orderway.ports.queue import DELAYS, REDELIVERS, SURVIVES_RESTART, Queue
from orderway.queues.rabbitmq import RabbitmqQueue
from orderway.system_clock import SystemClock
from orderway.testing.conformance import QueueBackend, QueueConformance
from orderway.testing.servers import RabbitmqServer, ServerUnavailable
from orderway.testing.servers.fixtures import unavailable

pytestmark = pytest.mark.slow


class RabbitmqBackend:
    """A queue of its own on the server; each connection is independent."""

    capabilities = frozenset({DELAYS, REDELIVERS, SURVIVES_RESTART})
    patience_s = 60.0

    def __init__(self, server: RabbitmqServer, queue_type: str) -> None:
        self.server = server
        self.queue_type = queue_type
        self.url = f"{server.new_database()}&queue_type={queue_type}"
        self.opened: list[Queue] = []

    async def connect(self) -> Queue:
        queue = RabbitmqQueue.from_url(self.url)
        await queue.start(SystemClock())
        self.opened.append(queue)
        return queue

    async def restart(self) -> None:
        if self.queue_type == "quorum":
            # RabbitMQ writes down half a second later, in the background, that it made a queue: nothing tells when.
            await asyncio.sleep(1)
        self.server.kill()
        await asyncio.to_thread(self.server.start)


@pytest.fixture(scope="module")
def server() -> Iterator[RabbitmqServer]:
    """A server that a test may kill: not the one of the whole run."""
    try:
        with RabbitmqServer() as server:
            yield server
    except ServerUnavailable as error:
        unavailable(error)


@pytest.fixture(params=["classic", "quorum"])
async def backend(server: RabbitmqServer, request: pytest.FixtureRequest) -> AsyncIterator[QueueBackend]:
    backend = RabbitmqBackend(server, request.param)
    yield backend
    for queue in backend.opened:
        await queue.close()


class TestQueue(QueueConformance):
    pass
