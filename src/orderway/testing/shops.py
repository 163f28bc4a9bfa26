"""Shops for scenarios: each delivers, closes or hesitates in another way; and what their runs are judged by."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

from orderway import receipts
from orderway.core.money import Money
from orderway.core.order import Order
from orderway.ports.business import Business, Cancel, Hold, Retry, Verdict
from orderway.testing.explorer import Scenario
from orderway.testing.world import Worker, World

UID = "ann"
PRICE = Money(990, "CNY")
GOODS = "INSERT INTO goods (order_id) VALUES (:id)"


class Shop(Business[dict[str, Any]]):
    """Delivers by ``delivery.execute``; retries soon, so that runs are short."""

    order_type = 1
    retry = Retry(first=timedelta(seconds=1), cap=timedelta(seconds=4))
    query_every = timedelta(seconds=2)

    def __init__(self, world: World) -> None:
        self.world = world

    async def deliver(self, order: Order[dict[str, Any]], delivery: Any) -> None:
        """Goods in the orders' database, with the fact."""
        delivery.execute(GOODS, {"id": order.id}, expect=1)

    def ran(self, hook: str) -> None:
        """Note that a hook ran."""
        self.world.notes[hook] = self.world.notes.get(hook, 0) + 1


class ClosingShop(Shop):
    """Has closing hooks, as coroutines."""

    async def finished(self, order: Order[dict[str, Any]]) -> None:
        """Noted."""
        self.ran("finished")

    async def ended(self, order: Order[dict[str, Any]]) -> None:
        """Noted."""
        self.ran("ended")


class WaitingShop(Shop):
    """Waits for a top-up when the balance is short."""

    when_short = "wait"
    pay_within = timedelta(seconds=40)


class TransactionShop(Shop):
    """Delivers in a transaction of its own."""

    async def deliver(self, order: Order[dict[str, Any]], delivery: Any) -> None:
        """Goods in the orders' database; the fact is the last statement."""
        async with delivery.transaction() as connection:
            await connection.execute(GOODS, {"id": order.id})


class BlockingTransactionShop(Shop):
    """The same, with plain ``def`` hooks that run in threads."""

    def deliver(self, order: Order[dict[str, Any]], delivery: Any) -> None:  # type: ignore[override] # plain, no coroutine
        """Goods in the orders' database; the fact is the last statement."""
        with delivery.transaction() as connection:
            connection.execute(GOODS, {"id": order.id})

    def finished(self, order: Order[dict[str, Any]]) -> None:
        """Noted."""
        self.ran("finished")


class ReceiptShop(Shop):
    """Delivers into another database, with a receipt."""

    async def deliver(self, order: Order[dict[str, Any]], delivery: Any) -> None:
        """Goods and receipt in one transaction over there."""
        elsewhere = self.world.elsewhere
        elsewhere.execute("BEGIN IMMEDIATE")
        try:
            if delivery.receipt(elsewhere):
                elsewhere.execute(GOODS, {"id": order.id})
            elsewhere.execute("COMMIT")
        finally:
            if elsewhere.in_transaction:  # an error, or the death of the process: the database rolls back
                elsewhere.execute("ROLLBACK")


class StepShop(Shop):
    """Delivers in three steps, the first two at somebody else's who knows keys."""

    async def deliver(self, order: Order[dict[str, Any]], delivery: Any) -> None:
        """Reserve, ship, and enter the goods."""
        reserved = await delivery.step("reserve", self._reserve)
        await delivery.step("ship", self._ship)
        order.data["reserved"] = reserved["by"]
        delivery.execute(GOODS, {"id": order.id}, expect=1)

    async def _reserve(self, key: str) -> dict[str, str]:
        self.world.notes.setdefault("reserved", set()).add(key)
        return {"by": key}

    def _ship(self, key: str) -> str:
        self.world.notes.setdefault("shipped", set()).add(key)
        return key


class ApiShop(Shop):
    """Delivers through somebody else's API, which knows keys."""

    async def deliver(self, order: Order[dict[str, Any]], delivery: Any) -> None:
        """The API does once what it is asked for under one key."""
        self.world.notes.setdefault("granted", {})[delivery.key] = order.id


class WaveringShop(ClosingShop):
    """Out of stock when it is asked first, in stock from then on."""

    verdict: Verdict = Cancel("out of stock")

    async def can_forward(self, order: Order[dict[str, Any]]) -> Verdict:
        """Has a verdict at the first time of asking."""
        self.ran("asked")
        return self.verdict if self.world.notes["asked"] == 1 else None


class CarefulShop(WaveringShop):
    """Wants a person to look when it is asked first."""

    verdict = Hold("a large order")


class AlertingShop(Shop):
    """Delivers nothing until it is mended, and has a person told of each order that is stuck."""

    retry = Retry(first=timedelta(seconds=1), cap=timedelta(seconds=4), most_attempts=2)
    alert_every = timedelta(seconds=5)

    async def deliver(self, order: Order[dict[str, Any]], delivery: Any) -> None:
        """Fails while the warehouse is down."""
        if not self.world.notes.get("mended"):
            raise ConnectionError("the warehouse is down")
        await super().deliver(order, delivery)

    async def alert(self, order: Order[dict[str, Any]]) -> None:
        """Noted, with the time."""
        self.world.notes.setdefault("alerted", []).append(self.world.clock.now_us())


# ---- what the runs are judged by


def create_elsewhere(world: World) -> None:
    """The tables of ``ReceiptShop``."""
    receipts.create_table(world.elsewhere)
    world.elsewhere.execute("CREATE TABLE goods (order_id TEXT NOT NULL)")


def goods_elsewhere(world: World) -> Mapping[str, int]:
    """Deliveries of ``ReceiptShop``."""
    rows = world.elsewhere.execute("SELECT order_id, count(*) FROM goods GROUP BY order_id")
    return dict(rows.fetchall())


def granted(world: World) -> Mapping[str, int]:
    """Deliveries of ``ApiShop``: one for each key that the API knows."""
    keys: dict[str, str] = world.notes.get("granted", {})
    return {order_id: list(keys.values()).count(order_id) for order_id in keys.values()}


def each_step_has_one_key(world: World) -> Iterable[str]:
    """``StepShop`` has reserved and shipped once."""
    for step in ("reserved", "shipped"):
        if len(world.notes[step]) != 1:
            yield f"{step} under the keys {world.notes[step]}, one is allowed"


def hook_ran(hook: str) -> Callable[[World], Iterable[str]]:
    """This closing hook has run at least once."""
    return lambda world: () if world.notes.get(hook) else [f"hook {hook} never ran"]


def told_and_not_too_often(world: World) -> Iterable[str]:
    """``AlertingShop`` told of its order when it got stuck and later again; twice in a period only after a fault."""
    alerted: list[int] = world.notes.get("alerted", [])
    if len(alerted) < 2:
        yield f"a person was told {len(alerted)} times"
    faults = sum(len(worker.points.plans) for worker in world.workers)
    periods = (max(alerted) - min(alerted)) // 5_000_000 if alerted else 0
    if len(alerted) > periods + 1 + faults:
        yield f"a person was told {len(alerted)} times in {periods} periods"


def scenario(name: str, shop: type[Shop], drive: Callable[[Worker], Awaitable[None]], **others: Any) -> Scenario:
    """A scenario of one shop."""
    return Scenario(name, lambda world: [shop(world)], drive, **others)
