"""The example shops do what their readmes say, refuse what is forged, and lose nothing when their server is killed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.docs.pages import Command
from tests.examples.example_run import ExampleRun, example, until

pytestmark = pytest.mark.slow

GOODS = {  # the database and the table of the goods, and the column with the user
    "fastapi_shop": ("orders.db", "coins"),
    "flask_shop": ("goods.db", "coins"),
    "django_shop": ("goods.db", "coins_account"),
}


def execute(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path, timeout=60)) as database, database:
        database.execute(sql)


def ask(path: Path, sql: str) -> int:
    with closing(sqlite3.connect(path, timeout=60)) as database:
        number: int = database.execute(sql).fetchone()[0]
        return number


def buy(shop: ExampleRun, user: str) -> str:
    status, answer = shop.post("/orders", {"user": user, "pack": "small", "number": "cart-1"})
    assert (status, answer["stage"]) == (201, "created"), answer
    order: str = answer["order"]
    return order


def facts(shop: ExampleRun, order: str) -> list[str]:
    with closing(sqlite3.connect(shop.folder / "orders.db", timeout=60)) as database:
        found = database.execute("SELECT fact FROM ow_journal_0 WHERE order_id = ? ORDER BY version", (order,))
        return [fact for (fact,) in found]


@pytest.mark.parametrize("name", GOODS)
def test_a_shop_does_what_its_readme_says_and_refuses_what_is_wrong(name: str, tmp_path: Path) -> None:
    with example(name, tmp_path) as shop:
        assert shop.walk() >= 7
        purchase = {"user": "ann", "pack": "small", "number": "cart-1"}
        assert shop.post("/orders", purchase)[0] == 201
        assert shop.post("/orders", {**purchase, "pack": "large"})[0] == 409
        assert shop.post("/orders", {**purchase, "pack": "huge"})[0] == 422
        bob = buy(shop, "bob")
        forged = {"order": bob, "amount": "9.90", "currency": "CNY", "reference": "R-2"}
        assert shop.post("/payments", forged)[0] == 403
        assert shop.post("/payments", forged, **{"X-Signature": "0" * 64})[0] == 403
        assert facts(shop, bob) == ["Created"]
        assert shop.get(f"/orders/{bob[:-1]}0").keys() >= {"error", "detail"}
        assert shop.get("/users/ann/coins") == {"coins": 100}


@pytest.mark.parametrize("name", GOODS)
def test_a_server_killed_after_the_payment_delivers_once_when_it_is_started_again(name: str, tmp_path: Path) -> None:
    database, table = GOODS[name]
    with example(name, tmp_path) as shop:
        shop.start()
        goods, orders = shop.folder / database, shop.folder / "orders.db"
        ann, bob = buy(shop, "ann"), buy(shop, "bob")
        # Ann's goods cannot be entered; Bob's can, and the fact about them cannot.
        stop = "BEGIN SELECT RAISE(ABORT, 'not yet'); END"
        for event in ("INSERT", "UPDATE"):
            execute(goods, f"CREATE TRIGGER no_{event} BEFORE {event} ON {table} WHEN NEW.uid = 'ann' {stop}")
        stopped = f"NEW.order_id = '{bob}' AND NEW.fact = 'Delivered'"
        execute(orders, f"CREATE TRIGGER no_fact BEFORE INSERT ON ow_journal_0 WHEN {stopped} {stop}")
        shop.pay(ann)
        shop.pay(bob)
        if goods != orders:
            assert until(lambda: shop.get("/users/bob/coins") == {"coins": 100})
        shop.kill()
        assert (facts(shop, ann), facts(shop, bob)) == (["Created", "Paid"], ["Created", "Paid"])
        for event in ("INSERT", "UPDATE"):
            execute(goods, f"DROP TRIGGER no_{event}")
        execute(orders, "DROP TRIGGER no_fact")

        shop.start()
        for order in (ann, bob):
            assert until(lambda order=order: shop.get(f"/orders/{order}")["stage"] == "finished")
        assert [shop.get(f"/users/{user}/coins") for user in ("ann", "bob")] == [{"coins": 100}, {"coins": 100}]
        shop.pay(bob)  # the provider had no answer to it
        assert facts(shop, bob).count("Delivered") == facts(shop, bob).count("Paid") == 1


def test_workers_carry_what_others_created_and_what_a_killed_one_left(tmp_path: Path) -> None:
    with example("worker", tmp_path) as shop:
        orders = shop.folder / "orders.db"
        shop.walk()
        assert until(lambda: given(orders) == 20)
        execute(orders, "CREATE TRIGGER no_gift BEFORE INSERT ON gifts BEGIN SELECT RAISE(ABORT, 'not yet'); END")
        shop.run(Command("python give.py 11 30", "20 orders created"))
        assert until(lambda: ask(orders, "SELECT count(*) FROM ow_orders_0 WHERE attempts > 0") == 10)
        shop.kill()
        execute(orders, "DROP TRIGGER no_gift")
        assert given(orders) == 20
        shop.start()
        assert until(lambda: given(orders) == 30)
        assert ask(orders, "SELECT count(*) FROM ow_journal_0 WHERE fact = 'Delivered'") == 30


def given(orders: Path) -> int:
    """How many orders are finished; each has its gift, the primary key sees to no more than one."""
    return ask(orders, "SELECT count(*) FROM ow_orders_0 JOIN gifts ON order_id = id WHERE stage = 'finished'")
