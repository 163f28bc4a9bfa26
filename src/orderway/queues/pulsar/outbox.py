"""The sending end: a producer for each topic."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta

from pulsar import asyncio as pulsar_asyncio

from orderway.queues.pulsar.calls import Calls
from orderway.queues.pulsar.connecting import close_part, open_producer
from orderway.queues.pulsar.options import Pulsar

__all__ = ["Outbox"]

MOST_SENDING = 64
"""At once: the client takes no more than a thousand, and every one is a copy in its memory."""


class Outbox:
    """Producers, each made when it is first needed, and made anew when it has lost its broker.

    Args:
        client: of the queue.
        options: where, and how.
        calls: of the queue.
    """

    def __init__(self, client: pulsar_asyncio.Client, options: Pulsar, calls: Calls) -> None:
        self._client = client
        self._options = options
        self._calls = calls
        self._producers: dict[str, asyncio.Task[pulsar_asyncio.Producer]] = {}
        self._sending = asyncio.Semaphore(MOST_SENDING)

    async def publish(self, topic: str, body: bytes, properties: Mapping[str, str], delay_s: float = 0) -> None:
        """Publish a message; it is on the disks of Pulsar when this returns.

        Raises:
            PulsarException: nothing was confirmed.
        """
        after = timedelta(seconds=delay_s) if delay_s else None
        async with self._sending:
            made = self._producer(topic)
            producer = await asyncio.shield(made)
            try:
                await producer.send(body, properties=dict(properties), deliver_after=after)
            except pulsar_asyncio.PulsarException:
                # Its next attempt to connect may be a minute away. A new producer's is not.
                if not producer.is_connected() and self._producers.get(topic) is made:
                    del self._producers[topic]
                    self._calls.begin(close_part(producer))
                raise

    def _producer(self, topic: str) -> asyncio.Task[pulsar_asyncio.Producer]:
        made = self._producers.get(topic)
        if made is None or (made.done() and made.exception() is not None):
            made = self._producers[topic] = self._calls.begin(open_producer(self._client, topic, self._options))
        return made
