"""Hinting: sends hints after the commit, and acts on those that come. Without it orders go on, only later."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, NamedTuple

from orderway.circuit import Circuit
from orderway.core.hints import Hint, decode, encode
from orderway.core.order import Order
from orderway.errors import InvalidValue, OrderNotFound, OrderwayError, Unavailable
from orderway.logs import kind_of, tell_bug
from orderway.ports.business import Business
from orderway.ports.clock import Clock
from orderway.ports.queue import Message, Queue
from orderway.ports.store import Store

__all__ = ["Hinting"]

logger = logging.getLogger("orderway")

MOST_WAITING = 10_000
"""Hints that wait to be sent; what comes beyond is left out, for its order is due all the same."""
MOST_SENDING = 64
UNKNOWN_TRIES = 5
"""So often an order that is not there is looked for: a hint may be faster than the commit that it speaks of."""
MOST_TRIES = 100
"""A bound also where the queue does not know how old a message is."""
LONGEST_PAUSE_S = 60.0
ASK_AGAIN_AFTER_S = 5.0
"""So soon at the latest a queue that was down is asked for hints again."""


class _Outcome(NamedTuple):
    """What became of a hint, in one word, and how its message is settled: again after so long, buried, or done."""

    name: str
    again_s: float | None = None
    is_dead: bool = False


class Hinting:
    """One process's end of the queue.

    A hint says *look at this order now*; whether there is anything to do, the row decides. So it may come twice, late,
    early, for an order that is finished or that somebody else is carrying, or not at all.

    Args:
        queue: where hints travel.
        store: where the orders are.
        forward: carries an order as far as it goes.
        businesses: those served here, by order type.
        clock: for instants and pauses.
        delay_s: how long after an order's creation, or payment, its hint comes.
        lifetime_s: a hint that is older is not tried again when acting on it fails.
        most_at_once: how many hints are acted on at once.

    Attributes:
        outcomes: how many hints were ``sent`` or ``unsent``, and what became of those that came: ``carried``, ``early``
            (nothing is due yet), ``finished``, ``unserved`` (its type is another worker's), ``retried``, and, buried,
            ``unreadable``, ``unknown_order``, ``wrong_user``, ``expired``.
        lag_s: how long the last hint was under way beyond its delay, in seconds.
    """

    def __init__(
        self,
        queue: Queue,
        store: Store,
        forward: Callable[[str], Awaitable[Order[Any]]],
        businesses: Mapping[int, Business[Any]],
        clock: Clock,
        *,
        delay_s: float = 60.0,
        lifetime_s: float = 3600.0,
        most_at_once: int = 64,
    ) -> None:
        self.queue = queue
        self.delay_s = delay_s
        self.outcomes: Counter[str] = Counter()
        self.lag_s = 0.0
        self._store = store
        self._forward = forward
        self._businesses = businesses
        self._clock = clock
        self._lifetime_us = round(lifetime_s * 1_000_000)
        self._most_at_once = most_at_once
        self._circuit = Circuit(clock, "orders go on without hints")
        self._waiting: deque[tuple[Hint, float]] = deque()
        self._stirred = asyncio.Event()
        self._sending: set[asyncio.Task[None]] = set()
        self._acting: set[asyncio.Task[None]] = set()
        self._sender: asyncio.Task[None] | None = None

    # ---- sending --------------------------------------------------------------------------------------------------

    async def send(self, hint: Hint, delay_s: float | None = None) -> None:
        """Send a hint; it is with the queue when this returns.

        Raises:
            Unavailable: the queue does not answer. The order is due all the same.
            InvalidValue: the delay is out of bounds.
        """
        await self._send(hint, self.delay_s if delay_s is None else delay_s)
        self.outcomes["sent"] += 1

    def send_soon(self, hint: Hint, delay_s: float | None = None) -> None:
        """Have a hint sent, after the commit that it speaks of. Never waits, and never fails: see ``outcomes``."""
        if len(self._waiting) >= MOST_WAITING or not self._circuit.may_ask():
            self.outcomes["unsent"] += 1
            return
        self._waiting.append((hint, self.delay_s if delay_s is None else delay_s))
        self._stirred.set()

    async def _send(self, hint: Hint, delay_s: float) -> None:
        due_at_us = self._clock.now_us() + round(delay_s * 1_000_000)
        await self.queue.send(encode(hint), {"due-at-us": str(due_at_us)}, delay_s)

    async def _send_waiting(self) -> None:
        """Send what waits, many at once but not all; ends with ``close``."""
        sending = asyncio.Semaphore(MOST_SENDING)
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            while self._waiting:
                await sending.acquire()
                task = self._spawn(self._send_one(*self._waiting.popleft()), self._sending)
                task.add_done_callback(lambda _: sending.release())

    async def _send_one(self, hint: Hint, delay_s: float) -> None:
        try:
            await self._send(hint, delay_s)
        except OrderwayError as error:
            self.outcomes["unsent"] += 1
            self._circuit.failed(error)
        else:
            self.outcomes["sent"] += 1
            self._circuit.answered()

    # ---- life -----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Get ready on this event loop. A queue that is down stops nobody."""
        await self.queue.start(self._clock)
        self._stirred = asyncio.Event()
        self._sender = asyncio.create_task(self._send_waiting())

    async def close(self) -> None:
        """Send what waits, as far as the queue answers, then close it. Idempotent."""
        if self._sender is None:
            return
        self._sender.cancel()
        await asyncio.gather(self._sender, return_exceptions=True)
        self._sender = None
        while self._waiting and not self._circuit.is_open:
            await asyncio.gather(
                *(self._send_one(*self._waiting.popleft()) for _ in range(min(64, len(self._waiting))))
            )
        self.outcomes["unsent"] += len(self._waiting)
        self._waiting.clear()
        while self._sending:
            await asyncio.wait(self._sending)
        await self.queue.close()

    def _spawn(self, work: Coroutine[Any, Any, None], among: set[asyncio.Task[None]]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        among.add(task)
        task.add_done_callback(among.discard)
        return task

    # ---- receiving ------------------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Act on the hints that come, until stopped; then finish those in hand."""
        hands = asyncio.Semaphore(self._most_at_once)
        receiving = asyncio.create_task(self._receive(hands))
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({receiving, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)
        try:
            while self._acting:
                await asyncio.wait(self._acting)
        except asyncio.CancelledError:
            for task in self._acting:  # what they have not settled comes again
                task.cancel()
            raise

    async def _receive(self, hands: asyncio.Semaphore) -> None:
        pause_s, never = 0.5, asyncio.Event()
        while True:
            await hands.acquire()
            try:
                message = await self.queue.receive()
            except asyncio.CancelledError:
                hands.release()
                raise
            except Exception as error:  # noqa: BLE001 - a receiver that stopped would be missed only by late orders
                hands.release()
                if pause_s == 0.5:
                    why = kind_of(error)
                    logger.warning("no hints come from %s, it is asked again and again: %s", self.queue.where, why)
                await self._clock.wait(never, pause_s)
                pause_s = min(pause_s * 2, ASK_AGAIN_AFTER_S)
                continue
            pause_s = 0.5
            task = self._spawn(self._take(message), self._acting)
            task.add_done_callback(lambda _: hands.release())

    async def _take(self, message: Message) -> None:
        """Act on one message, and settle it. Where settling fails it comes again, which does no harm."""
        try:
            self._note_lag(message)
            outcome = await self._act(message)
            self.outcomes[outcome.name] += 1
            if outcome.is_dead:
                logger.warning("a hint from %s was buried: %s", self.queue.where, outcome.name)
                await self.queue.bury(message, outcome.name)
            elif outcome.again_s is not None:
                await self.queue.retry(message, outcome.again_s)
            else:
                await self.queue.ack(message)
        except Unavailable as error:
            self.outcomes["unsettled"] += 1
            logger.info("a hint could not be settled, and will come again: %s", error)
        except Exception as error:  # noqa: BLE001 - the next one may be
            tell_bug("a hint could not be acted on", error)

    async def _act(self, message: Message) -> _Outcome:
        try:
            hint = decode(message.body)
        except InvalidValue:
            return _Outcome("unreadable", is_dead=True)
        try:
            order = await self._store.get(hint.order_id)
            if hint.uid and hint.uid != order.uid:
                return _Outcome("wrong_user", is_dead=True)
            if order.due_at_us is None:
                return _Outcome("finished")
            if order.due_at_us > self._clock.now_us():
                return _Outcome("early")
            if order.type not in self._businesses:
                return _Outcome("unserved")
            await self._forward(order.id)
        except OrderNotFound:
            return self._again(message, "unknown_order", UNKNOWN_TRIES)
        except Exception as error:  # noqa: BLE001 - whatever it is, the row says when to look again
            logger.info("order %s could not be forwarded on a hint: %s", hint.order_id, type(error).__name__)
            return self._again(message, "expired", MOST_TRIES)
        return _Outcome("carried")

    def _again(self, message: Message, why: str, most_tries: int) -> _Outcome:
        """Once more later, unless it is too old or was tried too often: then it is buried."""
        too_old = message.sent_at_us and self._clock.now_us() - message.sent_at_us > self._lifetime_us
        if too_old or message.tries >= most_tries - 1:
            return _Outcome(why, is_dead=True)
        return _Outcome("retried", again_s=min(2.0 ** min(message.tries, 10), LONGEST_PAUSE_S))

    def _note_lag(self, message: Message) -> None:
        due_at = message.headers.get("due-at-us", "")
        if due_at.isdecimal() and len(due_at) < 20:
            self.lag_s = max(self._clock.now_us() - int(due_at), 0) / 1_000_000
