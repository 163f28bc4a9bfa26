"""The queue over Pulsar."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Self, TypeVar

import pulsar
from pulsar import asyncio as pulsar_asyncio

from orderway.errors import Unavailable
from orderway.ports.clock import Clock
from orderway.ports.limits import check_message, check_page
from orderway.ports.queue import DELAYS, REDELIVERS, SURVIVES_RESTART, Buried, Message, Queue
from orderway.queues.pulsar.calls import Calls
from orderway.queues.pulsar.connecting import NACK_AFTER_S, close_client, close_part, connect, let_go
from orderway.queues.pulsar.inbox import Inbox, Taken
from orderway.queues.pulsar.options import Pulsar
from orderway.queues.pulsar.outbox import Outbox

__all__ = ["PulsarQueue"]

T = TypeVar("T")

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
        self._outbox: Outbox | None = None
        self._waiting: set[asyncio.Task[None]] = set()
        self._guard: asyncio.Task[None] | None = None
        self._calls = Calls()

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
            self._calls = Calls()
            self._client = connect(self._options)
            self._outbox = Outbox(self._client, self._options, self._calls)
            self._guard = asyncio.create_task(self._close_with_the_loop())

    async def close(self) -> None:
        """Let go of connections, and of what was received and not settled: it comes again. Idempotent."""
        client, self._client = self._client, None
        if client is None:
            return
        for task in (*self._waiting, self._guard):
            if task is not None and task is not asyncio.current_task():
                task.cancel()
        inbox, self._inbox = self._inbox, None
        self._outbox = None
        within_s: float = self._options.answer_within_s
        if inbox is not None:
            try:
                async with asyncio.timeout(within_s):
                    await self._calls.make(inbox.close())
            except TimeoutError:
                within_s = 0  # that was the time that it had
        await close_client(client, within_s)
        await self._calls.end(within_s)

    async def send(self, body: bytes, headers: Mapping[str, str] | None = None, delay_s: float = 0) -> None:
        """Have a message received after this delay. It is on the disks of Pulsar when this returns."""
        check_message(body, headers or {}, delay_s)
        delay_s = delay_s if self._options.delays else 0
        await self._ask(self._publishing().publish(self._options.full_topic, body, headers or {}, delay_s))

    async def receive(self) -> Message:
        """The next message. Waits for one, and asks now and then whether the broker is still there."""
        while True:
            client = self._started()
            inbox = self._inbox = self._inbox or Inbox(client, self._options, self._calls)
            try:
                async with asyncio.timeout(self._options.answer_within_s):
                    return (await inbox.next()).message()
            except TimeoutError:
                await self._check(client, inbox)
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
            waiting = asyncio.create_task(self._let_go(taken, delay_s))
            self._waiting.add(waiting)
            waiting.add_done_callback(self._waiting.discard)

    async def bury(self, message: Message, reason: str) -> None:
        """Settle a message: publish it to the dead-letter topic, then acknowledge it."""
        if self._taken(message).is_settled or self._clock is None:
            return
        properties = {**message.headers, REASON: reason, BURIED_AT: str(self._clock.now_us())}
        await self._ask(self._publishing().publish(self._options.dead_letter_topic, message.body, properties))
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
            await close_part(reader)
        return found

    async def _close_with_the_loop(self) -> None:
        """Whoever ends an event loop cancels its tasks, and waits for them: so a queue that was forgotten is closed."""
        try:
            await asyncio.Event().wait()
        finally:
            await self.close()

    async def _let_go(self, taken: Taken, delay_s: float) -> None:
        if self._clock is not None and delay_s > NACK_AFTER_S:
            await self._clock.wait(asyncio.Event(), delay_s - NACK_AFTER_S)
        await self._calls.make(let_go(taken.consumer, taken.received))

    async def _check(self, client: pulsar_asyncio.Client, inbox: Inbox) -> None:
        """Whether the broker answers. If not, subscribe anew: the consumer's next attempt may be a minute away."""
        try:
            await self._ask(client.get_topic_partitions(self._options.full_topic))
        except Unavailable:
            if inbox.consumer is not None:
                self._leave(inbox)
            raise

    def _leave(self, inbox: Inbox) -> None:
        if self._inbox is inbox:
            self._inbox = None
            self._calls.begin(inbox.close())

    async def _ask(self, call: Coroutine[Any, Any, T]) -> T:
        """Make a call. The client's own limits come first: they say more."""
        try:
            async with asyncio.timeout(self._options.answer_within_s + 1):
                return await self._calls.make(call)
        except TimeoutError:
            raise self._unavailable(f"no answer within {self._options.answer_within_s + 1} s") from None
        except (pulsar_asyncio.PulsarException, pulsar.PulsarException) as error:
            raise self._unavailable(error) from error

    def _unavailable(self, why: object) -> Unavailable:
        return Unavailable(f"Pulsar at {self.where}: {why}")

    def _started(self) -> pulsar_asyncio.Client:
        if self._client is None:
            raise self._unavailable("this queue is closed")
        return self._client

    def _publishing(self) -> Outbox:
        if self._outbox is None:
            raise self._unavailable("this queue is closed")
        return self._outbox

    def _receiving(self) -> pulsar_asyncio.Consumer:
        if self._inbox is None or self._inbox.consumer is None:
            raise self._unavailable("not connected")
        return self._inbox.consumer

    def _taken(self, message: Message) -> Taken:
        self._started()
        taken: Taken = message.token
        return taken


def _as_buried(letter: pulsar.Message) -> Buried:
    noted = letter.properties()
    buried_at = noted.get(BURIED_AT, "")
    buried_at_us = int(buried_at) if buried_at.isdecimal() else letter.publish_timestamp() * 1000
    return Buried(letter.data(), noted.get(REASON, GIVEN_UP), buried_at_us)
