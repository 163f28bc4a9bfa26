"""The queue without a broker passes the suite of queues on every database, and its mailbox keeps its word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orderway.adapters import Ports, ports_for
from orderway.errors import InvalidValue
from orderway.ports.mailbox import Letter
from orderway.ports.queue import DELAYS, REDELIVERS, SURVIVES_RESTART, Queue
from orderway.queues.store import StoreQueue
from orderway.system_clock import SystemClock
from orderway.testing.conformance import QueueBackend, QueueConformance

DATABASES = ("sqlite", "postgresql", "mariadb")


class StoreQueues:
    """One database; each connection has ports, and so a writer, of its own."""

    capabilities = frozenset({DELAYS, REDELIVERS, SURVIVES_RESTART})
    patience_s = 30.0

    def __init__(self, url: str) -> None:
        self.url = url
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
        """Killing the server is the business of tests/faults; here every connection to it is new."""
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


class TestQueue(QueueConformance):
    pass


@pytest.fixture(params=["memory", *DATABASES])
async def two(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Ports, Ports]]:
    """The same database, opened twice."""
    if request.param == "memory":
        ports = ports_for("memory://")
        yield ports, ports
        return
    is_file = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/orders.db" if is_file else request.getfixturevalue(f"{request.param}_url")
    opened = [ports_for(url), ports_for(url)]
    for each in opened:
        await each.start()
    yield opened[0], opened[1]
    for each in opened:
        await each.close()


class TestMailbox:
    async def test_two_takers_never_get_the_same_letter(self, two: tuple[Ports, Ports]) -> None:
        one, other = (ports.mailbox for ports in two)
        bodies = {f"letter {n}".encode() for n in range(60)}
        for body in sorted(bodies):
            await one.put(body, {}, 1, 10)
        taken: list[Letter] = []
        while True:
            both = await asyncio.gather(one.take(10, 99, 7), other.take(10, 99, 5), one.take(10, 99, 3))
            if not any(both):
                break
            taken += [letter for each in both for letter in each]
        assert len(taken) == len({letter.number for letter in taken}) == 60
        assert {letter.body for letter in taken} == bodies

    async def test_what_was_taken_again_is_not_the_first_takers_any_more(self, two: tuple[Ports, Ports]) -> None:
        one, other = (ports.mailbox for ports in two)
        await one.put(bytes(range(256)), {"due-at-us": "7"}, 5, 10)
        (first,) = await one.take(10, 20, 10)
        assert (first.body, first.headers, first.sent_at_us, first.tries) == (
            bytes(range(256)),
            {"due-at-us": "7"},
            5,
            0,
        )
        assert not await other.take(19, 30, 10)
        (second,) = await other.take(20, 30, 10)
        assert (second.number, second.tries) == (first.number, 1)
        await one.remove(first)
        await one.put_back(first, 0)
        await one.bury(first, "unreadable", 21)
        assert not await one.take(29, 99, 10)
        assert not await one.buried(10)
        await other.bury(second, "unknown_order", 22)
        assert [(each.body, each.reason, each.buried_at_us) for each in await one.buried(10)] == [
            (first.body, "unknown_order", 22)
        ]
        assert not await one.take(2**62, 2**62 + 1, 10)

    async def test_the_longest_due_come_first(self, two: tuple[Ports, Ports]) -> None:
        mailbox = two[0].mailbox
        for due_at_us in (30, 10, 50, 20, 40):
            await mailbox.put(str(due_at_us).encode(), {}, 1, due_at_us)
        assert [letter.body for letter in await mailbox.take(45, 99, 3)] == [b"10", b"20", b"30"]
        (fourth,) = await mailbox.take(45, 99, 3)
        await mailbox.put_back(fourth, 60)
        assert [letter.body for letter in await mailbox.take(60, 99, 3)] == [b"50", b"40"]

    @pytest.mark.parametrize("limit", [0, 1001])
    async def test_a_page_is_neither_empty_nor_endless(self, two: tuple[Ports, Ports], limit: int) -> None:
        for ask in (two[0].mailbox.take(1, 2, limit), two[0].mailbox.buried(limit)):
            with pytest.raises(InvalidValue):
                await ask
