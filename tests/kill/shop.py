"""A shop that kills itself at a named point; started again without one, it takes up its orders and ends them.

    python shop.py FOLDER [--die-at POINT --nth N] [--bug fresh-key|fresh-refund-key]
    python shop.py --serve          # one JSON list of such arguments a line; answers with the wait status of each

Right before it kills itself it writes the point's name to FOLDER/died-at. Without ``--die-at`` it writes the points
that it passed, with their numbers, to FOLDER/passed.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sqlite3
import sys
import traceback
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio._backends._asyncio  # before the fork, as the adapters below
from kill_points import KillPoints, kill_at_trips, killing_connection
from manifest import MANIFEST, REFUSED_MINOR, UNTOLD_MINOR, orders_url
from order_database import OrderDatabase, open_database

from orderway import App, Business, Money, Pay, Retry, receipts
from orderway.adapters import Ports, ports_for
from orderway.channels.scripted import DOUBLED, LOST, PaysLater, Refuses, ScriptedChannel
from orderway.core.money import define_currency
from orderway.core.order import Order, Stage
from orderway.sql import ledger, sequence, store, workers
from orderway.sql.dialects import sqlite
from orderway.sql.dialects.mysql import session
from orderway.sql.dialects.postgresql import link
from orderway.sql.network import database
from orderway.system_clock import SystemClock
from orderway.testing.watched import watched_business, watched_channel, watched_ports

PRELOADED = (anyio._backends._asyncio, database, ledger, link, sequence, session, sqlite, store, workers)
"""Loaded before the fork: otherwise each shop would load its adapters anew, which takes longer than its work."""

UNDONE = frozenset({Stage.RETURNING, Stage.REFUNDING, Stage.REFUNDED})
define_currency(MANIFEST["points"])
TYPES = {"execute": 1, "transaction": 2, "receipt": 3, "steps": 4}


class ShopBusiness(Business[dict[str, Any]]):
    """What all kinds of orders share."""

    retry = Retry(first=timedelta(milliseconds=50), cap=timedelta(milliseconds=200), deadline=timedelta(minutes=5))
    query_every = timedelta(milliseconds=150)

    async def finished(self, order: Order[Any]) -> None:
        pass

    async def ended(self, order: Order[Any]) -> None:
        pass


class ByExecute(ShopBusiness):
    order_type = TYPES["execute"]

    async def can_forward(self, order: Order[Any]) -> None:
        pass

    async def deliver(self, order: Order[Any], delivery: Any) -> None:
        delivery.execute("INSERT INTO goods VALUES (:number)", {"number": order.own_number}, expect=1)

    async def take_back(self, order: Order[Any], delivery: Any) -> None:
        delivery.execute("INSERT INTO came_back VALUES (:number)", {"number": order.own_number}, expect=1)


class ByTransaction(ShopBusiness):
    order_type = TYPES["transaction"]

    async def deliver(self, order: Order[Any], delivery: Any) -> None:
        async with delivery.transaction() as connection:
            await connection.execute("INSERT INTO goods VALUES (:number)", {"number": order.own_number})


class ByReceipt(ShopBusiness):
    order_type = TYPES["receipt"]

    def __init__(self, path: Path) -> None:
        self.path = path

    def deliver(self, order: Order[Any], delivery: Any) -> None:
        connection = sqlite3.connect(self.path, timeout=30)
        try:
            with connection:
                if delivery.receipt(connection):
                    connection.execute("INSERT INTO goods VALUES (?)", (order.own_number,))
        finally:
            connection.close()


class BySteps(ShopBusiness):
    order_type = TYPES["steps"]

    async def deliver(self, order: Order[Any], delivery: Any) -> None:
        picked = await delivery.step("pick", lambda key: key)
        await delivery.step("pack", lambda _: [picked])
        delivery.execute("INSERT INTO goods VALUES (:number)", {"number": order.own_number}, expect=1)


GOODS = ("goods", "came_back")
"""Without a unique key: what is delivered twice shall show."""


async def make_goods(orders: OrderDatabase) -> None:
    """The goods that are kept with the orders."""
    found = {row["name"] for row in await orders.fetch(orders.list_tables)}
    for table in GOODS:
        if table not in found:
            await orders.execute(f"CREATE TABLE {table} (own_number VARCHAR(40) NOT NULL)")


def make_shop(path: Path) -> None:
    """The goods that are kept elsewhere, with their receipts."""
    connection = sqlite3.connect(path, timeout=30)
    for table in GOODS:
        connection.execute(f"CREATE TABLE IF NOT EXISTS {table} (own_number TEXT NOT NULL)")
    receipts.create_table(connection)
    connection.commit()
    connection.close()


def parts_of(entry: dict[str, Any]) -> str | list[Pay] | None:
    """How an order of the manifest is paid; the bank takes the rest."""
    parts = entry["parts"]
    if len(parts) <= 1:
        return parts[0]["channel"] if parts else None
    pay = []
    for part in parts[:-1]:
        amount, worth = Money(part["amount_minor"], part["currency"]), Money(part["worth_minor"], MANIFEST["currency"])
        pay.append(Pay(part["channel"], amount, worth if amount.currency != worth.currency else None))
    return [*pay, Pay(parts[-1]["channel"])]


async def sell(app: App, entry: dict[str, Any], clock: SystemClock) -> None:
    """Create one order of the manifest, or find it, carry it forward, and do to it what an operator does."""
    amount = Money(entry["price_minor"], MANIFEST["currency"]) if entry["parts"] else None
    order = await app.create(
        TYPES[entry["kind"]], entry["uid"], amount=amount, pay=parts_of(entry), own_number=entry["own_number"]
    )
    if entry["parts"] and entry["parts"][0]["channel"] == "gateway":
        await app.record_payment(order.id, order.amount, reference=f"paid-{entry['own_number']}")
    await app.forward(order)
    if not (entry["cancel"] or entry["refund_minor"]):
        return
    never = asyncio.Event()
    while (await app.get(order.id)).stage not in {Stage.FINISHED, *UNDONE}:
        await clock.wait(never, 0.02)
    who = {"actor": "ops", "reason": "the customer was not happy"}
    if entry["cancel"]:
        await app.cancel(order.id, **who)
    else:
        await app.refund(order.id, Money(entry["refund_minor"], MANIFEST["currency"]), key="unhappy", **who)
    await app.forward(order.id)


async def all_ended(orders: OrderDatabase, clock: SystemClock) -> None:
    """Wait until no order is due any more."""
    never = asyncio.Event()
    while (await orders.fetch("SELECT count(*) AS due FROM ow_orders_0 WHERE due_at_us IS NOT NULL"))[0]["due"]:
        await clock.wait(never, 0.02)


async def heart_has_beaten(orders: OrderDatabase, clock: SystemClock) -> None:
    """Wait for two heartbeats: where nothing else is done any more, the second is a trip of its own."""
    never = asyncio.Event()
    count = "SELECT sum(beats) AS beats FROM ow_workers"
    began = (await orders.fetch(count))[0]["beats"]
    while (await orders.fetch(count))[0]["beats"] < began + 2:
        await clock.wait(never, 0.02)


def open_ports(url: str, points: KillPoints) -> Ports:
    """Ports whose every statement passes points; not started yet."""
    if url.startswith("sqlite:"):
        return ports_for(url, factory=killing_connection(points))
    kill_at_trips(points)
    return ports_for(url)


async def main(arguments: argparse.Namespace) -> None:
    folder: Path = arguments.folder
    points = KillPoints()
    points.arm(folder, None, 0)
    url = orders_url(folder)
    ports = open_ports(url, points)
    clock = SystemClock()
    soon = PaysLater(timedelta(milliseconds=30), DOUBLED)
    script = {REFUSED_MINOR: Refuses(), UNTOLD_MINOR: PaysLater(timedelta(milliseconds=30), LOST)}
    bank = ScriptedChannel(clock, script, default=soon, path=folder / "bank.db", name="bank")
    app = App(
        watched_ports(ports, points),
        channels=[watched_channel(bank, points)],
        wallets=("wallet", "points"),
        beat_every_s=0.1,
        dead_after_s=0.4,
    )
    for wallet in ("wallet", "points"):
        app.channels[wallet] = watched_channel(app.channels[wallet], points)
    for business in (ByExecute(), ByTransaction(), ByReceipt(folder / "shop.db"), BySteps()):
        app.register(watched_business(business, points))
    bank.notify = lambda body, headers: app.notify("bank", body, headers)
    make_shop(folder / "shop.db")
    await ports.start()
    async with open_database(url) as orders:
        await make_goods(orders)
        points.arm(folder, arguments.die_at, arguments.nth)
        async with app:
            stop = asyncio.Event()
            bell = asyncio.create_task(bank.run(stop))
            for top_up in MANIFEST["top_ups"]:
                money = Money(top_up["amount_minor"], top_up["currency"])
                await app.wallet.top_up(top_up["uid"], money, key=top_up["key"])
            await asyncio.gather(*(sell(app, entry, clock) for entry in MANIFEST["orders"]))
            await all_ended(orders, clock)
            await heart_has_beaten(orders, clock)
            stop.set()
            await bell
    bank.disconnect()
    (folder / "passed.json").write_text(json.dumps(points.passes))


def run(argv: list[str]) -> None:
    """Be the shop that these arguments describe."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--die-at")
    parser.add_argument("--nth", type=int, default=1)
    parser.add_argument("--bug", choices=["fresh-key", "fresh-refund-key"])
    arguments = parser.parse_args(argv)
    if arguments.bug == "fresh-key":
        true_key = Order.payment_key
        # Of wallets only, and not of holds: under ever new keys a payment at the bank, and a hold, would never be found
        # again, and nothing end.
        Order.payment_key = (
            lambda self, leg: (  # type: ignore[method-assign]
                f"{self.id[:20]}-{uuid.uuid4().hex[:10]}"
                if leg.channel == "wallet" and not leg.holds
                else true_key(self, leg)
            )
        )
    if arguments.bug == "fresh-refund-key":
        Order.refund_key = lambda self, refund: f"{self.id}-r{uuid.uuid4().hex[:6]}"  # type: ignore[method-assign]
    asyncio.run(main(arguments))


def serve() -> None:
    """Fork a shop for each line: the interpreter and the package are loaded once, the processes are real."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                run(json.loads(line))
                code = 0
            except BaseException:
                traceback.print_exc()
                raise
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{status}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        serve()
    else:
        run(sys.argv[1:])
