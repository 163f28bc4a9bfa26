"""A queue that does to messages whatever a queue may do to them, and worse."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from orderway.core.hints import Hint, encode
from orderway.core.ids import id_from_own_number
from orderway.ports.clock import Clock
from orderway.ports.queue import Buried, Message, Queue

__all__ = ["FAULTS", "Chaos"]

FAULTS = ("lost", "doubled", "reordered", "early", "poisoned")
POISON = (
    *(b"", b"\x00\xff\xfe", b"null", b"[]" * 100, b'{"OrderID":null}', b'{"OrderID":"","Uid":""}', b"{" * 50_000),
    *("\N{COLLISION SYMBOL}".encode(), encode(Hint(id_from_own_number(1, "nobody", "none"), "nobody"))),
)


class Chaos(Queue):
    """Sends through another queue, with one fault.

    Args:
        inner: does the work.
        fault: one of ``FAULTS``.
        seed: of what is drawn.

    Attributes:
        reached: how often the fault struck.
    """

    def __init__(self, inner: Queue, fault: str, seed: int) -> None:
        self.reached = 0
        self._inner = inner
        self._fault = fault
        self._random = random.Random(seed)

    @property
    def where(self) -> str:
        return self._inner.where

    @property
    def capabilities(self) -> frozenset[str]:
        return self._inner.capabilities

    async def start(self, clock: Clock) -> None:
        await self._inner.start(clock)

    async def close(self) -> None:
        await self._inner.close()

    async def send(self, body: bytes, headers: Mapping[str, str] | None = None, delay_s: float = 0) -> None:
        self.reached += 1
        match self._fault:
            case "lost":
                return
            case "doubled":
                for _ in range(9):
                    await self._inner.send(body, headers or {}, delay_s)
            case "early":
                delay_s = 0
            case "reordered":
                delay_s = self._random.choice((0, delay_s, 2 * delay_s))
            case "poisoned":
                await self._inner.send(self._random.choice(POISON), headers or {}, 0)
                some = encode(Hint(id_from_own_number(1, "nobody", "none"), self._random.choice(("", "nobody"))))
                await self._inner.send(some[: self._random.randrange(len(some))], headers or {}, 0)
        await self._inner.send(body, headers or {}, delay_s)

    async def receive(self) -> Message:
        return await self._inner.receive()

    async def ack(self, message: Message) -> None:
        await self._inner.ack(message)

    async def retry(self, message: Message, delay_s: float) -> None:
        await self._inner.retry(message, delay_s)

    async def bury(self, message: Message, reason: str) -> None:
        await self._inner.bury(message, reason)

    async def buried(self, limit: int = 100) -> Sequence[Buried]:
        return await self._inner.buried(limit)
