"""A till for the tests: memory, a clock that stands still, and a card whose payers do as they are told."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from shop import TABLE, Membership

from orderway import App, Money, Order, ScriptedChannel
from orderway.adapters import memory_ports
from orderway.memory import MemoryDatabase
from orderway.testing.clock import VirtualClock


@dataclass
class Till:
    """An App, and all that is around it."""

    app: App
    clock: VirtualClock
    card: ScriptedChannel
    database: MemoryDatabase

    def months(self, order: Order[Any]) -> int:
        """The months that were entered for an order."""
        rows = self.database.goods.execute("SELECT months FROM memberships WHERE order_id = ?", (order.id,))
        return sum(months for (months,) in rows)

    async def settle(self, seconds: float = 5) -> None:
        """Let time pass, and the card's notifications come in."""
        await self.clock.advance(seconds)
        await self.card.deliver()
        await self.clock.advance(1)


@pytest.fixture
async def till() -> AsyncIterator[Till]:
    clock, database = VirtualClock(), MemoryDatabase()
    database.goods.execute(TABLE)
    card = ScriptedChannel(clock, name="card")
    app = App(memory_ports(database), channels=[card], wallets=("wallet", "points"), clock=clock)
    app.register(Membership())
    async with app:
        card.notify = lambda body, headers: app.notify("card", body, headers)
        await app.wallet.top_up("ann", Money(100, "POINTS"), key="welcome")
        await app.wallet.top_up("ann", Money.of("10.00", "CNY"), key="gift")
        yield Till(app, clock, card, database)
