"""The queue over the mailbox in memory passes the conformance suite of queues, and gives again what was left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from orderway.memory import MemoryDatabase, MemoryMailbox
from orderway.ports.queue import DELAYS, REDELIVERS, Queue
from orderway.queues.store import LOOK_EVERY_S, TAKEN_FOR_US, StoreQueue
from orderway.system_clock import SystemClock
from orderway.testing.clock import VirtualClock
from orderway.testing.conformance import QueueBackend, QueueConformance


class MemoryQueues:
    """One database in memory; each connection is a queue of its own."""

    capabilities = frozenset({DELAYS, REDELIVERS})
    patience_s = 20.0

    def __init__(self) -> None:
        self.database = MemoryDatabase()
        self.opened: list[Queue] = []

    async def connect(self) -> Queue:
        queue = StoreQueue(MemoryMailbox(self.database), "memory", survives=False)
        await queue.start(SystemClock())
        self.opened.append(queue)
        return queue

    async def restart(self) -> None:
        raise NotImplementedError


@pytest.fixture
async def backend() -> AsyncIterator[QueueBackend]:
    backend = MemoryQueues()
    yield backend
    for queue in backend.opened:
        await queue.close()


class TestQueue(QueueConformance):
    pass


async def test_what_a_killed_receiver_had_comes_again_after_its_time() -> None:
    database, clock = MemoryDatabase(), VirtualClock()
    killed, other, third = (StoreQueue(MemoryMailbox(database), "memory", survives=False) for _ in range(3))
    for queue in (killed, other, third):
        await queue.start(clock)
    await killed.send(b"first")
    await killed.send(b"second")
    stale = await killed.receive()  # the second came along, and nobody ever looked at it
    receiving = asyncio.create_task(other.receive())
    await clock.advance(TAKEN_FOR_US / 1_000_000 - LOOK_EVERY_S)
    assert not receiving.done()
    await clock.advance(2 * LOOK_EVERY_S)
    assert receiving.done()
    assert {(each.body, each.tries) for each in (await receiving, await other.receive())} == {
        (b"first", 1),
        (b"second", 1),
    }
    await killed.ack(stale)  # it was only slow, and the message is another's by now
    await other.close()
    async with asyncio.timeout(60):
        assert {(await third.receive()).body, (await third.receive()).body} == {b"first", b"second"}
    await third.close()
