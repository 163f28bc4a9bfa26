"""A run: one order in the hands of one worker, with its business, while it is carried forward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from orderway.core.facts import Fact
from orderway.core.order import Order
from orderway.ports.business import Business
from orderway.ports.store import Statement
from orderway.recorder import FOR_PEOPLE, Decide, Recorder

__all__ = ["Run", "with_data"]


class Run:
    """The order as this worker knows it; each recorded fact makes it another one.

    Args:
        order: held by this worker.
        business: of its type.
        recorder: writes the facts.
    """

    __slots__ = ("business", "order", "recorder")

    def __init__(self, order: Order[Any], business: Business[Any], recorder: Recorder) -> None:
        self.business = business
        self.recorder = recorder
        self.order = order
        self.adopt(order)

    @property
    def now_us(self) -> int:
        """The clock's time."""
        return self.recorder.clock.now_us()

    @property
    def remaining_us(self) -> int:
        """What is left until the order's deadline; negative when it is past."""
        return self.order.deadline_at_us - self.now_us

    @property
    def is_watched(self) -> bool:
        """True while a person must see to the order, and is to be told so again and again."""
        business = self.business
        return self.order.stage in FOR_PEOPLE and business.alert_every is not None and business.overrides("alert")

    def adopt(self, order: Order[Any]) -> None:
        """Go on with the order as it is now."""
        order._decode = self.business.decode
        self.order = order

    def changed_data(self) -> str | None:
        """The order's data as JSON text if a hook has changed it, else None."""
        if self.order._data is None:
            return None
        text = self.business.encode(self.order._data)
        return text if text != self.order.data_text else None

    async def record(
        self, decide: Decide, *, due_in_us: int | None = None, statements: Sequence[Statement] = ()
    ) -> None:
        """Write the facts that follow, and with them what hooks have changed in the data: see ``Recorder.record``."""
        data = self.changed_data()
        chosen = decide if data is None else _with(decide, data)
        self.adopt(await self.recorder.record(self.order, chosen, due_in_us=due_in_us, statements=statements))

    async def let_go(self) -> None:
        """Let go of an order that has come to its end: nothing is due any more."""
        order = self.order
        assert order.holder is not None, "only a held order can be let go"
        store = self.recorder.store
        if await store.postpone(order.id, order.version, order.holder, None, 0, order.last_error):
            order.due_at_us = order.holder = None

    async def postpone(self, wait_us: int, error: str, *, failed: bool) -> bool:
        """Let go of the order, to be looked at again after so long.

        Returns:
            False if a fact has come from outside, or the time is now: the order is still held, and goes on.
        """
        order = self.order
        assert order.holder is not None, "only a held order can be let go"
        due_at_us = self.now_us + wait_us
        attempts = order.attempts + (failed and not self.is_watched)  # of what is watched it counts the alerts
        store = self.recorder.store
        if await store.postpone(order.id, order.version, order.holder, due_at_us, attempts, error):
            order.due_at_us, order.attempts, order.last_error, order.holder = due_at_us, attempts, error, None
            return True
        self.adopt(await self.recorder.still_held(order))
        return False


def with_data(facts: Sequence[Fact], data: str | None) -> Sequence[Fact]:
    """These facts, the first of them with the order's new data, if there is any."""
    return facts if data is None or not facts else (replace(facts[0], data=data), *facts[1:])


def _with(decide: Decide, data: str) -> Decide:
    return lambda order: with_data(decide(order), data)
