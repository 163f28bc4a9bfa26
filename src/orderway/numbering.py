"""Order ids that are made here: by time, or by a sequence."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from orderway.circuit import Circuit
from orderway.core import ids
from orderway.core.order import Order
from orderway.errors import ConfigError, OrderExists, Unavailable
from orderway.ports.clock import Clock
from orderway.ports.sequence import Sequence

__all__ = ["Numbering", "Write"]

logger = logging.getLogger("orderway")

Write = Callable[[str], Awaitable[Order[Any] | None]]
"""Writes the new order under this id; None if the id is taken."""

_MOST_DRAWS = 8


class Numbering:
    """Makes the ids of orders that bring none.

    Args:
        sequence: gives the numbers.
        clock: for the instants in the ids.
        entropy: gives so many random bytes.
        by: ``time`` or ``sequence``.

    Raises:
        ConfigError: there is no such way.
    """

    def __init__(
        self,
        sequence: Sequence,
        clock: Clock,
        entropy: Callable[[int], bytes],
        by: Literal["time", "sequence"] = "time",
    ) -> None:
        if by not in {"time", "sequence"}:
            raise ConfigError(f'ids is {by!r}: "time" and "sequence" are allowed')
        self.circuit = Circuit(clock, "orders get ids by time")
        self._sequence = sequence
        self._clock = clock
        self._entropy = entropy
        self.draws = by == "sequence"
        """True if new orders get ids by sequence, so that they are written by ``create``."""

    def by_time(self, uid: str, now_us: int) -> str:
        """An id made of time and randomness, without asking anything."""
        bits = int.from_bytes(self._entropy(7), "big") >> (56 - ids.RANDOM_BITS)
        return ids.id_by_time(now_us, bits, ids.slot_of_uid(uid))

    async def by_sequence(self, order_type: int, uid: str) -> str:
        """An id made of the sequence's next number.

        Raises:
            Unavailable: the sequence does not answer.
        """
        number = await self._sequence.next(f"orders:{order_type}")
        return ids.id_by_sequence(self._clock.now_us(), number, ids.slot_of_uid(uid))

    async def create(self, order_type: int, uid: str, write: Write) -> Order[Any]:
        """Write a new order under an id made here.

        A sequence that was emptied begins again, and may give a number twice within one second: an id that is taken, be
        it by an order that looks the same, is drawn again. A sequence that does not answer stops no order, it gets an
        id by time; so does one for which no free number was drawn in a few draws.

        Args:
            order_type: whose sequence.
            uid: whose slot.
            write: is called once an id.

        Raises:
            OrderExists: even an id by time is taken, which does not happen by chance.
        """
        for _ in range(_MOST_DRAWS):
            drawn = await self._draw(order_type, uid)
            if drawn is None:
                break
            order = await write(drawn)
            if order is not None:
                return order
            logger.info("the order id %s was drawn by sequence and is taken: another is drawn", drawn)
        by_time = self.by_time(uid, self._clock.now_us())
        order = await write(by_time)
        if order is None:
            raise OrderExists(f"the new order id {by_time} is taken: is the randomness any?", order_id=by_time)
        return order

    async def _draw(self, order_type: int, uid: str) -> str | None:
        if not self.circuit.may_ask():
            return None
        try:
            drawn = await self.by_sequence(order_type, uid)
        except Unavailable as error:
            self.circuit.failed(error)
            return None
        self.circuit.answered()
        return drawn
