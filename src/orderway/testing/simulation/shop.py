"""The shop of the simulation: goods in the orders' database, which it takes back when an order is undone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from orderway.core.order import Order
from orderway.ports.business import Business, Retry

__all__ = ["PATIENT", "STRICT", "Shop"]

STRICT = 1
PATIENT = 2


class Shop(Business[dict[str, Any]]):
    """Delivers by ``delivery.execute``, but not to a bad number.

    Args:
        late: True for the order type that revives orders, waits for top-ups, and gives wrong amounts back.
    """

    order_type = STRICT
    retry = Retry(first=timedelta(seconds=1), cap=timedelta(seconds=4), deadline=timedelta(seconds=40))
    pay_within = timedelta(seconds=20)
    query_every = timedelta(seconds=3)
    refund_within = timedelta(seconds=60)

    def __init__(self, *, late: bool) -> None:
        if late:
            self.order_type = PATIENT  # type: ignore[misc] # one class stands for two order types here
            self.late_payment = "revive"  # type: ignore[misc]
            self.wrong_payment = "give_back"  # type: ignore[misc]
            self.when_short = "wait"  # type: ignore[misc]
            self.refund_by = "ratio"  # type: ignore[misc]

    async def deliver(self, order: Order[dict[str, Any]], delivery: Any) -> None:
        """One row; a bad number fails until an operator corrects it."""
        if order.data.get("number") == "bad":
            raise ValueError("no such number")
        delivery.execute("INSERT INTO goods (order_id) VALUES (:id)", {"id": order.id}, expect=1)

    async def take_back(self, order: Order[dict[str, Any]], delivery: Any) -> None:
        """The row goes."""
        delivery.execute("DELETE FROM goods WHERE order_id = :id", {"id": order.id})

    async def ended(self, order: Order[dict[str, Any]]) -> None:
        """Nothing; but it is called."""
