"""The sweeper: finds orders that are due, and carries them forward. It is what makes the row a promise."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from orderway.core.order import Order
from orderway.errors import OrderwayError, Unavailable
from orderway.logs import kind_of, tell_bug
from orderway.ports.clock import Clock

__all__ = ["Sweeper"]

logger = logging.getLogger("orderway")


class Sweeper:
    """Claims due orders in batches and forwards them, at most so many at once.

    A type whose orders are many, or slow, does not keep the others waiting: half of the hands are for whatever is
    longest due, the other half is shared out among the types served here, each of which always has its own.

    Args:
        claim: takes hold of at most so many due orders of these types, the longest due first.
        types: the order types that are served here, as they are now.
        forward: carries one claimed order on.
        clock: for the waiting.
        most_at_once: bound on orders in hand; also bounds the memory.
        poll_s: how often the store is asked for due orders when nobody wakes the sweeper.
        beside: awaited after each look for due orders: what else is to be looked for now and then.
    """

    def __init__(
        self,
        claim: Callable[[Sequence[int], int], Awaitable[Sequence[Order[Any]]]],
        types: Callable[[], Sequence[int]],
        forward: Callable[[Order[Any]], Awaitable[Any]],
        clock: Clock,
        most_at_once: int = 256,
        poll_s: float = 0.5,
        beside: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self._claim = claim
        self._types = types
        self._forward = forward
        self._clock = clock
        self.most_at_once = most_at_once
        self._poll_s = poll_s
        self._beside = beside
        self._wake = asyncio.Event()
        self._in_hand: dict[asyncio.Task[None], int] = {}
        self.forwarded = 0

    def wake(self) -> None:
        """Look for due orders now."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Sweep until stopped; then let the orders in hand come to their next stop. Cancelled, it drops them."""
        self._wake = asyncio.Event()  # of the loop that it runs on now
        try:
            while not stop.is_set():
                self._wake.clear()
                try:
                    await self.sweep_once()
                    if self._beside is not None:
                        await self._beside()
                except Unavailable as error:
                    logger.warning("sweeping failed, will be tried again: %s", error)
                except Exception as error:  # noqa: BLE001 - a sweeper that stopped would be missed by late orders only
                    tell_bug("sweeping failed, will be tried again", error)
                await self._clock.wait(self._wake, self._poll_s)
            await self.drain()
        except asyncio.CancelledError:
            for task in self._in_hand:
                task.cancel()
            await self.drain()
            raise

    async def sweep_once(self) -> int:
        """Claim what is due, as far as there are free hands, and start forwarding it; returns how many orders."""
        types = self._types()
        own = self.most_at_once // (2 * len(types)) if len(types) > 1 else 0
        held = Counter(self._in_hand.values())
        shared = self.most_at_once - own * len(types) - sum(max(held[each] - own, 0) for each in types)
        claimed = await self._take(types, shared)
        if claimed < shared:  # nothing else is due
            return claimed
        # There may be more. What is not to wait behind it has hands of its own.
        held = Counter(self._in_hand.values())
        for each in types:
            claimed += await self._take([each], own - held[each])
        return claimed

    async def _take(self, types: Sequence[int], hands: int) -> int:
        """Claim as many orders as there are hands for, and start forwarding them; returns how many."""
        if hands <= 0:
            return 0
        orders = await self._claim(types, hands)
        put_down = self._put_down_and_wake if len(orders) == hands else self._put_down
        for order in orders:
            task = asyncio.create_task(self._carry(order))
            self._in_hand[task] = order.type
            task.add_done_callback(put_down)
        return len(orders)

    async def sweep(self) -> int:
        """Claim and forward until nothing is due any more; returns how many orders were looked at."""
        total = 0
        while True:
            started = await self.sweep_once()
            if not started and not self._in_hand:
                return total
            total += started
            if self._in_hand:
                await asyncio.wait(self._in_hand, return_when=asyncio.FIRST_COMPLETED)

    async def drain(self) -> None:
        """Wait for the orders in hand."""
        while self._in_hand:
            await asyncio.wait(self._in_hand)

    async def _carry(self, order: Order[Any]) -> None:
        fields = {"order_id": order.id, "order_type": order.type}
        try:
            await self._forward(order)
            self.forwarded += 1
        except OrderwayError as error:
            # The row still says when to look again: nothing is lost, whatever went wrong here.
            logger.warning("order %s could not be forwarded now: %s", order.id, kind_of(error), extra=fields)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other orders go on
            tell_bug(f"order {order.id} could not be forwarded now", error, **fields)

    def _put_down(self, task: asyncio.Task[None]) -> None:
        del self._in_hand[task]

    def _put_down_and_wake(self, task: asyncio.Task[None]) -> None:
        """After an order of a full batch, of which there may be more: look again, with this hand free already."""
        self._put_down(task)
        self._wake.set()
