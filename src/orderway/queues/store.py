"""The queue in the orders' own database: no broker to run, and as durable as the orders."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence

from orderway.errors import Unavailable
from orderway.ports.clock import Clock
from orderway.ports.limits import check_message
from orderway.ports.mailbox import Letter, Mailbox
from orderway.ports.queue import DELAYS, REDELIVERS, SURVIVES_RESTART, Buried, Message, Queue

__all__ = ["StoreQueue"]

LOOK_EVERY_S = 0.5
TAKEN_FOR_US = 30_000_000
"""So long a receiver may keep a message; if it died, the message comes again after that."""
AT_ONCE = 64


class StoreQueue(Queue):
    """The ``Queue`` port over a mailbox, which is looked into twice a second while it is empty.

    Args:
        mailbox: of the orders' database, which is opened and closed by whoever made it.
        where: the database, for people.
        survives: whether the database outlives its server.
    """

    def __init__(self, mailbox: Mailbox, where: str, *, survives: bool = True) -> None:
        self._mailbox = mailbox
        self._where = where
        self._survives = survives
        self._clock: Clock | None = None
        self._taken: deque[Letter] = deque()
        self._in_hand: dict[int, Letter] = {}
        self._wake = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None

    @property
    def where(self) -> str:
        """The database, for people."""
        return self._where

    @property
    def capabilities(self) -> frozenset[str]:
        """All, if the database outlives its server."""
        return frozenset({DELAYS, REDELIVERS, SURVIVES_RESTART} if self._survives else {DELAYS, REDELIVERS})

    async def start(self, clock: Clock) -> None:
        """Get ready, on this event loop."""
        self._clock = clock
        self._wake = asyncio.Event()

    async def close(self) -> None:
        """Put back what was received and not settled. Idempotent."""
        clock, self._clock = self._clock, None
        if clock is None:
            return
        if self._looking is not None:
            await asyncio.gather(self._looking, return_exceptions=True)
        for letter in [*self._in_hand.values(), *self._taken]:
            try:
                await self._mailbox.put_back(letter, clock.now_us())
            except Unavailable:
                break  # they come again by themselves
        self._in_hand.clear()
        self._taken.clear()

    async def send(self, body: bytes, headers: Mapping[str, str] | None = None, delay_s: float = 0) -> None:
        """Have a message received after this delay."""
        check_message(body, headers or {}, delay_s)
        now_us = self._started().now_us()
        await self._mailbox.put(body, headers or {}, now_us, now_us + round(delay_s * 1_000_000))
        self._wake.set()

    async def receive(self) -> Message:
        """The next message. Waits for one."""
        while not self._taken:
            clock = self._started()
            self._wake.clear()
            await self._look(clock)
            if not self._taken:
                await clock.wait(self._wake, LOOK_EVERY_S)
        letter = self._taken.popleft()
        self._in_hand[letter.number] = letter
        return Message(letter.body, letter.headers, letter.sent_at_us, letter.tries, letter)

    async def ack(self, message: Message) -> None:
        """Settle a message: it is done."""
        self._started()
        await self._mailbox.remove(message.token)
        self._in_hand.pop(message.token.number, None)

    async def retry(self, message: Message, delay_s: float) -> None:
        """Settle a message: it shall come again after this delay."""
        due_at_us = self._started().now_us() + round(delay_s * 1_000_000)
        await self._mailbox.put_back(message.token, due_at_us)
        self._in_hand.pop(message.token.number, None)

    async def bury(self, message: Message, reason: str) -> None:
        """Settle a message: put it among the dead letters."""
        await self._mailbox.bury(message.token, reason, self._started().now_us())
        self._in_hand.pop(message.token.number, None)

    async def buried(self, limit: int = 100) -> Sequence[Buried]:
        """Dead letters, oldest first."""
        self._started()
        return await self._mailbox.buried(limit)

    async def _look(self, clock: Clock) -> None:
        """Take what is due. In a task of its own: what a cancelled caller had taken would wait for half a minute."""
        if self._looking is None:
            self._looking = asyncio.create_task(self._take(clock))
        try:
            await asyncio.shield(self._looking)
        finally:
            if self._looking is not None and self._looking.done():
                self._looking = None

    async def _take(self, clock: Clock) -> None:
        now_us = clock.now_us()
        self._taken.extend(await self._mailbox.take(now_us, now_us + TAKEN_FOR_US, AT_ONCE))

    def _started(self) -> Clock:
        if self._clock is None:
            raise Unavailable(f"the queue in {self._where} is closed")
        return self._clock
