"""The shop of the races: its orders in one SQLite file, its bank in another; every process opens both."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from orderway import App, Business, ScriptedChannel
from orderway.core.order import Order
from orderway.system_clock import SystemClock

__all__ = ["CURRENCY", "bank_of", "open_app"]

CURRENCY = "CNY"


class Goods(Business[dict[str, Any]]):
    order_type = 1
    query_every = timedelta(milliseconds=50)

    async def deliver(self, order: Order[Any], delivery: Any) -> None:
        delivery.execute("INSERT INTO goods VALUES (:id)", {"id": order.id}, expect=1)


def bank_of(folder: Path) -> ScriptedChannel:
    """The bank, at which everybody pays at once and everything goes back at once."""
    return ScriptedChannel(SystemClock(), path=folder / "bank.db", name="bank")


def open_app(folder: Path) -> App:
    """An App on the shared files; it moves orders only when it is told to."""
    app = App(f"sqlite:///{folder / 'orders.db'}", channels=[bank_of(folder)], sweep=False)
    app.register(Goods())
    return app
