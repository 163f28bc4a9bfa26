"""A shop over one SQLite file and a Redis; as a program it takes up one order, and is killed while it delivers.

python redis_shop.py DATABASE REDIS ORDER
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from orderway import App, Business, Money, Order
from orderway.redis import Redis
from orderway.system_clock import SystemClock

PRICE = Money(500, "CNY")


class Shop(Business[dict[str, Any]]):
    """Hands goods over; before that it does what it is told."""

    order_type = 1

    def __init__(self, before: Callable[[], Awaitable[None]] | None = None) -> None:
        self.before = before

    async def deliver(self, order: Order[Any], delivery: Any) -> None:
        if self.before is not None:
            await self.before()
        delivery.execute("INSERT INTO goods VALUES (:id)", {"id": order.id}, expect=1)


class Ahead(SystemClock):
    """The machine's clock, which can be set ahead."""

    ahead_s = 0.0

    def monotonic_s(self) -> float:
        return super().monotonic_s() + self.ahead_s


def make_app(path: Path, redis: str | Redis, shop: Shop, **options: Any) -> App:
    """An App over the file, not started yet."""
    app = App(f"sqlite:///{path}", redis=redis, **options)
    app.register(shop)
    return app


def make_goods(path: Path) -> None:
    """The table of the goods: no constraint hides a second delivery."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE IF NOT EXISTS goods (id TEXT)")


def delivered(path: Path) -> list[str]:
    """The ids of the orders whose goods were handed over, once a delivery."""
    with closing(sqlite3.connect(path)) as connection:
        return [order_id for (order_id,) in connection.execute("SELECT id FROM goods ORDER BY id")]


async def _die_delivering(path: Path, redis: str, order_id: str) -> None:
    async def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    async with make_app(path, Redis(redis, answer_within_s=5.0), Shop(die), sweep=False) as app:
        await app.forward(order_id)


if __name__ == "__main__":
    asyncio.run(_die_delivering(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
