"""What is bought, and what must have become of it: plain data, as the auditor of the tests of kill -9 reads it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from order_database import OrderDatabase

__all__ = ["CURRENCY", "PRICE_MINOR", "make_folder", "make_goods", "orders_for", "top_ups_for"]

CURRENCY = "CNY"
PRICE_MINOR = 700
UIDS = 20
PAID_BY = {"coins": "wallet", "gifts": None, "cards": "gateway", "parcels": "wallet"}
ELSEWHERE = {"shop.db": ("goods",), "bank.db": ("captures", "payments", "refunds")}
"""Other databases that the auditor looks into; this shop has nothing there."""

Row = dict[str, Any]


def orders_for(count: int) -> list[Row]:
    """So many orders, of all kinds in turn."""
    kinds = list(PAID_BY)
    return [_order(f"{kinds[number % len(kinds)]}-{number}", f"user-{number % UIDS}") for number in range(count)]


def _order(own_number: str, uid: str) -> Row:
    kind = own_number.partition("-")[0]
    channel = PAID_BY[kind]
    part = {"channel": channel, "amount_minor": PRICE_MINOR, "currency": CURRENCY, "worth_minor": PRICE_MINOR}
    return {
        "own_number": own_number,
        "kind": kind,
        "uid": uid,
        "parts": [part | {"back_minor": 0}] if channel else [],
        "price_minor": PRICE_MINOR if channel else 0,
        "ends": "finished",
        "refund_minor": 0,
        "cancel": False,
    }


def top_ups_for(orders: Sequence[Row]) -> list[Row]:
    """Money enough for each user, and a bit more."""
    enough = PRICE_MINOR * len(orders)
    uids = sorted({order["uid"] for order in orders})
    return [{"key": f"t-{uid}", "uid": uid, "amount_minor": enough, "currency": CURRENCY} for uid in uids]


def make_folder(folder: Path, url: str, orders: Sequence[Row]) -> None:
    """A folder as the auditor expects it."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest = {"currency": CURRENCY, "orders_url": url, "orders": orders, "top_ups": top_ups_for(orders)}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    for name, tables in ELSEWHERE.items():
        with closing(sqlite3.connect(folder / name)) as connection:
            for table in tables:
                connection.execute(f"CREATE TABLE {table} (own_number TEXT)")


async def make_goods(orders: OrderDatabase) -> None:
    """The goods, without a unique key: what is delivered twice shall show."""
    for table in ("goods", "came_back"):
        await orders.execute(f"CREATE TABLE {table} (own_number VARCHAR(40) NOT NULL)")
