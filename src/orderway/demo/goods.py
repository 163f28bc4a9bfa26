"""The goods: the shop's own tables, in the file of the orders. Nothing in them prevents a double delivery or return."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing

from orderway.adapters import open_ports
from orderway.demo.settings import Folder

__all__ = ["ADD_TO_CUSTOMER", "SEND", "TAKE_BACK", "prepare"]

_TABLES = """
CREATE TABLE demo_deliveries (order_id TEXT NOT NULL, line INTEGER NOT NULL, uid TEXT NOT NULL, cds INTEGER NOT NULL);
CREATE TABLE demo_returns (order_id TEXT NOT NULL, line INTEGER NOT NULL, uid TEXT NOT NULL, cds INTEGER NOT NULL);
CREATE TABLE demo_customers (uid TEXT PRIMARY KEY, cds INTEGER NOT NULL DEFAULT 0);
"""

SEND = "INSERT INTO demo_deliveries (order_id, line, uid, cds) VALUES (:order_id, :line, :uid, :cds)"
TAKE_BACK = "INSERT INTO demo_returns (order_id, line, uid, cds) VALUES (:order_id, :line, :uid, :cds)"
ADD_TO_CUSTOMER = "UPDATE demo_customers SET cds = cds + :cds WHERE uid = :uid"


async def prepare(folder: Folder, uids: Iterable[str]) -> None:
    """Make the SQLite file: Orderway's tables, and the shop's own with a row for each customer."""
    ports = await open_ports(folder.url)
    await ports.close()
    with closing(sqlite3.connect(folder.orders)) as connection:
        connection.executescript(_TABLES)
        connection.executemany("INSERT INTO demo_customers (uid) VALUES (?)", ((uid,) for uid in uids))
        connection.commit()
