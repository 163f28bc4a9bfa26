"""The queue over RabbitMQ passes the conformance suite on a real server, and loses nothing when that is killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from orderway.ports.queue import DELAYS, REDELIVERS, SURVIVES_RESTART, Queue
from orderway.queues.rabbitmq import RabbitmqQueue
from orderway.system_clock import SystemClock
from orderway.testing.conformance import QueueBackend, QueueConformance
from orderway.testing.conformance.queue import kill_in_full_flight
from orderway.testing.servers import RabbitmqQueues, RabbitmqServer, ServerUnavailable
from orderway.testing.servers.fixtures import unavailable

pytestmark = pytest.mark.slow


class OwnQueue:
    """A queue of its own on the server; each connection is independent."""

    capabilities = frozenset({DELAYS, REDELIVERS, SURVIVES_RESTART})
    patience_s = 60.0

    def __init__(self, server: RabbitmqQueues, queue_type: str) -> None:
        self.server = server
        self.queue_type = queue_type
        self.url = server.new_database()
        self.opened: list[Queue] = []

    async def connect(self) -> Queue:
        queue = RabbitmqQueue.from_url(f"{self.url}&queue_type={self.queue_type}")
        await queue.start(SystemClock())
        self.opened.append(queue)
        return queue

    async def restart(self) -> None:
        assert isinstance(self.server, RabbitmqServer), "nobody may kill the server that all share"
        await asyncio.to_thread(self.server.kill)
        await asyncio.to_thread(self.server.start)

    async def close(self) -> None:
        for queue in self.opened:
            await queue.close()
        await asyncio.to_thread(self.server.drop, self.url)


@pytest.fixture(params=["classic", "quorum"])
async def backend(rabbitmq_server: RabbitmqQueues, request: pytest.FixtureRequest) -> AsyncIterator[QueueBackend]:
    backend = OwnQueue(rabbitmq_server, request.param)
    yield backend
    await backend.close()


@pytest.fixture(scope="module")
def mortal_server() -> Iterator[RabbitmqServer]:
    """A server that may be killed; it takes seconds to start, so the tests here share it."""
    try:
        with RabbitmqServer() as server:
            yield server
    except ServerUnavailable as error:
        unavailable(error)


@pytest.fixture(params=["classic", "quorum"])
async def mortal(mortal_server: RabbitmqServer, request: pytest.FixtureRequest) -> AsyncIterator[OwnQueue]:
    backend = OwnQueue(mortal_server, request.param)
    if request.param == "quorum":
        # RabbitMQ writes down half a second later, in the background, that it made a queue. By the time that this
        # message has come, it has.
        first = await backend.connect()
        await first.send(b"first", delay_s=3)
        await first.ack(await first.receive())
        await first.close()
    yield backend
    await backend.close()


class TestQueue(QueueConformance):
    async def test_what_was_sent_survives_the_server(self, mortal: OwnQueue) -> None:  # type: ignore[override]
        await super().test_what_was_sent_survives_the_server(mortal)


async def test_nothing_that_was_taken_is_lost_while_the_server_is_killed_in_full_flight(mortal: OwnQueue) -> None:
    await kill_in_full_flight(mortal, lambda number: number % 4)
