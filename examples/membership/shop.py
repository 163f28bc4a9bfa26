"""A shop for memberships: months are entered in a table of its own, and taken out again when an order is undone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from orderway import Business, Money, Order, Pay, define_currency

define_currency("POINTS")

TABLE = "CREATE TABLE memberships (order_id TEXT PRIMARY KEY, uid TEXT NOT NULL, months INTEGER NOT NULL)"
PRICE = Money.of("30.00", "CNY")
PARTS = [Pay("points", Money(100, "POINTS"), worth=Money.of("5.00", "CNY")), Pay("wallet"), Pay("card")]
"""A hundred points for five yuan, what the wallet holds, and the rest by card: all of it, or nothing."""


@dataclass
class Months:
    """What is ordered."""

    months: int = 1


class Membership(Business[Months]):
    """Sells months."""

    order_type = 1
    pay_within = timedelta(minutes=30)

    async def deliver(self, order: Order[Months], delivery: Any) -> None:
        """The months are entered in the transaction in which the order is delivered."""
        delivery.execute(
            "INSERT INTO memberships VALUES (:id, :uid, :months)",
            {"id": order.id, "uid": order.uid, "months": order.data.months},
            expect=1,
        )

    async def take_back(self, order: Order[Months], delivery: Any) -> None:
        """The months go in the transaction in which they are taken back; there may be none yet."""
        delivery.execute("DELETE FROM memberships WHERE order_id = :id", {"id": order.id})
