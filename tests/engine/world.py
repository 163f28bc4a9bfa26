"""A world for the engine's tests: memory with a virtual clock, where time is moved by hand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from orderway import App, Business, Money, Order, Retry, ScriptedChannel
from orderway.adapters import memory_ports
from orderway.memory import MemoryDatabase
from orderway.testing.clock import VirtualClock

PRICE = Money(1999, "CNY")


class Shop(Business[dict[str, Any]]):
    """Records what its hooks were called with; ``fail`` makes a hook raise so many times."""

    order_type = 1
    retry = Retry(first=timedelta(seconds=1), cap=timedelta(seconds=60), jitter=0, deadline=timedelta(hours=1))
    refund_within = timedelta(hours=1)

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.fail: dict[str, int] = {}

    def called(self, hook: str) -> int:
        return sum(name == hook for name, _ in self.calls)

    def note(self, hook: str, order: Order[Any]) -> None:
        self.calls.append((hook, order.id))
        if self.fail.get(hook, 0) > 0:
            self.fail[hook] -= 1
            raise RuntimeError(f"{hook} was told to fail")

    async def deliver(self, order: Order[Any], delivery: Any) -> None:
        self.note("deliver", order)
        delivery.execute("INSERT INTO goods VALUES (:id)", {"id": order.id}, expect=1)

    async def finished(self, order: Order[Any]) -> None:
        self.note("finished", order)

    async def ended(self, order: Order[Any]) -> None:
        self.note("ended", order)


@dataclass
class World:
    """One database, one clock, one channel; any number of Apps."""

    stack: AsyncExitStack
    clock: VirtualClock = field(default_factory=VirtualClock)
    database: MemoryDatabase = field(default_factory=MemoryDatabase)

    def __post_init__(self) -> None:
        self.channel = ScriptedChannel(self.clock)
        self.database.goods.execute("CREATE TABLE goods (id TEXT)")

    async def app(self, *businesses: Business[Any], **options: Any) -> App:
        """A started App on this world's database."""
        app = App(memory_ports(self.database), clock=self.clock, channels=[self.channel], **options)
        for business in businesses:
            app.register(business)
        return await self.stack.enter_async_context(app)

    def delivered(self, order: Order[Any]) -> int:
        """How often the goods of an order were handed over."""
        (count,) = self.database.goods.execute("SELECT count(*) FROM goods WHERE id = ?", (order.id,)).fetchone()
        return int(count)

    async def until(self, condition: Callable[[], Awaitable[bool]], most_s: float = 7200, step_s: float = 0.25) -> None:
        """Move time until an awaitable condition holds."""
        for _ in range(int(most_s / step_s)):
            if await condition():
                return
            await self.clock.advance(step_s)
        raise AssertionError(f"not reached within {most_s} s of virtual time")
