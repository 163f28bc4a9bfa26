"""What a delivery does in several parts: two ways in one delivery, and data changed between its steps."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from orderway import App, Business, Order, Stage, UsageError


class Both(Business[dict[str, Any]]):
    """Buffers a statement, and has a transaction of its own as well."""

    order_type = 1

    def __init__(self, *, expect: int = 1) -> None:
        self.expect = expect
        self.refusals: list[UsageError] = []

    async def deliver(self, order: Order[dict[str, Any]], delivery: Any) -> None:
        delivery.execute("UPDATE goods SET n = n + 1 WHERE name = 'buffered'", expect=self.expect)
        async with delivery.transaction() as connection:
            await connection.execute("UPDATE goods SET n = n + 1 WHERE name = 'in transaction'")
        try:
            delivery.execute("UPDATE goods SET n = n + 1 WHERE name = 'too late'")
        except UsageError as error:
            self.refusals.append(error)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An SQLite file with three kinds of goods."""
    path = tmp_path / "orders.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE goods (name TEXT, n INTEGER)")
        database.executemany("INSERT INTO goods VALUES (?, 0)", [("buffered",), ("in transaction",), ("too late",)])
    return path


async def deliver(path: Path, business: Business[Any]) -> tuple[Order[Any], list[int]]:
    app = App(f"sqlite:///{path}", sweep=False)
    app.register(business)
    async with app:
        order = await app.forward(await app.create(1, "ann"))
    with closing(sqlite3.connect(path)) as database:
        return order, [n for (n,) in database.execute("SELECT n FROM goods ORDER BY name")]


async def test_buffered_statements_commit_with_a_transaction_of_ones_own(path: Path) -> None:
    business = Both()
    order, goods = await deliver(path, business)
    assert order.stage is Stage.FINISHED
    assert goods == [1, 1, 0]
    assert len(business.refusals) == 1


async def test_a_buffered_statement_that_fails_rolls_the_transaction_back(path: Path) -> None:
    order, goods = await deliver(path, Both(expect=2))
    assert order.stage is Stage.PAID
    assert order.last_error.startswith("DeliveryFailed")
    assert goods == [0, 0, 0]


class Stepwise(Business[dict[str, Any]]):
    """Notes in the order's data what it has done, after each step; the last try fails."""

    order_type = 1

    def __init__(self, *, fails: bool) -> None:
        self.fails = fails

    async def deliver(self, order: Order[dict[str, Any]], delivery: Any) -> None:
        order.data["first"] = await delivery.step("first", lambda key: 1)
        order.data["second"] = await delivery.step("second", lambda key: 2)
        if self.fails:
            raise RuntimeError("the third step fails")


@pytest.mark.parametrize(("fails", "kept"), [(False, {"first": 1, "second": 2}), (True, {"first": 1})])
async def test_data_changed_between_steps_is_written_with_the_next_fact(
    fails: bool, kept: dict[str, int], path: Path
) -> None:
    app = App(f"sqlite:///{path}", sweep=False)
    app.register(Stepwise(fails=fails))
    async with app:
        order = await app.forward(await app.create(1, "ann"))
        assert (await app.get(order.id)).data == kept
