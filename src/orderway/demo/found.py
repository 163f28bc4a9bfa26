"""What the databases hold when all is over, read with plain SQL: no engine is asked for its opinion."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from contextlib import closing
from dataclasses import dataclass, field

from orderway.demo.settings import Folder

__all__ = ["Channel", "Found", "Leg", "Order", "Refund", "read_channel", "read_orders"]


@dataclass(frozen=True, slots=True)
class Leg:
    """A payment of an order: ``worth`` in cents of its price, ``captured`` and ``refunded`` in its own currency."""

    channel: str
    state: str
    currency: str
    worth: int
    captured: int
    refunded: int
    reference: str


@dataclass(frozen=True, slots=True)
class Refund:
    """A refund of an order."""

    leg: int
    amount: int
    worth: int
    why: str
    state: str


@dataclass(slots=True)
class Order:
    """An order, with what was delivered for it and what was taken back: numbers of CDs, one for each time."""

    id: str
    uid: str
    stage: str
    amount: int
    refunds: list[Refund]
    legs: list[Leg] = field(default_factory=list)
    deliveries: list[int] = field(default_factory=list)
    returns: list[int] = field(default_factory=list)

    @property
    def paid(self) -> int:
        """What was paid of its price, in cents."""
        return sum(leg.worth for leg in self.legs if leg.state == "paid")

    @property
    def back(self) -> int:
        """What went back of its price, in cents."""
        return sum(refund.worth for refund in self.refunds if refund.state == "returned")


@dataclass(slots=True)
class Found:
    """The orders' file.

    Args:
        orders: by the shop's own number; one each, if all is well.
        accounts: of the ledger: sums of its lines, by account and currency.
        balances: of the customers' wallets, by currency.
        topped_up: what customers had put into them, by currency.
        sent, returned, owned: numbers of CDs, as the shop's own tables add up to.
        told: payments and refunds that callbacks of the channel were the first to tell of.
        asked: payments through the channel that nobody told of, found by asking.
    """

    orders: dict[str, list[Order]]
    accounts: Counter[tuple[str, str]]
    balances: Counter[str]
    topped_up: Counter[str]
    sent: int
    returned: int
    owned: int
    told: int
    asked: int

    @property
    def every(self) -> list[Order]:
        """All orders."""
        return [order for orders in self.orders.values() for order in orders]


@dataclass(slots=True)
class Channel:
    """The channel's own file.

    Args:
        came: the payments that it took: by its own reference, amount and currency.
        back: the refunds that it made: by payment reference, amount and currency.
    """

    came: Counter[tuple[str, int, str]]
    back: Counter[tuple[str, int, str]]

    def paid_for(self) -> set[str]:
        """The orders that something came for: a reference is made from the payment's key, which begins with the id."""
        return {reference.split("-")[1] for reference, _, _ in self.came}


def read_orders(folder: Folder) -> Found:
    """Read the orders' file."""
    with closing(sqlite3.connect(f"{folder.orders.as_uri()}?mode=ro", uri=True)) as connection:
        news = "fact IN ('Paid', 'PartPaid', 'UnexpectedPayment', 'Refunded', 'RefundRefused')"
        told = """body LIKE '%"actor":"scripted"%'"""
        asked = f"""fact NOT LIKE 'Refund%' AND body LIKE '%"reference":"S%' AND NOT {told}"""
        amounts = "SELECT account, currency, sum(amount_minor) FROM ow_lines_0 GROUP BY account, currency"
        funded = "SELECT currency, sum(amount_minor) FROM ow_lines_0 WHERE account = 'wallet' AND key LIKE 'own:%'"
        return Found(
            orders=_orders(connection),
            accounts=Counter({(account, code): sum_ for account, code, sum_ in connection.execute(amounts)}),
            balances=_sums(connection, "SELECT currency, sum(balance_minor) FROM ow_accounts_0 GROUP BY currency"),
            topped_up=_sums(connection, f"{funded} GROUP BY currency"),
            sent=_count(connection, "SELECT sum(cds) FROM demo_deliveries"),
            returned=_count(connection, "SELECT sum(cds) FROM demo_returns"),
            owned=_count(connection, "SELECT sum(cds) FROM demo_customers"),
            told=_count(connection, f"SELECT count(*) FROM ow_journal_0 WHERE {news} AND {told}"),
            asked=_count(connection, f"SELECT count(*) FROM ow_journal_0 WHERE {news} AND {asked}"),
        )


def read_channel(folder: Folder) -> Channel:
    """Read the channel's file."""
    with closing(sqlite3.connect(f"{folder.channel.as_uri()}?mode=ro", uri=True)) as connection:
        came = "SELECT reference, amount_minor, currency FROM captures WHERE at_us IS NOT NULL"
        back = "SELECT payment_reference, amount_minor, currency FROM refunds WHERE result = 'returned'"
        return Channel(Counter(connection.execute(came).fetchall()), Counter(connection.execute(back).fetchall()))


def _orders(connection: sqlite3.Connection) -> dict[str, list[Order]]:
    by_id: dict[str, Order] = {}
    by_number: defaultdict[str, list[Order]] = defaultdict(list)
    columns = "own_number, id, uid, stage, amount_minor, refunds"
    for number, order_id, uid, stage, amount, refunds in connection.execute(f"SELECT {columns} FROM ow_orders_0"):
        order = Order(order_id, uid, stage, amount, [_refund(each) for each in json.loads(refunds)])
        by_id[order_id] = order
        by_number[number].append(order)
    legs = "order_id, channel, state, currency, worth_minor, captured_minor, refunded_minor, reference"
    for order_id, *leg in connection.execute(f"SELECT {legs} FROM ow_legs_0 ORDER BY order_id, number"):
        if order_id in by_id:  # what belongs to no order shows in the sums
            by_id[order_id].legs.append(Leg(*leg))
    for table in ("deliveries", "returns"):
        for order_id, cds in connection.execute(f"SELECT order_id, cds FROM demo_{table}"):
            if order_id in by_id:
                getattr(by_id[order_id], table).append(cds)
    return by_number


def _refund(stored: dict[str, object]) -> Refund:
    leg, amount, worth = (int(str(stored[name])) for name in ("leg", "amount_minor", "worth_minor"))
    return Refund(leg, amount, worth, str(stored["why"]), str(stored["state"]))


def _sums(connection: sqlite3.Connection, sql: str) -> Counter[str]:
    return Counter(dict(connection.execute(sql).fetchall()))


def _count(connection: sqlite3.Connection, sql: str) -> int:
    return int(connection.execute(sql).fetchone()[0] or 0)
