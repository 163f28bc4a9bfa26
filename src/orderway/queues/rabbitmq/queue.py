"""The queue over RabbitMQ."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from aio_pika import DeliveryMode
from aio_pika import Message as AmqpMessage
from aio_pika.abc import AbstractIncomingMessage

from orderway.errors import Unavailable
from orderway.ports.clock import Clock
from orderway.ports.limits import check_message, check_page
from orderway.ports.queue import DELAYS, REDELIVERS, SURVIVES_RESTART, Buried, Message, Queue
from orderway.queues.rabbitmq.lines import Line, ReceivingLines, SendingLines
from orderway.queues.rabbitmq.options import Rabbitmq
from orderway.queues.rabbitmq.topology import Route, Topology

__all__ = ["RabbitmqQueue"]

SENT_AT, TRIES = "orderway-sent-at-us", "orderway-tries"
"""Headers of ours on each message: the instants of AMQP are whole seconds, and a retried message is a new one."""
REASON, BURIED_AT = "reason", "buried-at-us"
"""Headers of a dead letter."""
_OURS = ("orderway-", "x-death", "x-first-death-", "x-last-death-", "x-delivery-count", "x-acquired-count")
"""How headers begin that are not the sender's: ours, and the server's."""
_DIGITS = 18


@dataclass(slots=True)
class Delivery:
    """A message as it came, until it is settled."""

    line: Line
    incoming: AbstractIncomingMessage
    is_settled: bool = False


class RabbitmqQueue(Queue):
    """The ``Queue`` port over one queue of RabbitMQ; see ``orderway.queues.rabbitmq.topology``.

    A message to be retried or buried is published anew, and then acknowledged: if the server or this process ends in
    between, there are two of it. Dead letters lie in the queue ``<queue>.dead``.

    Args:
        options: where, and how.

    Raises:
        ConfigError: the certificates to trust cannot be read.
    """

    def __init__(self, options: Rabbitmq) -> None:
        self._options = options
        self._tls = options.tls_context()
        self._topology = Topology(options.queue, options.queue_type)
        self._clock: Clock | None = None
        self._sending: SendingLines | None = None
        self._receiving: ReceivingLines | None = None

    @classmethod
    def from_url(cls, url: str) -> Self:
        """The queue at ``amqp://user:password@host:5672/vhost?queue=order``; see ``Rabbitmq.from_url``.

        Raises:
            ConfigError: the URL cannot be read.
        """
        return cls(Rabbitmq.from_url(url))

    def __repr__(self) -> str:
        return f"RabbitmqQueue({self.where!r})"

    @property
    def where(self) -> str:
        """The queue and its server; without user and password."""
        return self._options.where

    @property
    def capabilities(self) -> frozenset[str]:
        """All."""
        return frozenset({DELAYS, REDELIVERS, SURVIVES_RESTART})

    async def start(self, clock: Clock) -> None:
        """Get ready, on this event loop. Connects to nothing yet."""
        if self._clock is None:
            self._sending = SendingLines(self._options, self._tls)
            self._receiving = ReceivingLines(self._options, self._tls)
            self._clock = clock

    async def close(self) -> None:
        """Let go of connections, and of what was received and not settled: it comes again. Idempotent."""
        self._clock = None
        await asyncio.gather(*(lines.close() for lines in (self._receiving, self._sending) if lines is not None))

    async def send(self, body: bytes, headers: Mapping[str, str] | None = None, delay_s: float = 0) -> None:
        """Have a message received after this delay, rounded up to a second. It is on the server's disk by then."""
        check_message(body, headers or {}, delay_s)
        note = {SENT_AT: str(self._started().now_us()), TRIES: "0"}
        await self._publish(body, {**(headers or {}), **note}, self._topology.route(delay_s))

    async def receive(self) -> Message:
        """The next message. Waits for one."""
        self._started()
        assert self._receiving is not None
        line, incoming = await self._receiving.next()
        return Message(
            body=incoming.body,
            headers=_headers_of(incoming),
            sent_at_us=_number(incoming.headers.get(SENT_AT)) or _microseconds(incoming.timestamp),
            tries=_number(incoming.headers.get(TRIES)) + _deliveries(incoming),
            token=Delivery(line, incoming),
        )

    async def ack(self, message: Message) -> None:
        """Settle a message: it is done. One whose connection was lost meanwhile is left alone: it comes again."""
        self._started()
        assert self._receiving is not None
        delivery: Delivery = message.token
        if not delivery.is_settled and delivery.line.lost is None:
            await self._receiving.ask_over(delivery.line, lambda _: delivery.incoming.ack())
        delivery.is_settled = True

    async def retry(self, message: Message, delay_s: float) -> None:
        """Settle a message: it shall come again after this delay, rounded up to a second."""
        self._started()
        delivery: Delivery = message.token
        if delivery.is_settled or delivery.line.lost is not None:  # then it comes again by itself
            return
        note = {SENT_AT: str(message.sent_at_us), TRIES: str(message.tries + 1)}
        await self._publish(message.body, {**message.headers, **note}, self._topology.route(delay_s))
        await self.ack(message)

    async def bury(self, message: Message, reason: str) -> None:
        """Settle a message: put it among the dead letters."""
        clock, delivery = self._started(), message.token
        if delivery.is_settled:
            return
        note = {REASON: reason, BURIED_AT: str(clock.now_us()), SENT_AT: str(message.sent_at_us)}
        await self._publish(message.body, {**message.headers, **note}, Route("", self._topology.dead, 0))
        await self.ack(message)

    async def buried(self, limit: int = 100) -> Sequence[Buried]:
        """Dead letters, oldest first: taken, looked at and put back where they were."""
        check_page(limit)
        self._started()
        assert self._sending is not None
        found = await self._sending.peek(self._topology.dead, limit)
        return sorted((_as_buried(letter) for letter in found), key=lambda letter: letter.buried_at_us)

    async def _publish(self, body: bytes, headers: Mapping[str, str], route: Route) -> None:
        self._started()
        assert self._sending is not None
        await self._sending.publish(
            AmqpMessage(body, headers=dict(headers), delivery_mode=DeliveryMode.PERSISTENT), route
        )

    def _started(self) -> Clock:
        if self._clock is None:
            raise Unavailable(f"RabbitMQ at {self.where}: this queue is closed")
        return self._clock


def _headers_of(incoming: AbstractIncomingMessage) -> dict[str, str]:
    """The sender's headers that are texts, as all of ours are; others may send anything."""
    return {
        name: value for name, value in incoming.headers.items() if isinstance(value, str) and not name.startswith(_OURS)
    }


def _deliveries(incoming: AbstractIncomingMessage) -> int:
    """How often it was delivered before, since it was last sent: a classic queue only knows whether."""
    return _number(incoming.headers.get("x-delivery-count", int(bool(incoming.redelivered))))


def _as_buried(letter: AbstractIncomingMessage) -> Buried:
    reason, buried_at = letter.headers.get(REASON), letter.headers.get(BURIED_AT)
    if isinstance(reason, str) and _number(buried_at):
        return Buried(letter.body, reason, _number(buried_at))
    # The server itself made it a dead letter; the last time it did so comes first.
    deaths: Any = letter.headers.get("x-death")
    death = deaths[0] if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict) else {}
    return Buried(letter.body, str(death.get("reason", "unknown")), _microseconds(death.get("time")))


def _number(value: object) -> int:
    """A header that should be a number, from anyone: 0 if it is none."""
    if isinstance(value, int):
        return max(value, 0)
    is_number = isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= _DIGITS
    return int(str(value)) if is_number else 0


def _microseconds(value: object) -> int:
    return round(value.timestamp()) * 1_000_000 if isinstance(value, datetime) else 0
