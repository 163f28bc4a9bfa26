"""The businesses of the scenarios of money."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from orderway.core.order import Order, Stage
from orderway.ports.business import Cancel, Retry, Verdict
from orderway.testing.shops import (
    GOODS,
    ApiShop,
    ClosingShop,
    ReceiptShop,
    Shop,
    StepShop,
    TransactionShop,
)

__all__ = [
    "SOON",
    "AskingShop",
    "BrokenStepShop",
    "DataShop",
    "PatientShop",
    "ReturnByApiShop",
    "ReturnByReceiptShop",
    "ReturnByTransactionShop",
    "ReturnShop",
    "RevivingShop",
    "SilentShop",
    "SoldOutShop",
    "SoonShop",
]

SOON = Retry(first=timedelta(seconds=1), cap=timedelta(seconds=4), deadline=timedelta(seconds=40))


class SoonShop(ClosingShop):
    """Closes unpaid orders soon, gives up refunds soon."""

    pay_within = timedelta(seconds=8)
    refund_within = timedelta(seconds=60)


class RevivingShop(SoonShop):
    """Carries an order out that is paid too late."""

    late_payment = "revive"


class AskingShop(SoonShop):
    """Wants a person to decide on every odd payment."""

    late_payment = "ask"
    second_payment = "ask"


class PatientShop(SoonShop):
    """Gives wrong amounts back, and waits on for the right one."""

    pay_within = timedelta(seconds=60)
    wrong_payment = "give_back"


class ReturnShop(SoonShop):
    """Takes goods back by statements that commit with the fact, and keeps a list of what came back."""

    async def take_back(self, order: Order[dict[str, Any]], delivery: Any) -> None:
        """The goods are deleted, and entered among what came back."""
        delivery.execute("DELETE FROM goods WHERE order_id = :id", {"id": order.id})
        delivery.execute("INSERT INTO came_back (order_id) VALUES (:id)", {"id": order.id})


class SilentShop(ClosingShop):
    """Asks its channel seldom: what nobody tells it is found out when the order is to be closed."""

    pay_within = timedelta(seconds=8)
    query_every = timedelta(seconds=60)


class ReturnByTransactionShop(TransactionShop):
    """Takes goods back in a transaction of its own."""

    async def take_back(self, order: Order[dict[str, Any]], delivery: Any) -> None:
        """The goods are deleted; the fact is the last statement."""
        async with delivery.transaction() as connection:
            await connection.execute("DELETE FROM goods WHERE order_id = :id", {"id": order.id})


class ReturnByReceiptShop(ReceiptShop):
    """Takes goods back in another database."""

    async def take_back(self, order: Order[dict[str, Any]], delivery: Any) -> None:
        """Once; and a delivery that comes later finds the tombstone."""
        elsewhere = self.world.elsewhere
        elsewhere.execute("BEGIN IMMEDIATE")
        try:
            if delivery.receipt(elsewhere) and delivery.tombstone(elsewhere):
                elsewhere.execute(f"DELETE FROM goods WHERE order_id = '{order.id}'")
                self.ran("taken back")
            elsewhere.execute("COMMIT")
        finally:
            if elsewhere.in_transaction:
                elsewhere.execute("ROLLBACK")


class ReturnByApiShop(ApiShop):
    """Takes goods back from somebody else, who knows keys and refuses a delivery that was forestalled."""

    async def deliver(self, order: Order[dict[str, Any]], delivery: Any) -> None:
        """Refused over there if it was forestalled."""
        if delivery.key not in self.world.notes.setdefault("forestalled", set()):
            await super().deliver(order, delivery)

    async def take_back(self, order: Order[dict[str, Any]], delivery: Any) -> None:
        """The delivery's key is used up over there, whether it was used or not."""
        self.world.notes.setdefault("forestalled", set()).add(delivery.delivered_key)
        self.world.notes.setdefault("granted", {}).pop(delivery.delivered_key, None)


class SoldOutShop(ClosingShop):
    """Finds out after the payment that there is nothing to deliver."""

    async def can_forward(self, order: Order[dict[str, Any]]) -> Verdict:
        """Yes before it is paid, no after."""
        return Cancel("sold out") if order.stage is Stage.PAID else None


class BrokenStepShop(StepShop):
    """Has a step that fails until an operator leaves it out."""

    retry = SOON

    def _ship(self, key: str) -> str:
        raise ConnectionError("the carrier is gone")


class DataShop(Shop):
    """Delivers to good numbers only."""

    retry = SOON

    async def deliver(self, order: Order[dict[str, Any]], delivery: Any) -> None:
        """Fails for a bad number."""
        if order.data.get("number") != "good":
            raise ValueError("no such number")
        delivery.execute(GOODS, {"id": order.id}, expect=1)
