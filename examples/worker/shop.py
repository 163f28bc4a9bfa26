"""A shop whose orders are carried by workers: this module names the App, ``orderway worker shop:app`` runs it."""

from __future__ import annotations

from typing import Any

from orderway import App, Business, Order

TABLE = "CREATE TABLE IF NOT EXISTS gifts (order_id TEXT PRIMARY KEY, uid TEXT NOT NULL)"


class Gifts(Business[dict[str, Any]]):
    """Gives something away."""

    order_type = 1

    async def deliver(self, order: Order[dict[str, Any]], delivery: Any) -> None:
        """The gift is entered in the transaction in which the order is delivered."""
        delivery.execute("INSERT INTO gifts VALUES (:id, :uid)", {"id": order.id, "uid": order.uid}, expect=1)


def make_app(*, sweep: bool = True) -> App:
    """The shop's App, not started; without ``sweep`` it creates orders, and others carry them."""
    app = App("sqlite:///orders.db", sweep=sweep)
    app.register(Gifts())
    return app


app = make_app()
