"""Callers who buy without a pause while their database dies, and what must be true of it afterwards."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

from databases import Session

from orderway import App, Business, Money, Retry
from orderway.adapters import ports_for
from orderway.core.order import Order
from orderway.errors import Unavailable
from orderway.system_clock import SystemClock

__all__ = ["Load", "audit", "selling"]

CALLERS = 16
PRICE = Money(7, "CNY")
TOP_UP = Money(10_000_000, "CNY")
SOON_S = 0.05


class Goods(Business[dict[str, Any]]):
    order_type = 1
    retry = Retry(first=timedelta(milliseconds=50), cap=timedelta(milliseconds=200), deadline=timedelta(hours=1))

    async def deliver(self, order: Order[Any], delivery: Any) -> None:
        delivery.execute("INSERT INTO goods VALUES (:name)", {"name": order.id}, expect=1)


class Load:
    """Callers who create orders and carry them forward, each with its own wallet.

    A caller who hears that the database did not answer asks again with the same number, as the docs tell.
    """

    def __init__(self, app: App) -> None:
        self.told: set[str] = set()
        """Orders that a caller was told of."""
        self.refusals = 0
        """How often a caller heard that the database did not answer."""
        self._app = app
        self._clock = SystemClock()
        self._stop = asyncio.Event()
        self._sold = asyncio.Condition()
        self._numbers = itertools.count(1)

    async def again(self, call: Callable[[], Any]) -> Any:
        """What a call returns once the database answers; a caller pauses before asking again."""
        while True:
            try:
                return await call()
            except Unavailable:
                self.refusals += 1
                await self._clock.wait(asyncio.Event(), SOON_S)

    async def until_sold(self, more: int) -> None:
        """Wait until so many more orders were created and carried forward."""
        wanted = len(self.told) + more
        async with asyncio.timeout(60), self._sold:
            await self._sold.wait_for(lambda: len(self.told) >= wanted)

    async def run(self) -> None:
        """Buy until ``stop``."""
        async with asyncio.TaskGroup() as callers:
            for number in range(CALLERS):
                callers.create_task(self._buy(f"user-{number}"))

    def stop(self) -> None:
        """Have all callers finish what they are at."""
        self._stop.set()

    async def _buy(self, uid: str) -> None:
        while not self._stop.is_set():
            asked: dict[str, Any] = {"amount": PRICE, "pay": "wallet", "own_number": str(next(self._numbers))}
            order = await self.again(partial(self._app.create, 1, uid, **asked))
            self.told.add(order.id)
            await self.again(partial(self._app.forward, order.id))
            async with self._sold:
                self._sold.notify_all()


@asynccontextmanager
async def selling(url: str) -> AsyncIterator[Load]:
    """An App under load. On leaving, callers finish, and the App is closed once no order is due any more."""
    app = App(ports_for(url, answer_within_s=5.0), beat_every_s=0.2, dead_after_s=2.0)
    app.register(Goods())
    # A caller who hears anything else ends the test at once.
    async with app, asyncio.TaskGroup() as group:
        for number in range(CALLERS):
            await app.wallet.top_up(f"user-{number}", TOP_UP, key="all")
        load = Load(app)
        callers = group.create_task(load.run())
        yield load
        load.stop()
        async with asyncio.timeout(60):
            await callers
            while (await load.again(app.overview))["due"]:
                await app.clock.wait(asyncio.Event(), SOON_S)


async def audit(session: Session, told: set[str]) -> int:
    """Check, by bare SQL, that nothing was lost or doubled; returns how many orders there are."""
    orders = await session.run("SELECT id, stage, due_at_us FROM ow_orders_0")
    ids = {order_id for order_id, _, _ in orders}
    assert told <= ids, f"lost: {told - ids}"
    assert {(stage, due) for _, stage, due in orders} == {("finished", None)}
    goods = await session.run("SELECT name FROM goods")
    assert sorted(name for (name,) in goods) == sorted(ids), "each order is delivered once"
    [(paid, counted)] = await session.run("SELECT sum(captured_minor), count(*) FROM ow_legs_0 WHERE state = 'paid'")
    assert (paid, counted) == (PRICE.amount_minor * len(ids), len(ids))
    [(wallets,)] = await session.run("SELECT sum(balance_minor) FROM ow_accounts_0")
    assert wallets == CALLERS * TOP_UP.amount_minor - paid, "wallets paid for each order once"
    lines = await session.run("SELECT account, sum(amount_minor) FROM ow_lines_0 GROUP BY account")
    assert dict(lines) == {"wallet": wallets, "house:sales": paid, "house:funding": -CALLERS * TOP_UP.amount_minor}
    return len(ids)
