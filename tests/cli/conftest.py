"""A shop's file with orders in many stages, and ways to run the command on it."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from money_shop import FILL as FILL_WITH_MONEY
from money_shop import SHOP as SHOP_WITH_MONEY

from orderway.cli.commands import orderway

SHOP = '''
from datetime import timedelta
from orderway import App, Business, Cancel, Hold, Money, define_currency

define_currency("COIN")


class Toy(Business[dict]):
    order_type = 1

    def can_forward(self, order):
        if order.data.get("hold"):
            return Hold("ask \\x1b[31mthe [bold]boss[/bold]")
        return Cancel("sold out") if order.data.get("sold_out") else None

    def deliver(self, order, delivery):
        delivery.execute("INSERT INTO goods VALUES (:id)", {"id": order.id}, expect=1)


class Hasty(Business[dict]):
    order_type = 2
    pay_within = timedelta(microseconds=1)

    def deliver(self, order, delivery):
        pass


def make():
    app = App("sqlite:///orders.db", sweep=False, beat_every_s=0.02, dead_after_s=0.1)
    app.register(Toy())
    app.register(Hasty())
    return app


class Holder:
    """For names with dots."""

    make = staticmethod(make)
    nothing = 7
'''

FILL = """
import asyncio, json, os, sqlite3
from shop import *


async def main():
    ids = {}
    async with make() as app:
        with sqlite3.connect("orders.db") as goods:
            goods.execute("CREATE TABLE goods (id TEXT)")
        goods.close()

        async def order(name, forward=True, order_type=1, uid="ann", **fields):
            made = await app.create(order_type, uid, **fields)
            ids[name] = made.id
            if forward:
                await app.forward(made)
            return made

        await app.wallet.top_up("ann", Money.of("100.00", "CNY"), key="gift", memo="welcome \\x1b[2J[red]")
        await app.wallet.top_up("ann", Money(500, "COIN"), key="coins")
        price = Money.of("12.50", "CNY")
        await order("finished", amount=price, pay="wallet", data={"sku": "书"}, own_number="A-1")
        await order("rejected", amount=Money.of("1234.50", "CNY"), pay="wallet")
        await order("cancelled", amount=price, pay="wallet", data={"sold_out": True})
        await order("stuck", amount=price, pay="wallet", data={"hold": True}, remark="[bold]r\\x1b[2J\\r\\nx[/bold]")
        await order("coins", amount=Money(90, "COIN"), pay="wallet")
        await order("free", uid="\\x1b[31mred\\u202euser[blink]")
        await order("waiting", forward=False, uid="bob", amount=price, pay="gateway")
        closed = await order("closed", order_type=2, uid="late", amount=price, pay="gateway")
        await app.record_payment(closed.id, price, reference="[R-9]", actor="desk", cause="notice 7")
        held = await order("abandoned", forward=False, uid="eve")
        await app.ports.store.hold(held.id, app.membership.incarnation, app.clock.now_us() + 100_000)
        with open("ids.json", "w") as file:
            json.dump(ids, file)
        os._exit(0)  # the worker dies: it never leaves the table, and never lets go of its last order


asyncio.run(main())
"""


@dataclass
class Shop:
    """A folder with ``orders.db`` and ``shop.py``, and the ids of its orders by name."""

    folder: Path
    ids: dict[str, str]
    runner: CliRunner = field(default_factory=CliRunner)

    def run(self, *words: str) -> Result:
        """Run a command line in this process."""
        return self.runner.invoke(orderway, words)

    def process(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command line in a process of its own."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ORDERWAY_")}
        return subprocess.run(
            [sys.executable, "-c", "from orderway.cli import main; main()", *words],
            cwd=self.folder,
            env={**clean, "PYTHONUTF8": "1", **environment},
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )

    def json(self, *words: str) -> Any:
        """Run a command line with --json; its one document."""
        result = self.run(*words, "--json")
        lines = result.stdout.splitlines()
        assert len(lines) == 1, result.output
        return json.loads(lines[0])

    def lines(self, *words: str) -> list[Any]:
        """Run a command line with --json that prints one document a line."""
        return [json.loads(line) for line in self.run(*words, "--json").stdout.splitlines()]

    def order(self, name: str) -> Any:
        """The document of an order, by its name."""
        return self.json("show", self.ids[name])["order"]

    def last(self, name: str) -> Any:
        """The last entry of an order's journal."""
        return self.json("show", self.ids[name])["journal"][-1]

    def sql(self, statement: str, *parameters: Any) -> None:
        """Alter the file behind Orderway's back."""
        connection = sqlite3.connect(self.folder / "orders.db")
        with connection:
            assert connection.execute(statement, parameters).rowcount != 0
        connection.close()


def fill(folder: Path, shop: str, fill: str) -> Path:
    """A folder with this shop, filled by this script."""
    (folder / "shop.py").write_text(shop)
    (folder / "fill.py").write_text(fill)
    subprocess.run([sys.executable, "fill.py"], cwd=folder, check=True, timeout=60)
    return folder


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that every test gets a copy of."""
    return fill(tmp_path_factory.mktemp("shop"), SHOP, FILL)


@pytest.fixture(scope="session")
def filled_with_money(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a shop whose orders are paid in many ways."""
    return fill(tmp_path_factory.mktemp("money"), SHOP_WITH_MONEY, FILL_WITH_MONEY)


@pytest.fixture
def shop(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A copy of its own for each test; the current folder is there."""
    yield from copied(filled, tmp_path / "shop", monkeypatch)


@pytest.fixture
def till(filled_with_money: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """As ``shop``, with the orders of ``money_shop``."""
    yield from copied(filled_with_money, tmp_path / "till", monkeypatch)


def copied(filled: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A copy of a filled folder, as the current folder."""
    shutil.copytree(filled, folder)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("ORDERWAY_URL", raising=False)
    monkeypatch.delenv("ORDERWAY_APP", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    yield Shop(folder, json.loads((folder / "ids.json").read_text()))
    sys.modules.pop("shop", None)  # what --app imported: other tests have shops of their own
