"""Verification of holds, mixed payments and refunds: each way to damage them gives the finding that names it."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orderway import App, Business, Money, Pay, ScriptedChannel
from orderway.adapters import ports_for
from orderway.channels.scripted import NeverPays, RefundsLater, Refuses
from orderway.core.money import define_currency
from orderway.core.order import Order
from orderway.ports.ledger import HELD, SALES, WALLET, Line, Posting
from orderway.system_clock import SystemClock
from orderway.verify import Report, verify

define_currency("POINTS")
PRICE = Money.of("12.50", "CNY")
MIXED = [
    Pay("points", Money(300, "POINTS"), worth=Money.of("3.00", "CNY")),
    Pay("wallet", Money.of("4.00", "CNY")),
    Pay("scripted"),
]
BY_HAND = {"actor": "eve", "reason": "a test"}


class Toy(Business[dict[str, Any]]):
    order_type = 1

    def deliver(self, order: Order[dict[str, Any]], delivery: Any) -> None:
        pass

    def take_back(self, order: Order[dict[str, Any]], delivery: Any) -> None:
        pass


@dataclass
class Shop:
    """A file with a mixed order of which a part went back, one that was undone, one that holds, and one that ended."""

    path: Path
    app: App
    ids: dict[str, str]

    def sql(self, statement: str) -> None:
        """Damage the file."""
        for name, order_id in self.ids.items():
            statement = statement.replace(f":{name}", f"'{order_id}'")
        connection = sqlite3.connect(self.path)
        connection.execute("PRAGMA ignore_check_constraints = ON")
        with connection:
            assert connection.execute(statement).rowcount > 0
        connection.close()

    async def post(self, key: str, *lines: Line, uid: str = "ann") -> None:
        """Post what no order has asked for."""
        assert await self.app.ports.ledger.post(Posting(key, uid, "CNY", lines, "forged"), 1)

    async def verify(self) -> Report:
        return await verify(self.app.ports.store, self.app.ports.ledger)


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    path = tmp_path / "orders.db"
    script = {"waits": NeverPays(), "refused": Refuses()}
    channel = ScriptedChannel(SystemClock(), lambda charge: script.get(charge.uid, channel.default))
    app = App(ports_for(f"sqlite:///{path}"), channels=[channel], wallets=("wallet", "points"), sweep=False)
    app.register(Toy())
    async with app:
        ids = {}
        for name, uid in (("mixed", "ann"), ("undone", "ann"), ("holding", "waits"), ("ended", "refused")):
            await app.wallet.top_up(uid, Money.of("10.00", "CNY"), key=name)
            await app.wallet.top_up(uid, Money(500, "POINTS"), key=f"{name} points")
            ids[name] = (await app.forward(await app.create(1, uid, amount=PRICE, pay=MIXED))).id
        await app.refund(ids["mixed"], Money.of("2.00", "CNY"), key="r", by="ratio", **BY_HAND)
        await app.cancel(ids["undone"], **BY_HAND)
        channel.refund_default = RefundsLater()
        await app.forward(ids["mixed"])
        await app.forward(ids["undone"])
        yield Shop(path, app, ids)


async def test_money_in_every_shape_has_no_findings(shop: Shop) -> None:
    report = await shop.verify()
    assert (report.findings, report.found, report.in_flight, report.orders) == ([], 0, 0, 4)
    # Two orders held and captured twice, two held twice, one released twice; refunds: twice of one, twice of another.
    assert report.postings == 2 * 4 + 2 * 2 + 2 + 4
    stages = {name: (await shop.app.get(order_id)).stage for name, order_id in shop.ids.items()}
    assert stages == {"mixed": "finished", "undone": "refunding", "holding": "created", "ended": "cancelled"}
    assert report.books["CNY"][HELD] == 400
    assert report.books["POINTS"][HELD] == 300


DAMAGES = {
    "leg 2 has amounts that contradict each other: 550 authorized, 550 captured, 0 going back, 551 gone back": (
        "UPDATE ow_legs_0 SET refunded_minor = 551, refunding_minor = 0 WHERE order_id = :mixed AND number = 2"
    ),
    "leg 0 says that 0 minor units go back and 0 went back; of its refunds 0 go back and 48 went back": (
        "UPDATE ow_legs_0 SET refunded_minor = 0 WHERE order_id = :mixed AND number = 0"
    ),
    "the row's refunds is (), its journal says (Refund": ("UPDATE ow_orders_0 SET refunds = '[]' WHERE id = :mixed"),
    "the row's refunds is (Refund": (
        "DELETE FROM ow_journal_0 WHERE order_id = :mixed AND fact IN ('Refunded', 'RefundPending')"
    ),
    "its refund 1 of 48 minor units of POINTS is returned, the ledger gave back 0": (
        "UPDATE ow_lines_0 SET key = 'own:x' WHERE key = :mixed || '-r1'"
    ),
    "its leg 1 is held, with 0 paid and 400 held in minor units of CNY; the ledger has 0 paid and 0 held": (
        "UPDATE ow_lines_0 SET key = 'own:x' WHERE key = :holding || '-1-1'"
    ),
    "is cancelled, and money of its price is still with us or still to come": (
        "UPDATE ow_legs_0 SET state = 'held' WHERE order_id = :ended AND number = 0"
    ),
    "its legs come to 700 minor units at most, its price is 1250": (
        "UPDATE ow_legs_0 SET state = 'closed' WHERE order_id = :holding AND number = 2"
    ),
    "its refund 1 of leg 9 stands in place 1": (
        """UPDATE ow_orders_0 SET refunds = replace(refunds, '"leg":0', '"leg":9') WHERE id = :mixed"""
    ),
    "there is no order {undone}: money without its order": "DELETE FROM ow_orders_0 WHERE id = :undone",
}


@pytest.mark.parametrize(("expected", "statement"), DAMAGES.items())
async def test_each_damage_to_money_is_found(shop: Shop, expected: str, statement: str) -> None:
    shop.sql(statement)
    report = await shop.verify()
    wanted = expected.format(**shop.ids)
    assert any(wanted in finding for finding in report.findings), report.findings


FORGERIES = {
    "a hold without a leg": ("{mixed}-7-1", (Line(WALLET, -5), Line(HELD, 5)), "{mixed} does not know of it"),
    "a hold of another attempt": ("{mixed}-1-2", (Line(WALLET, -5), Line(HELD, 5)), "{mixed} does not know of it"),
    "a refund without a request": ("{mixed}-r9", (Line(SALES, -5), Line(WALLET, 5)), "{mixed} does not know of it"),
    "a sale under no order's key": ("mine", (Line(WALLET, -5), Line(SALES, 5)), "there is no order mine"),
    "the end of a hold that never was": (
        "{mixed}-5-1-c",
        (Line(HELD, -5), Line(WALLET, 5)),
        "under {mixed}-5-1-c, and order {mixed} does not know of it",
    ),
    "a second end of all holds": (
        "own:x",
        (Line(HELD, -500), Line(WALLET, 500)),
        "house:held is -100 minor units of CNY",
    ),
}


@pytest.mark.parametrize("name", FORGERIES)
async def test_what_no_order_has_asked_for_is_found(shop: Shop, name: str) -> None:
    key, lines, expected = FORGERIES[name]
    await shop.post(key.format(**shop.ids), *lines)
    report = await shop.verify()
    assert any(expected.format(**shop.ids) in finding for finding in report.findings), report.findings


async def test_money_under_an_order_of_somebody_else_is_found(shop: Shop) -> None:
    await shop.post(f"{shop.ids['holding']}-r1", Line(SALES, -5), Line(WALLET, 5), uid="zoe")
    report = await shop.verify()
    assert any(f"order {shop.ids['holding']} belongs to waits" in finding for finding in report.findings)


@pytest.mark.parametrize(
    ("state", "refunds"),
    [("held", False), ("unknown", False), ("planned", True)],
    ids=["captured and not recorded", "held and not recorded", "given back and not recorded"],
)
async def test_a_ledger_that_is_a_step_ahead_is_in_flight(shop: Shop, state: str, refunds: bool) -> None:
    """As a crash between a posting and its fact leaves it; the row is set back by hand, so its journal disagrees."""
    if refunds:
        shop.sql("""UPDATE ow_orders_0 SET refunds = replace(refunds, '"returned"', '"unknown"') WHERE id = :undone""")
        wanted = 2
    elif state == "held":
        order = shop.ids["holding"]
        ledger = shop.app.ports.ledger
        lines = (Line(HELD, -300), Line(SALES, 300))
        assert await ledger.post(Posting(f"{order}-0-1-c", "waits", "POINTS", lines), 1)
        wanted = 1
    else:
        shop.sql(
            "UPDATE ow_legs_0 SET state = 'unknown', authorized_minor = 0, reference = ''"
            " WHERE order_id = :holding AND number < 2"
        )
        wanted = 2
    report = await shop.verify()
    assert report.in_flight == wanted
    assert not any("the ledger" in finding for finding in report.findings), report.findings
