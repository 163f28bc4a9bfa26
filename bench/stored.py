"""Files with many orders in them, made at once by the plain driver: what the other measures look into."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from orderway.adapters import open_ports
from orderway.core.facts import Created, Delivered, Finished, Paid
from orderway.core.ids import RANDOM_BITS, id_by_time, slot_of_uid
from orderway.core.journal import Stamp, begin, record
from orderway.core.order import Order
from orderway.core.payment import GATEWAY, Leg
from orderway.sql.rows import INSERT_COLUMNS, LEG_COLUMNS, insert_row, leg_row

__all__ = ["ORDERS_OF_A_USER", "add_orders", "make_file", "uid_of"]

ORDERS_OF_A_USER = 20
PRICE_MINOR = 990
CHUNK = 10_000
SPREAD = 1_000
"""A user's orders are spread over so many numbers; files hold a multiple of it, and so each user all of theirs."""
SECOND_US = 1_000_000
INSERT_ORDER = f"INSERT INTO ow_orders_0 ({', '.join(INSERT_COLUMNS)}) VALUES ({','.join('?' * len(INSERT_COLUMNS))})"
INSERT_LEG = (
    f"INSERT INTO ow_legs_0 (order_id, {', '.join(LEG_COLUMNS)}) VALUES ({','.join('?' * (len(LEG_COLUMNS) + 1))})"
)


def make_file(path: Path) -> None:
    """Make a file with empty tables."""

    async def make() -> None:
        await (await open_ports(f"sqlite:///{path}")).close()

    asyncio.run(make())


def add_orders(path: Path, first: int, last: int, due: int, advance: Callable[[int], None]) -> None:
    """Add orders of numbers from ``first`` up to ``last``; the first ``due`` of them are due, the rest finished.

    Rows and legs are as Orderway writes them; their journals are left out, which no measure reads.

    Args:
        path: a file with tables.
        first, last: half open.
        due: so many are paid, not delivered, held by nobody, and due since an hour ago.
        advance: told after each chunk how many orders were added.
    """
    began_us = time.time_ns() // 1_000 - 3600 * SECOND_US
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")  # nothing here is measured, nor to be kept
        connection.execute("PRAGMA cache_size = -262144")
        for start in range(first, last, CHUNK):
            orders = [
                _order(number, began_us + number, is_due=number - first < due)
                for number in range(start, min(start + CHUNK, last))
            ]
            connection.executemany(INSERT_ORDER, [insert_row(order, slot_of_uid(order.uid)) for order in orders])
            connection.executemany(INSERT_LEG, [leg_row(order.id, leg) for order in orders for leg in order.legs])
            connection.commit()
            advance(len(orders))


def uid_of(number: int) -> str:
    """Whose order this number is: of ``SPREAD`` numbers in a row, each user has 20."""
    users = SPREAD // ORDERS_OF_A_USER
    return f"user-{number // SPREAD * users + number % users:07}"


def _order(number: int, at_us: int, *, is_due: bool) -> Order[None]:
    uid = uid_of(number)
    order_id = id_by_time(at_us, number * 2_654_435_761 % 2**RANDOM_BITS, slot_of_uid(uid))
    created = Created(
        order_type=1,
        uid=uid,
        amount_minor=PRICE_MINOR,
        currency="CNY",
        legs=(Leg(0, GATEWAY, PRICE_MINOR, "CNY"),),
        deadline_at_us=at_us + 24 * 3600 * SECOND_US,
        fingerprint=f"{number:064x}",
        data='{"sku":"coins-100","count":1}',
    )
    stamp = Stamp(at_us, f"{number:016x}", f"{number:032x}")
    order, _ = begin(order_id, created, stamp)
    paid = Paid(leg=0, amount_minor=PRICE_MINOR, reference=f"ref-{number:012}", deadline_at_us=created.deadline_at_us)
    order, _ = record(order, paid, stamp)
    if is_due:
        order.due_at_us = at_us
        return order
    for fact in (Delivered(), Finished()):
        order, _ = record(order, fact, stamp)
    return order
