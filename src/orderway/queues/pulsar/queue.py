"""The queue over Pulsar."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Coroutine, Mapping, Sequence
from datetime import timedelta
from typing import Any, Self, TypeVar

import pulsar
from pulsar import asyncio as pulsar_asyncio

from orderway.errors import Unavailable
from orderway.ports.clock import Clock
from orderway.ports.limits import check_message, check_page
from orderway.ports.queue import DELAYS, REDELIVERS, SURVIVES_RESTART, Buried, Message, Queue
from orderway.queues.pulsar.connecting import NACK_AFTER_S, close_client, close_part, connect, open_producer
from orderway.queues.pulsar.inbox import Inbox, Taken
from orderway.queues.pulsar.options import Pulsar

__all__ = ["PulsarQueue"]

T = TypeVar("T")

MOST_SENDING = 64
REASON, BURIED_AT = "reason", "buried-at-us"
"""The properties of a dead letter."""
GIVEN_UP = "too_many_tries"
"""Why the client itself makes a message a dead letter, in our words: it writes none of its own."""


class PulsarQueue(Queue):
    """The ``Queue`` port over one topic of Pulsar, with a Shared subscription from the topic's beginning.

    A message to be retried later stays in this process until then: it is acknowledged negatively when its delay is
    over, or comes again at once when this process is gone. Dead letters lie in ``<topic>-<subscription>-DLQ``, kept by
    a subscription there that nobody reads. How often a message was received is known to the broker alone, which
    forgets it when it is restarted.

    Args:
        options: where, and how.
    """

    def __init__(self, options: Pulsar) -> None:
        self._options = options
        self._clock: Clock | None = None
        self._client: pulsar_asyncio.Client | None = None
        self._inbox: Inbox | None = None
        self._producers: dict[str, asyncio.Task[pulsar_asyncio.Producer]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._sending = asyncio.Semaphore(MOST_SENDING)

    @classmethod
    def from_url(cls, url: str) -> Self:
        """The queue at ``pulsar://host:6650/tenant/namespace/topic?subscription=order``; see ``Pulsar.from_url``.

        Raises:
            ConfigError: the URL cannot be read.
        """
        return cls(Pulsar.from_url(url))

    def __repr__(self) -> str:
        return f"PulsarQueue({self.where!r})"

    @property
    def where(self) -> str:
        """The topic and subscription; without the token."""
        return self._options.where

    @property
    def capabilities(self) -> frozenset[str]:
        """All, unless the broker is said to know no delays."""
        always = frozenset({REDELIVERS, SURVIVES_RESTART})
        return always | {DELAYS} if self._options.delays else always

    async def start(self, clock: Clock) -> None:
        """Get ready, on this event loop. Connects to nothing yet."""
        if self._client is None:
            self._clock = clock
            self._sending = asyncio.Semaphore(MOST_SENDING)
            self._client = connect(self._options)

    async def close(self) -> None:
        """Let go of connections, and of what was received and not settled: it comes again. Idempotent."""
        client, self._client = self._client, None
        if client is None:
            return
        inbox, self._inbox = self._inbox, None
        if inbox is not None:
            inbox.stop()
        opening = [task for task in self._producers.values() if not task.done()]
        self._producers.clear()
        for task in [*self._tasks, *opening]:
            task.cancel()
        await asyncio.gather(*self._tasks, *opening, return_exceptions=True)
        await close_client(client, self._options.answer_within_s)

    async def send(self, body: bytes, headers: Mapping[str, str] | None = None, delay_s: float = 0) -> None:
        """Have a message received after this delay. It is on the disks of Pulsar when this returns."""
        check_message(body, headers or {}, delay_s)
        await self._publish(self._options.full_topic, body, headers or {}, delay_s if self._options.delays else 0)

    async def receive(self) -> Message:
        """The next message. Waits for one, and asks now and then whether the broker is still there."""
        while True:
            client = self._started()
            inbox = self._inbox = self._inbox or Inbox(client, self._options)
            try:
                async with asyncio.timeout(self._options.answer_within_s):
                    return (await inbox.next()).message()
            except TimeoutError:
                try:
                    await self._ask(client.get_topic_partitions(self._options.full_topic))
                except Unavailable:
                    self._leave(inbox)
                    raise
            except pulsar_asyncio.PulsarException as error:
                self._leave(inbox)
                raise self._unavailable(error) from error

    async def ack(self, message: Message) -> None:
        """Settle a message: it is done."""
        taken = self._taken(message)
        if not taken.is_settled:
            await self._ask(self._receiving().acknowledge(taken.received))
            taken.is_settled = True

    async def retry(self, message: Message, delay_s: float) -> None:
        """Settle a message: it shall come again after this delay; at once, if this process ends earlier."""
        taken = self._taken(message)
        if not taken.is_settled:
            taken.is_settled = True
            self._spawn(self._let_go(taken, delay_s))

    async def bury(self, message: Message, reason: str) -> None:
        """Settle a message: publish it to the dead-letter topic, then acknowledge it."""
        taken = self._taken(message)
        if taken.is_settled or self._clock is None:
            return
        note = {REASON: reason, BURIED_AT: str(self._clock.now_us())}
        await self._publish(self._options.dead_letter_topic, message.body, {**message.headers, **note})
        await self.ack(message)

    async def buried(self, limit: int = 100) -> Sequence[Buried]:
        """Dead letters, oldest first, read from the topic's beginning without a subscription."""
        check_page(limit)
        return await self._ask(self._read_buried(self._started(), limit))

    async def _read_buried(self, client: pulsar_asyncio.Client, limit: int) -> list[Buried]:
        found: list[Buried] = []
        reader = await client.create_reader(self._options.dead_letter_topic, pulsar.MessageId.earliest)
        try:
            while len(found) < limit and await reader.has_message_available():
                found.append(_as_buried(await reader.read_next()))
        finally:
            self._spawn(close_part(reader))
        return found

    async def _publish(self, topic: str, body: bytes, headers: Mapping[str, str], delay_s: float = 0) -> None:
        after = timedelta(seconds=delay_s) if delay_s else None

        async def publish() -> None:
            async with self._sending:
                producer = await self._producer(topic)
                try:
                    await producer.send(body, properties=dict(headers), deliver_after=after)
                except (pulsar_asyncio.PulsarException, asyncio.CancelledError):
                    # It may be waiting for its next attempt to connect, which takes up to a minute. A new one does not.
                    if not producer.is_connected():
                        self._drop(topic, producer)
                    raise

        self._started()
        await self._ask(publish())

    async def _producer(self, topic: str) -> pulsar_asyncio.Producer:
        """The topic's producer, made in a task of its own: a caller who is cancelled would leave it to nobody."""
        making = self._producers.get(topic)
        if making is None or (making.done() and (making.cancelled() or making.exception())):
            making = asyncio.create_task(open_producer(self._started(), topic, self._options))
            making.add_done_callback(_heard)
            self._producers[topic] = making
        return await asyncio.shield(making)

    def _drop(self, topic: str, producer: pulsar_asyncio.Producer) -> None:
        made = self._producers.get(topic)
        if made is not None and made.done() and not made.cancelled() and made.result() is producer:
            del self._producers[topic]
            self._spawn(close_part(producer))

    def _leave(self, inbox: Inbox) -> None:
        """Subscribe anew at the next call, as a consumer too may wait for a minute before it connects again."""
        if self._inbox is inbox and inbox.consumer is not None:
            self._inbox = None
            inbox.stop()
            self._spawn(close_part(inbox.consumer))
        elif self._inbox is inbox and inbox.is_over:
            self._inbox = None

    async def _let_go(self, taken: Taken, delay_s: float) -> None:
        if self._clock is not None and delay_s > NACK_AFTER_S:
            await self._clock.wait(asyncio.Event(), delay_s - NACK_AFTER_S)
        with contextlib.suppress(pulsar_asyncio.PulsarException, pulsar.PulsarException):
            await taken.consumer.negative_acknowledge(taken.received)  # one that is closed has let go of all

    async def _ask(self, asked: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._options.answer_within_s):
                return await asked
        except TimeoutError:
            raise self._unavailable(f"no answer within {self._options.answer_within_s:g} s") from None
        except (pulsar_asyncio.PulsarException, pulsar.PulsarException) as error:
            raise self._unavailable(error) from error

    def _unavailable(self, why: object) -> Unavailable:
        return Unavailable(f"Pulsar at {self.where}: {why}")

    def _started(self) -> pulsar_asyncio.Client:
        if self._client is None:
            raise self._unavailable("this queue is closed")
        return self._client

    def _receiving(self) -> pulsar_asyncio.Consumer:
        if self._inbox is None or self._inbox.consumer is None:
            raise self._unavailable("not connected")
        return self._inbox.consumer

    def _taken(self, message: Message) -> Taken:
        self._started()
        taken: Taken = message.token
        return taken

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _as_buried(letter: pulsar.Message) -> Buried:
    noted = letter.properties()
    buried_at = noted.get(BURIED_AT, "")
    buried_at_us = int(buried_at) if buried_at.isdecimal() else letter.publish_timestamp() * 1000
    return Buried(letter.data(), noted.get(REASON, GIVEN_UP), buried_at_us)


def _heard(making: asyncio.Task[pulsar_asyncio.Producer]) -> None:
    """Its failure is told to those who still wait for it; with nobody left, it is nobody's."""
    if not making.cancelled():
        making.exception()
