"""The queue over the mailbox in memory passes the conformance suite of queues."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from orderway.memory import MemoryDatabase, MemoryMailbox
from orderway.ports.queue import DELAYS, REDELIVERS, Queue
from orderway.queues.store import StoreQueue
from orderway.system_clock import SystemClock
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
