"""The shops of the simulation: goods in the orders' database, which are taken back when an order is undone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from orderway.core.order import Order
from orderway.ports.business import Business, Retry

__all__ = ["PatientShop", "StrictShop"]


class StrictShop(Business[dict[str, Any]]):
    """Delivers by ``delivery.execute``, but not to a bad number; odd money that it cannot place waits for a person."""

    order_type = 1
    retry = Retry(first=timedelta(seconds=1), cap=timedelta(seconds=4), deadline=timedelta(seconds=40))
    pay_within = timedelta(seconds=20)
    query_every = timedelta(seconds=3)
    refund_within = timedelta(seconds=60)

    async def deliver(self, order: Order[dict[str, Any]], delivery: Any) -> None:
        """One row; a bad number fails until an operator corrects it."""
        if order.data["number"] == "bad":
            raise ValueError("no such number")
        delivery.execute("INSERT INTO goods (order_id) VALUES (:id)", {"id": order.id}, expect=1)

    async def take_back(self, order: Order[dict[str, Any]], delivery: Any) -> None:
        """The row goes."""
        delivery.execute("DELETE FROM goods WHERE order_id = :id", {"id": order.id})

    async def ended(self, order: Order[dict[str, Any]]) -> None:
        """Nothing; but it is called."""


class PatientShop(StrictShop):
    """Revives orders, waits for top-ups, gives wrong amounts back; delivers in steps, and has all closing hooks.

    Args:
        parcels: the keys under which a carrier was asked for a parcel; it sends one a key.
    """

    order_type = 2
    when_short = "wait"
    late_payment = "revive"
    wrong_payment = "give_back"
    refund_by = "ratio"

    def __init__(self, parcels: set[str]) -> None:
        self._parcels = parcels

    async def deliver(self, order: Order[dict[str, Any]], delivery: Any) -> None:
        """A parcel first, then the row."""
        order.data["parcel"] = await delivery.step("parcel", self._send)
        await super().deliver(order, delivery)

    async def finished(self, order: Order[dict[str, Any]]) -> None:
        """Nothing; but it is called."""

    def _send(self, key: str) -> str:
        self._parcels.add(key)
        return key
