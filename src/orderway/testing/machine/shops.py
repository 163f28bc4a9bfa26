"""The machine's three businesses. Each delivers, takes back and decides on odd payments in another way."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from orderway.core.order import Order
from orderway.ports.business import Business, Retry, Verdict

if TYPE_CHECKING:
    from orderway.testing.machine.worker import Worker

__all__ = ["DEADLINE", "PAY_WITHIN", "SHOPS", "TYPES", "WITHOUT_TAKE_BACK", "WITH_ENDED"]

DEADLINE = timedelta(seconds=60)
PAY_WITHIN = timedelta(minutes=10)


class _Obeying(Business[dict[str, Any]]):
    """What the three businesses share: they obey the world."""

    retry = Retry(first=timedelta(seconds=1), cap=timedelta(seconds=10), deadline=DEADLINE)
    pay_within = PAY_WITHIN
    refund_within = timedelta(minutes=5)
    query_every = timedelta(seconds=30)

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.world = worker.world

    async def can_forward(self, order: Order[Any]) -> Verdict:
        self.world.obey(order, "can_forward")
        return self.world.verdicts.get(order.type)

    async def begin(self, order: Order[Any], hook: str) -> None:
        await self.worker.pass_point(hook)
        self.world.obey(order, hook)

    def done(self, order: Order[Any], hook: str) -> None:
        self.world.obey(order, hook)
        self.world.hooks_done[order.id, hook] += 1


class Parcel(_Obeying):
    """Delivers by ``execute``, has both closing hooks, rejects where a balance is short, gives late money back."""

    order_type = 1

    async def deliver(self, order: Order[Any], delivery: Any) -> None:
        await self.begin(order, "deliver")
        delivery.execute("INSERT INTO goods (order_id) VALUES (:id)", {"id": order.id}, expect=1)
        order.data["delivered"] = True

    async def take_back(self, order: Order[Any], delivery: Any) -> None:
        await self.begin(order, "take_back")
        delivery.execute("DELETE FROM goods WHERE order_id = :id", {"id": order.id})
        order.data["delivered"] = False

    async def finished(self, order: Order[Any]) -> None:
        self.done(order, "finished")

    async def ended(self, order: Order[Any]) -> None:
        self.done(order, "ended")


class Ticket(_Obeying):
    """Delivers by ``transaction``, has no closing hooks, waits for a top-up, revives what is paid late."""

    order_type = 2
    when_short = "wait"
    late_payment = "revive"
    wrong_payment = "give_back"
    refund_by = "ratio"

    async def deliver(self, order: Order[Any], delivery: Any) -> None:
        await self.begin(order, "deliver")
        async with delivery.transaction() as connection:
            await connection.execute("INSERT INTO goods (order_id) VALUES (:id)", {"id": order.id})
            self.world.obey(order, "inside")

    async def take_back(self, order: Order[Any], delivery: Any) -> None:
        await self.begin(order, "take_back")
        async with delivery.transaction() as connection:
            await connection.execute("DELETE FROM goods WHERE order_id = :id", {"id": order.id})


class Box(_Obeying):
    """Delivers in two steps and by a receipt into another database; nothing comes back; asks about odd payments."""

    order_type = 3
    late_payment = "ask"
    second_payment = "ask"

    async def deliver(self, order: Order[Any], delivery: Any) -> None:
        await self.begin(order, "deliver")
        first = await delivery.step("pick", lambda key: {"key": key})
        self.world.obey(order, "inside")
        await delivery.step("pack", lambda _: [first["key"]])
        shop = self.world.shop
        shop.execute("BEGIN")
        if delivery.receipt(shop):
            shop.execute("INSERT INTO goods VALUES (?)", (order.id,))
        shop.execute("COMMIT")
        await self.worker.pass_point("after goods")

    async def ended(self, order: Order[Any]) -> None:
        self.done(order, "ended")


SHOPS = (Parcel, Ticket, Box)
TYPES = tuple(shop.order_type for shop in SHOPS)
WITHOUT_TAKE_BACK = frozenset({Box.order_type})
WITH_ENDED = frozenset({Parcel.order_type, Box.order_type})
