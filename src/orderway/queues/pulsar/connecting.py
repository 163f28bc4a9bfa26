"""How the client, its consumers and its producers are set up, and closed."""

from __future__ import annotations

import asyncio
import contextlib
import os

import pulsar
from pulsar import asyncio as pulsar_asyncio

from orderway.queues.pulsar.options import Pulsar

__all__ = [
    "NACK_AFTER_S",
    "close_client",
    "close_part",
    "connect",
    "let_go",
    "open_producer",
    "subscribe",
]

NACK_AFTER_S = 0.1
"""The least that the client knows: so long after a negative acknowledgement a message is asked for again."""
MOST_TRIES = 1000
"""The backstop: who retries a message so often does not count."""


def connect(options: Pulsar) -> pulsar_asyncio.Client:
    """A client, which connects when it is first used.

    It says nothing by itself: what goes wrong is in the errors that it raises. Its log is not brought into Python's,
    because its threads would then wait for the interpreter's lock, and have been seen to wait for ever
    (https://github.com/apache/pulsar-client-python/issues/116).
    """
    within_s = options.answer_within_s
    return pulsar_asyncio.Client(
        options.service_url,
        authentication=_authentication(options),
        listener_name=options.listener or None,
        operation_timeout_seconds=within_s,
        connection_timeout_ms=within_s * 1000,
        tls_trust_certs_file_path=options.tls_trust_certs or None,
        tls_validate_hostname=True,
        stats_interval_in_seconds=0,
        logger=pulsar.FileLogger(pulsar.LoggerLevel.Error, os.devnull),
    )


def _authentication(options: Pulsar) -> pulsar.Authentication | None:
    if options.user:
        return pulsar.AuthenticationBasic(options.user, options.password)
    return pulsar.AuthenticationToken(options.token) if options.token else None


async def subscribe(client: pulsar_asyncio.Client, options: Pulsar) -> pulsar_asyncio.Consumer:
    """A consumer of the topic, from its beginning, beside all others of the subscription."""
    return await client.subscribe(
        options.full_topic,
        options.subscription,
        consumer_type=pulsar.ConsumerType.Shared,
        initial_position=pulsar.InitialPosition.Earliest,
        receiver_queue_size=options.prefetch,
        negative_ack_redelivery_delay_ms=round(NACK_AFTER_S * 1000),
        dead_letter_policy=pulsar.ConsumerDeadLetterPolicy(
            MOST_TRIES,
            dead_letter_topic=options.dead_letter_topic,
            initial_subscription_name=options.subscription,
        ),
    )


async def open_producer(client: pulsar_asyncio.Client, topic: str, options: Pulsar) -> pulsar_asyncio.Producer:
    """A producer for one of the two topics, which sends each message by itself.

    Of a batch, the whole would come again with one message of it; and what is delayed goes in none anyway. A topic has
    its subscription before its first message: Pulsar throws away what no subscription waits for.
    """
    await _keep(client, topic, options.subscription)
    return await client.create_producer(
        topic, send_timeout_millis=options.answer_within_s * 1000, batching_enabled=False
    )


async def _keep(client: pulsar_asyncio.Client, topic: str, subscription: str) -> None:
    """Make the topic's subscription, if it is not there yet. One message may come to it, and goes back."""
    keeper = await client.subscribe(
        topic,
        subscription,
        consumer_type=pulsar.ConsumerType.Shared,
        initial_position=pulsar.InitialPosition.Earliest,
        receiver_queue_size=1,
    )
    await keeper.close()


async def let_go(consumer: pulsar_asyncio.Consumer, received: pulsar.Message) -> None:
    """Have a message come again soon. A consumer that is closed has let go of all of its messages."""
    with contextlib.suppress(pulsar_asyncio.PulsarException, pulsar.PulsarException):
        await consumer.negative_acknowledge(received)


async def close_part(part: pulsar_asyncio.Consumer | pulsar_asyncio.Producer | pulsar_asyncio.Reader) -> None:
    """Close one part of a client, whatever state it is in."""
    with contextlib.suppress(pulsar_asyncio.PulsarException):
        await part.close()


async def close_client(client: pulsar_asyncio.Client, within_s: float) -> None:
    """Close a client with all of its parts: in good order if the broker answers in time, else all the same."""
    try:
        async with asyncio.timeout(within_s):
            await client.close()
    except (TimeoutError, pulsar_asyncio.PulsarException):
        await asyncio.to_thread(client.shutdown)
