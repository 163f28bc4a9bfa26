"""The queue: brings hints, which have an order looked at sooner. No order rests on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from orderway.ports.clock import Clock

__all__ = ["DELAYS", "REDELIVERS", "SURVIVES_RESTART", "Buried", "Message", "Queue"]

DELAYS = "delays"
"""Capability: a message is held back until its delay is over. Without it, messages come as soon as they can."""

SURVIVES_RESTART = "survives restart"
"""Capability: what was sent is still there after the server was killed and started again."""

REDELIVERS = "redelivers"
"""Capability: what a receiver took and did not settle comes again when that receiver is gone."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message in a receiver's hands, until it is settled by ``ack``, ``retry`` or ``bury``.

    Args:
        body: as it was sent; from anyone who may send there, so any bytes.
        headers: as they were sent.
        sent_at_us: when it was first sent, in microseconds since 1970, as well as the queue knows; 0 if it does not.
        tries: how often it was received before, as well as the queue knows.
        token: the queue's own; nobody else looks at it.
    """

    body: bytes
    headers: Mapping[str, str]
    sent_at_us: int
    tries: int
    token: Any = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Buried:
    """A message that nobody can do anything with, kept for people.

    Args:
        body: as it was sent.
        reason: why it was buried, for instance ``unreadable``.
        buried_at_us: when, in microseconds since 1970.
    """

    body: bytes
    reason: str
    buried_at_us: int


class Queue(Protocol):
    """Messages that each come to some receiver at least once: perhaps twice, late, early, or in another order.

    All receivers of a queue share its messages. All methods but ``start`` raise ``Unavailable`` when the server does
    not answer, within a short time; what was asked may have been done all the same. Each may be called again, and
    connects again by itself. A method whose caller is cancelled loses no message.
    """

    @property
    def where(self) -> str:
        """Which queue on which server, for people; without a password."""

    @property
    def capabilities(self) -> frozenset[str]:
        """What it can do beyond this contract: ``DELAYS``, ``SURVIVES_RESTART``, ``REDELIVERS``."""

    async def start(self, clock: Clock) -> None:
        """Get ready, on this event loop. Asks the server nothing: one that is down stops nobody from starting.

        Args:
            clock: for delays and instants, as far as they are the queue's own business.
        """

    async def close(self) -> None:
        """Let go of connections, and of what was received and not settled: it comes again. Idempotent."""

    async def send(self, body: bytes, headers: Mapping[str, str] = ..., delay_s: float = 0) -> None:
        """Have a message received after this delay. As durable as the server makes it when this returns.

        Args:
            body: at most 64 KiB.
            headers: names of lower case letters and dashes, values of ASCII.
            delay_s: seconds, rounded as the server needs it; at least 0.
        """

    async def receive(self) -> Message:
        """The next message. Waits for one."""

    async def ack(self, message: Message) -> None:
        """Settle a message: it is done. Idempotent; one that was settled otherwise, or comes again, is left alone."""

    async def retry(self, message: Message, delay_s: float) -> None:
        """Settle a message: it shall come again, with ``tries`` counted up.

        Args:
            message: as received.
            delay_s: after about so long; a queue that has only a delay of its own uses that.
        """

    async def bury(self, message: Message, reason: str) -> None:
        """Settle a message: put it among the dead letters, for people. Perhaps twice, never not at all.

        Args:
            message: as received.
            reason: one word, of lower case letters and underscores.
        """

    async def buried(self, limit: int = 100) -> Sequence[Buried]:
        """Dead letters, oldest first, at most ``limit`` (1 to 1,000); they stay where they are."""
