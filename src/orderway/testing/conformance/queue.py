"""What every queue must do. See ``orderway.ports.queue`` for the promises that these tests hold it to."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Protocol

import pytest

from orderway.errors import InvalidValue, Unavailable
from orderway.ports.queue import DELAYS, REDELIVERS, SURVIVES_RESTART, Message, Queue

__all__ = ["QueueBackend", "QueueConformance", "kill_in_full_flight"]

DELAY_S = 1.0
EARLY_S = 0.05
"""So much earlier a delayed message may come: clocks and their rounding."""
TRACE = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


class QueueBackend(Protocol):
    """A queue under test, empty at first; the fixture that made it closes all of its connections."""

    capabilities: frozenset[str]
    """What it claims; a capability that is claimed and fails is a failed test."""

    patience_s: float
    """So long a test waits for what must come: far longer than it takes, also where a message has to come again."""

    async def connect(self) -> Queue:
        """One more connection to the same queue, started, independent of the others."""

    async def restart(self) -> None:
        """Kill the server and start it again. Called only where ``SURVIVES_RESTART`` is claimed."""


class QueueConformance:
    """Inherit from it, and give a fixture ``backend``."""

    @pytest.mark.parametrize(
        "body", [b'{"OrderID":"1","Uid":"\xf0\x9f\x8e\xab"}', b"", b"\x00\xff not JSON", b"x" * 65_536]
    )
    async def test_a_message_comes_as_it_was_sent(self, backend: QueueBackend, body: bytes) -> None:
        queue = await backend.connect()
        assert queue.capabilities == backend.capabilities
        before_us = time.time_ns() // 1000
        await queue.send(body, TRACE)
        message = await self.next(backend, await backend.connect())
        assert (message.body, message.tries) == (body, 0)
        assert message.headers["traceparent"] == TRACE["traceparent"]
        assert message.sent_at_us == 0 or abs(message.sent_at_us - before_us) < 60_000_000

    async def test_what_no_queue_can_carry_is_refused(self, backend: QueueBackend) -> None:
        queue = await backend.connect()
        for body, headers, delay_s in [(b"x" * 65_537, {}, 0), (b"", {"A b": "1"}, 0), (b"", {}, -1), (b"", {}, 1e9)]:
            with pytest.raises(InvalidValue):
                await queue.send(body, headers, delay_s)
        await self.nothing_is_left(backend)

    async def test_each_message_comes_to_some_receiver(self, backend: QueueBackend) -> None:
        sender, *receivers = [await backend.connect() for _ in range(3)]
        bodies = [f"message {n}".encode() for n in range(200)]
        await asyncio.gather(*(sender.send(body) for body in bodies))
        came: Counter[bytes] = Counter()
        all_came = asyncio.Event()

        async def take(queue: Queue) -> None:
            while True:
                message = await queue.receive()
                came[message.body] += 1
                await queue.ack(message)
                if len(came) == len(bodies):
                    all_came.set()

        takers = [asyncio.create_task(take(queue)) for queue in receivers]
        try:
            async with asyncio.timeout(backend.patience_s):
                await all_came.wait()
        finally:
            await end(takers)
        assert set(came) == set(bodies)
        assert came.total() == len(bodies), "without trouble, nothing comes twice"

    async def test_what_is_acked_does_not_come_again(self, backend: QueueBackend) -> None:
        queue = await backend.connect()
        await queue.send(b"done")
        message = await self.next(backend, queue)
        await queue.ack(message)
        await queue.ack(message)
        await queue.close()
        await self.nothing_is_left(backend)

    async def test_what_was_not_settled_comes_again_when_its_receiver_is_gone(self, backend: QueueBackend) -> None:
        require(backend, REDELIVERS)
        queue = await backend.connect()
        await queue.send(b"left")
        await self.next(backend, queue)
        await queue.close()
        again = await self.next(backend, await backend.connect())
        assert again.body == b"left"

    async def test_what_is_to_be_retried_comes_again(self, backend: QueueBackend) -> None:
        queue = await backend.connect()
        await queue.send(b"once more", TRACE)
        for tries in range(3):
            message = await self.next(backend, queue)
            assert (message.body, message.tries) == (b"once more", tries)
            assert message.headers["traceparent"] == TRACE["traceparent"]
            await queue.retry(message, 0)
        message = await self.next(backend, queue)
        await queue.ack(message)
        await queue.close()
        await self.nothing_is_left(backend)

    async def test_a_delayed_message_comes_after_its_delay(self, backend: QueueBackend) -> None:
        require(backend, DELAYS)
        queue = await backend.connect()
        began_s = time.monotonic()
        await queue.send(b"later", delay_s=DELAY_S)
        await queue.send(b"now")
        assert (await self.next(backend, queue)).body == b"now"
        assert (await self.next(backend, queue)).body == b"later"
        assert time.monotonic() - began_s >= DELAY_S - EARLY_S

    async def test_a_shorter_delay_is_not_held_up_by_a_longer_one(self, backend: QueueBackend) -> None:
        require(backend, DELAYS)
        queue = await backend.connect()
        await queue.send(b"in an hour", delay_s=3600)
        await queue.send(b"soon", delay_s=DELAY_S)
        assert (await self.next(backend, queue)).body == b"soon"

    async def test_a_buried_message_is_kept_for_people(self, backend: QueueBackend) -> None:
        queue = await backend.connect()
        for body in (b"\xff first", b"second"):
            await queue.send(body)
            message = await self.next(backend, queue)
            await queue.bury(message, "unreadable" if body == b"\xff first" else "unknown_order")
        await queue.close()
        for _ in range(2):  # looking takes nothing away
            other = await backend.connect()
            async with asyncio.timeout(backend.patience_s):
                buried = await other.buried()
            assert [(each.body, each.reason) for each in buried] == [
                (b"\xff first", "unreadable"),
                (b"second", "unknown_order"),
            ]
            assert all(abs(each.buried_at_us - time.time_ns() // 1000) < 60_000_000 for each in buried)
            assert len(await other.buried(limit=1)) == 1
            await other.close()
        await self.nothing_is_left(backend)

    async def test_who_stops_waiting_loses_nothing(self, backend: QueueBackend) -> None:
        sender, queue = await backend.connect(), await backend.connect()
        came: set[bytes] = set()
        bodies = {f"message {n}".encode() for n in range(30)}
        for turn, body in enumerate(sorted(bodies)):
            waiting = asyncio.create_task(queue.receive())
            for _ in range(turn % 5):
                await asyncio.sleep(0)
            await sender.send(body)
            waiting.cancel()
            try:
                message = await waiting
            except asyncio.CancelledError:
                continue
            came.add(message.body)
            await queue.ack(message)
        while came != bodies:
            message = await self.next(backend, queue)
            came.add(message.body)
            await queue.ack(message)

    async def test_closed_it_says_so_and_closes_again(self, backend: QueueBackend) -> None:
        queue = await backend.connect()
        await queue.send(b"first")  # so that there is a connection
        await queue.close()
        await queue.close()
        with pytest.raises(Unavailable):
            await queue.send(b"second")
        with pytest.raises(Unavailable):
            await queue.receive()

    async def test_what_was_sent_survives_the_server(self, backend: QueueBackend) -> None:
        require(backend, SURVIVES_RESTART)
        sender, receiver = await backend.connect(), await backend.connect()
        await sender.send(b"buried")
        await receiver.bury(await self.next(backend, receiver), "unreadable")
        await sender.send(b"at once")
        if DELAYS in backend.capabilities:
            await sender.send(b"later", delay_s=DELAY_S)
        await backend.restart()
        wanted = {b"at once", b"later"} if DELAYS in backend.capabilities else {b"at once"}
        # More may come: what was settled shortly before may come again, where the server writes that down later.
        assert await self.taken_through_trouble(backend, receiver, wanted) >= wanted
        await self.sent_through_trouble(backend, sender, b"after")
        assert await self.taken_through_trouble(backend, receiver, {b"after"}) >= {b"after"}
        assert [each.body for each in await (await backend.connect()).buried()] == [b"buried"]

    # ---- what the tests are made of ---------------------------------------------------------------------------------

    async def next(self, backend: QueueBackend, queue: Queue) -> Message:
        """The next message, within the backend's patience."""
        async with asyncio.timeout(backend.patience_s):
            return await queue.receive()

    async def nothing_is_left(self, backend: QueueBackend) -> None:
        """Nothing comes any more but what is sent now: a receiver of its own is given that, and only that."""
        queue = await backend.connect()
        await queue.send(b"the last one")
        message = await self.next(backend, queue)
        assert message.body == b"the last one"
        await queue.ack(message)

    async def taken_through_trouble(self, backend: QueueBackend, queue: Queue, wanted: Iterable[bytes]) -> set[bytes]:
        """Receive and ack until all of these came, calling again whatever raises ``Unavailable``."""
        came: set[bytes] = set()
        async with asyncio.timeout(backend.patience_s):
            while not came >= set(wanted):
                try:
                    message = await queue.receive()
                    came.add(message.body)
                    await queue.ack(message)
                except Unavailable:
                    await asyncio.sleep(0.05)  # the server is not there yet: there is no signal to wait for
        return came

    async def sent_through_trouble(self, backend: QueueBackend, queue: Queue, body: bytes) -> None:
        """Send, again and again until it was taken."""
        async with asyncio.timeout(backend.patience_s):
            while True:
                try:
                    return await queue.send(body)
                except Unavailable:
                    await asyncio.sleep(0.05)


async def kill_in_full_flight(backend: QueueBackend, delay_of: Callable[[int], float] = lambda number: 0) -> None:
    """Kill the server and start it again while a thousand messages are sent and taken: none that was accepted is lost.

    Args:
        backend: of a server that may be killed.
        delay_of: how long the message of this number is held back, in seconds.
    """
    sender, *receivers = [await backend.connect() for _ in range(3)]
    accepted: set[bytes] = set()
    came: set[bytes] = set()
    half_way, all_came = asyncio.Event(), asyncio.Event()
    numbers = iter(range(1000))

    async def send() -> None:
        for number in numbers:
            body = f"message {number}".encode()
            while body not in accepted:
                try:
                    await sender.send(body, delay_s=delay_of(number))
                    accepted.add(body)
                except Unavailable:
                    await asyncio.sleep(0.05)  # the server is not there yet: there is no signal to wait for
            if len(accepted) > 300:
                half_way.set()

    async def receive(queue: Queue) -> None:
        while True:
            try:
                message = await queue.receive()
                came.add(message.body)
                await queue.ack(message)
            except Unavailable:
                await asyncio.sleep(0.05)
            if len(came) == 1000:
                all_came.set()

    sending = [asyncio.create_task(send()) for _ in range(20)]
    receiving = [asyncio.create_task(receive(queue)) for queue in receivers]
    try:
        async with asyncio.timeout(2 * backend.patience_s):
            await half_way.wait()
            await backend.restart()
            await asyncio.gather(*sending)
            await all_came.wait()
    finally:
        await end([*sending, *receiving])
    assert accepted == came


def require(backend: QueueBackend, capability: str) -> None:
    """Skip the test on a queue that does not claim this capability."""
    if capability not in backend.capabilities:
        pytest.skip(f"this queue does not claim the capability {capability!r}")


async def end(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks, and wait for their end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
