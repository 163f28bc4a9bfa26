"""The contestants: what a caller does for one complete order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from bench.channel import CHANNEL
from orderway import GATEWAY, App, Business, Delivery, Money, Order, Pay, blocking
from orderway.core.money import define_currency

__all__ = ["CONTESTANTS", "GOODS_TABLE", "HEADLINE", "POINTS", "PRICE", "UIDS", "WALLETS", "Contestant", "Shop"]

PRICE = Money.of("9.90", "CNY")
POINTS = define_currency("POINTS", 0).code
WALLETS = ("wallet", "points")
IN_POINTS = Pay("points", Money(100, POINTS), worth=Money.of("1.00", "CNY"))
IN_MONEY = Pay("wallet", Money.of("3.00", "CNY"))
UIDS = tuple(f"user-{number:04}" for number in range(1000))
GOODS_TABLE = "CREATE TABLE bench_goods (uid TEXT PRIMARY KEY, coins INTEGER NOT NULL) WITHOUT ROWID"
ADD_COIN = "UPDATE bench_goods SET coins = coins + 1 WHERE uid = :uid"
DATA = {
    "sku": "coins-100",
    "region": "eu-central",
    "device": "android-14",
    "campaign": "autumn-2026",
    "gift": False,
    "items": [{"id": 1001, "count": 2}, {"id": 2002, "count": 1}],
    "note": "leave it with the neighbours, please",
}
"""About 200 bytes as JSON."""


class Shop(Business[dict[str, Any]]):
    """Delivers by doing nothing: what is left is Orderway's own cost."""

    order_type = 1

    async def deliver(self, order: Order[dict[str, Any]], delivery: Delivery) -> None:
        """Nothing."""


class StatementShop(Shop):
    """Goods written by ``delivery.execute``, in the transaction of the fact."""

    async def deliver(self, order: Order[dict[str, Any]], delivery: Delivery) -> None:
        """One coin more."""
        delivery.execute(ADD_COIN, {"uid": order.uid}, expect=1)


class TransactionShop(Shop):
    """Goods written in a transaction of their own."""

    async def deliver(self, order: Order[dict[str, Any]], delivery: Delivery) -> None:
        """One coin more."""
        async with delivery.transaction() as connection:
            await connection.execute(ADD_COIN, {"uid": order.uid})


async def _nothing_to_pay(app: App, uid: str) -> Order[Any]:
    return await app.forward(await app.create(1, uid))


async def _with_data(app: App, uid: str) -> Order[Any]:
    return await app.forward(await app.create(1, uid, data=DATA))


async def _prepaid(app: App, uid: str) -> Order[Any]:
    return await app.forward(await app.create(1, uid, amount=PRICE, pay="wallet"))


async def _mixed(app: App, uid: str) -> Order[Any]:
    return await app.forward(await app.create(1, uid, amount=PRICE, pay=[IN_POINTS, IN_MONEY, CHANNEL]))


async def _all_internal(app: App, uid: str) -> Order[Any]:
    return await app.forward(await app.create(1, uid, amount=PRICE, pay=[IN_POINTS, "wallet"]))


async def _pay_later(app: App, uid: str) -> Order[Any]:
    order = await app.create(1, uid, amount=PRICE, pay=GATEWAY)
    await app.record_payment(order.id, PRICE, reference=order.id)
    return await app.forward(order.id)


def _blocking(app: blocking.App, uid: str) -> Order[Any]:
    return app.forward(app.create(1, uid))


@dataclass(frozen=True, slots=True)
class Contestant:
    """How one complete order is made.

    Args:
        about: what it does, for the report.
        shop: the business.
        carry: makes one order and carries it to its end; None where ``carry_blocking`` does.
        carry_blocking: the same on ``orderway.blocking.App``, from a thread a caller.
        paid: each order costs ``PRICE``, and what was captured is added up afterwards.
        goods: each order adds a coin, which is counted afterwards.
        sweep: the sweeper runs beside the callers, as it does by default.
    """

    about: str
    shop: type[Shop]
    carry: Callable[[App, str], Awaitable[Order[Any]]] | None = None
    carry_blocking: Callable[[blocking.App, str], Order[Any]] | None = None
    paid: bool = False
    goods: bool = False
    sweep: bool = True


HEADLINE = "nothing to pay"
CONTESTANTS = {
    HEADLINE: Contestant("async deliver, no finished hook", Shop, _nothing_to_pay),
    "with data": Contestant("nothing to pay, about 200 bytes of data", Shop, _with_data),
    "prepaid": Contestant("from a wallet", Shop, _prepaid, paid=True),
    "prepaid, execute": Contestant(
        "from a wallet; goods by delivery.execute", StatementShop, _prepaid, paid=True, goods=True
    ),
    "prepaid, transaction": Contestant(
        "from a wallet; goods by delivery.transaction", TransactionShop, _prepaid, paid=True, goods=True
    ),
    "mixed": Contestant(
        "points and wallet held, a channel charged at once, then both captured", Shop, _mixed, paid=True
    ),
    "mixed, all internal": Contestant(
        "points held, the wallet charged, then the points captured", Shop, _all_internal, paid=True
    ),
    # Its caller forwards: with the sweeper beside it, the two would race for each order, and who wins is no speed.
    "pay later": Contestant(
        "create, record_payment, forward; without the sweeper", Shop, _pay_later, paid=True, sweep=False
    ),
    "blocking": Contestant("nothing to pay; blocking.App, one thread a caller", Shop, carry_blocking=_blocking),
}
