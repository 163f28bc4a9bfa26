"""A shop for the tests of what is observed: memory with a virtual clock, and hooks that fail when they are told to."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from orderway import App, Business, Cancel, Money, Order, Retry, ScriptedChannel
from orderway.adapters import memory_ports
from orderway.memory import MemoryDatabase, MemoryMailbox
from orderway.ports.business import Verdict
from orderway.queues.store import StoreQueue
from orderway.testing.clock import VirtualClock

PRICE = Money(1999, "CNY")


class Gifts(Business[dict[str, Any]]):
    """Nothing to pay; ``fails`` makes ``deliver`` raise so many times, with this text."""

    order_type = 1
    retry = Retry(first=timedelta(seconds=1), cap=timedelta(seconds=60), jitter=0, deadline=timedelta(minutes=5))

    def __init__(self) -> None:
        self.fails = 0
        self.text = "the warehouse does not answer"

    async def deliver(self, order: Order[Any], delivery: Any) -> None:
        if self.fails:
            self.fails -= 1
            raise RuntimeError(self.text)


class Sales(Gifts):
    """Paid through the scripted channel, or the wallet; has all hooks."""

    order_type = 2

    def __init__(self) -> None:
        super().__init__()
        self.cancels = False

    def can_forward(self, order: Order[Any]) -> Verdict:
        return Cancel("sold out") if self.cancels else None

    def take_back(self, order: Order[Any], delivery: Any) -> None:
        """In a thread, as any plain ``def``."""

    def finished(self, order: Order[Any]) -> None:
        """In a thread, as any plain ``def``."""

    def ended(self, order: Order[Any]) -> None:
        """In a thread, as any plain ``def``."""


class Market:
    """One database, one clock, one channel, and a queue in the same database."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.database = MemoryDatabase()
        self.channel = ScriptedChannel(self.clock)
        self.gifts = Gifts()
        self.sales = Sales()

    def app(self, *businesses: Business[Any], sweep: bool = False, queue: bool = False) -> App:
        """An App that is not started; with the shop's businesses, if none are named."""
        app = App(
            memory_ports(self.database),
            clock=self.clock,
            channels=[self.channel],
            sweep=sweep,
            queue=StoreQueue(MemoryMailbox(self.database), "memory") if queue else None,
        )
        for business in businesses or (self.gifts, self.sales):
            app.register(business)
        return app
