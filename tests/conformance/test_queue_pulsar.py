"""The queue over Pulsar passes the conformance suite on a real broker, and loses nothing when that is killed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace

import pytest

from orderway.ports.queue import DELAYS, Queue
from orderway.queues.pulsar import Pulsar, PulsarQueue
from orderway.queues.pulsar.connecting import connect
from orderway.system_clock import SystemClock
from orderway.testing.conformance import QueueBackend, QueueConformance
from orderway.testing.conformance.queue import kill_in_full_flight
from orderway.testing.servers import PulsarLiteServer, PulsarServer, PulsarTopics, ServerUnavailable
from orderway.testing.servers.fixtures import unavailable
from orderway.testing.servers.pulsar import best_pulsar, fetched_pulsar


class PulsarQueues:
    """One topic; each connection has a client of its own.

    Args:
        topics: of a server.
        answer_within_s: long, as many tests run at once; short where the server goes away.
    """

    patience_s = 60.0

    def __init__(self, topics: PulsarTopics, answer_within_s: int = 30) -> None:
        self.topics = topics
        self.options = replace(Pulsar.from_url(topics.new_database()), answer_within_s=answer_within_s)
        self.capabilities = PulsarQueue(self.options).capabilities
        self.opened: list[Queue] = []

    async def connect(self) -> Queue:
        queue = PulsarQueue(self.options)
        await queue.start(SystemClock())
        self.opened.append(queue)
        return queue

    async def restart(self) -> None:
        assert isinstance(self.topics, PulsarServer | PulsarLiteServer), "nobody may kill the server that all share"
        await asyncio.to_thread(self.topics.kill)
        await asyncio.to_thread(self.topics.start)

    async def close(self) -> None:
        for queue in self.opened:
            await queue.close()


@pytest.fixture
async def backend(pulsar_server: PulsarTopics) -> AsyncIterator[QueueBackend]:
    queues = PulsarQueues(pulsar_server)
    yield queues
    await queues.close()


@pytest.fixture
def mortal_server() -> Iterator[PulsarServer | PulsarLiteServer]:
    """A broker that may be killed. Not shared: one that was killed now and then takes half a minute for a new topic."""
    try:
        with best_pulsar()() as server:
            yield server
    except ServerUnavailable as error:
        unavailable(error)


@pytest.fixture
async def mortal(mortal_server: PulsarServer | PulsarLiteServer) -> AsyncIterator[PulsarQueues]:
    queues = PulsarQueues(mortal_server, answer_within_s=15)
    yield queues
    await queues.close()


class TestQueue(QueueConformance):
    @pytest.mark.slow
    async def test_what_was_sent_survives_the_server(self, mortal: PulsarQueues) -> None:  # type: ignore[override]
        await super().test_what_was_sent_survives_the_server(mortal)


@pytest.mark.slow
async def test_nothing_that_was_taken_is_lost_while_the_broker_is_killed_in_full_flight(mortal: PulsarQueues) -> None:
    await kill_in_full_flight(mortal)


@pytest.mark.slow
async def test_what_was_sent_stays_when_nobody_has_its_topic_open(
    mortal_server: PulsarServer | PulsarLiteServer,
) -> None:
    server = mortal_server
    if not isinstance(server, PulsarServer):
        pytest.skip("only Apache Pulsar throws away what no subscription waits for")
    buried, sent = PulsarQueues(server), PulsarQueues(server)
    queue = await buried.connect()
    await queue.send(b"dead")
    await queue.bury(await queue.receive(), "unreadable")
    await (await sent.connect()).send(b"before the first receiver")
    unkept = PulsarQueues(server).options
    client = connect(unkept)
    await (await client.create_producer(unkept.full_topic)).send(b"thrown away")
    for opened in (buried, sent, client):
        await opened.close()
    async with asyncio.timeout(buried.patience_s):
        while unkept.topic in await asyncio.to_thread(server.topics):
            pass
        assert [letter.body for letter in await (await buried.connect()).buried()] == [b"dead"]
        assert (await (await sent.connect()).receive()).body == b"before the first receiver"
    await buried.close()
    await sent.close()


def test_the_summary_says_which_broker_it_was(
    pulsar_server: PulsarTopics, summarize: Callable[[str, str], None]
) -> None:
    has_delays = DELAYS in PulsarQueue.from_url(pulsar_server.url).capabilities
    if "ORDERWAY_TEST_PULSAR_URL" in os.environ:
        broker = "The broker of ORDERWAY_TEST_PULSAR_URL"
    elif best_pulsar() is PulsarServer:
        broker = f"Apache Pulsar {fetched_pulsar().name.removeprefix('pulsar-')}"
        assert has_delays
    else:
        broker = "pulsar-lite, as Apache Pulsar is not there (make pulsar fetches it, with Java 17 and Maven)"
    skipped = "" if has_delays else ", without the capability of native delays: its tests were skipped"
    summarize("Pulsar", broker + skipped)
