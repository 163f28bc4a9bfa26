"""The receiving end: one consumer, and the one task that ever receives from it."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

import pulsar
from pulsar import asyncio as pulsar_asyncio

from orderway.ports.queue import Message
from orderway.queues.pulsar.calls import Calls
from orderway.queues.pulsar.connecting import close_part, subscribe
from orderway.queues.pulsar.options import Pulsar

__all__ = ["Inbox", "Taken"]


@dataclass(slots=True)
class Taken:
    """A message as its consumer gave it, until it is settled."""

    received: pulsar.Message
    consumer: pulsar_asyncio.Consumer
    is_settled: bool = False

    def message(self) -> Message:
        """It, as the port has it."""
        received = self.received
        return Message(
            body=received.data(),
            headers=received.properties(),
            sent_at_us=received.publish_timestamp() * 1000,
            tries=received.redelivery_count(),
            token=self,
        )


class Inbox:
    """One consumer and the message that it gave last. It begins to subscribe when it is made.

    A ``receive`` of the client that is cancelled swallows a message: the client gives it to the call that nobody waits
    for any more. So one task receives, and hands over what came through a queue of one.

    Args:
        client: of the queue.
        options: where, and how.
        calls: of the queue.

    Attributes:
        consumer: None until it has subscribed.
    """

    def __init__(self, client: pulsar_asyncio.Client, options: Pulsar, calls: Calls) -> None:
        self.consumer: pulsar_asyncio.Consumer | None = None
        self._calls = calls
        self._arrived: asyncio.Queue[Taken | pulsar_asyncio.PulsarException] = asyncio.Queue(1)
        self._subscribing = calls.begin(subscribe(client, options))
        self._receiving: asyncio.Task[pulsar.Message] | None = None
        self._taking = asyncio.create_task(self._take())

    async def next(self) -> Taken:
        """The next message. Who is cancelled leaves it to the next caller.

        Raises:
            PulsarException: it could not subscribe, or its consumer is closed: nothing will come any more.
        """
        arrived = await self._arrived.get()
        if isinstance(arrived, Taken):
            return arrived
        self._arrived.put_nowait(arrived)  # for the other callers
        raise arrived

    async def close(self) -> None:
        """Tell those who wait, and close the consumer: what it gave and was not settled comes again.

        Returns when the client has answered the last ``receive``, too: a client that is closed sooner may forget to.
        """
        self._taking.cancel()
        while not self._arrived.empty():
            self._arrived.get_nowait()
        self._arrived.put_nowait(pulsar_asyncio.PulsarException(pulsar.Result.AlreadyClosed))
        with contextlib.suppress(pulsar_asyncio.PulsarException):
            await close_part(await asyncio.shield(self._subscribing))
        if self._receiving is not None:
            await asyncio.wait([self._receiving])

    async def _take(self) -> None:
        try:
            consumer = await asyncio.shield(self._subscribing)
            self.consumer = consumer
            while True:
                self._receiving = self._calls.begin(consumer.receive())
                await self._arrived.put(Taken(await asyncio.shield(self._receiving), consumer))
        except pulsar_asyncio.PulsarException as error:
            await self._arrived.put(error)
