"""The receiving end: one consumer, and the one task that ever receives from it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pulsar
from pulsar import asyncio as pulsar_asyncio

from orderway.ports.queue import Message
from orderway.queues.pulsar.connecting import subscribe
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

    A cancelled ``receive`` of the client swallows the message that it would have returned: the client gives it to the
    call that nobody waits for any more. So one task receives, is never cancelled while the consumer lives, and hands
    over what came through a queue of one.

    Args:
        client: of the queue.
        options: where, and how.

    Attributes:
        consumer: None until it has subscribed.
    """

    def __init__(self, client: pulsar_asyncio.Client, options: Pulsar) -> None:
        self.consumer: pulsar_asyncio.Consumer | None = None
        self._arrived: asyncio.Queue[Taken | pulsar_asyncio.PulsarException] = asyncio.Queue(1)
        self._taking = asyncio.create_task(self._take(client, options))

    @property
    def is_over(self) -> bool:
        """Whether nothing will come any more."""
        return self._taking.done()

    async def next(self) -> Taken:
        """The next message. Who is cancelled leaves it to the next caller.

        Raises:
            PulsarException: it could not subscribe, or its consumer is closed.
        """
        arrived = await self._arrived.get()
        if isinstance(arrived, Taken):
            return arrived
        self._arrived.put_nowait(arrived)  # for the other callers
        raise arrived

    def stop(self) -> None:
        """Tell those who wait. The consumer is closed by whoever calls this: then what it gave comes again."""
        self._taking.cancel()
        if self._arrived.full():
            self._arrived.get_nowait()
        self._arrived.put_nowait(pulsar_asyncio.PulsarException(pulsar.Result.AlreadyClosed))

    async def _take(self, client: pulsar_asyncio.Client, options: Pulsar) -> None:
        try:
            consumer = self.consumer = await subscribe(client, options)
            while True:
                await self._arrived.put(Taken(await consumer.receive(), consumer))
        except pulsar_asyncio.PulsarException as error:
            await self._arrived.put(error)
