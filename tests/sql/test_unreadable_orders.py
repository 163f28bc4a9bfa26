"""An order that this version cannot read keeps nobody from the others, and nothing that is said of it is lost."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from orderway import App, Business, Money, Order, Query
from orderway.errors import OrderUnreadable
from orderway.export import Chunk, export_orders
from orderway.testing.clock import VirtualClock
from orderway.verify import verify

PRICE = Money.of("12.50", "CNY")
NOTHING = "no such stage"


class Toy(Business[dict[str, Any]]):
    order_type = 1

    def deliver(self, order: Order[dict[str, Any]], delivery: Any) -> None:
        pass


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def app(tmp_path: Path, clock: VirtualClock) -> AsyncIterator[App]:
    app = App(f"sqlite:///{tmp_path}/orders.db", sweep=False, clock=clock)
    app.register(Toy())
    async with app:
        yield app


def set_stage(folder: Path, order_id: str, stage: str) -> None:
    connection = sqlite3.connect(folder / "orders.db")
    with connection:
        assert connection.execute("UPDATE ow_orders_0 SET stage = ? WHERE id = ?", (stage, order_id)).rowcount
    connection.close()


@pytest.fixture
async def orders(app: App, tmp_path: Path) -> list[str]:
    """Three that wait for their payers; the second cannot be read."""
    made = [(await app.create(1, "ann", amount=PRICE, pay="gateway")).id for _ in range(3)]
    set_stage(tmp_path, made[1], NOTHING)
    return made


async def test_its_payment_is_kept_until_it_can_be_read(
    app: App, orders: list[str], clock: VirtualClock, tmp_path: Path
) -> None:
    for order_id in orders:
        told = await app.record_payment(order_id, PRICE, reference=f"R-{order_id}")
        assert (told is None) == (order_id == orders[1])
    assert [parked.order_id for parked in await app.parked_payments()] == [orders[1]]
    assert await app.sweep() == 2
    await app.parked.match()
    assert [(await app.get(order_id)).stage for order_id in (orders[0], orders[2])] == ["finished", "finished"]

    set_stage(tmp_path, orders[1], "created")  # as if by an upgrade
    await clock.advance(60)
    assert await app.parked.match() == 1
    await app.sweep()
    assert (await app.get(orders[1])).stage == "finished"
    assert await app.parked_payments() == []


async def test_a_bulk_action_reaches_the_others_then_says_so(app: App, orders: list[str]) -> None:
    reached = []

    async def reach_all() -> None:
        async for done in app.each(Query(limit=1), app.get, dry_run=False):
            reached.append(done.order.id)

    with pytest.raises(OrderUnreadable) as caught:
        await reach_all()
    assert sorted(reached) == sorted([orders[0], orders[2]])
    assert caught.value.order_id == orders[1]


async def test_an_export_would_not_be_whole(app: App, orders: list[str]) -> None:
    async def take(chunk: Chunk) -> None:
        raise AssertionError(f"written in spite of {orders[1]}: {chunk}")

    with pytest.raises(OrderUnreadable, match=orders[1]):
        await export_orders(app.ports.store, take)


async def test_verify_goes_on_behind_it(app: App, orders: list[str], tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "orders.db")
    with connection:
        connection.execute("UPDATE ow_orders_0 SET amount_minor = 7 WHERE id = ?", (orders[2],))
    connection.close()
    report = await verify(app.ports.store, app.ports.ledger)
    assert report.orders == 3
    assert len([finding for finding in report.findings if f"order {orders[1]} cannot be read" in finding]) == 1
    assert any(f"order {orders[2]}: the row's amount_minor is 7" in finding for finding in report.findings)


async def test_who_asks_for_it_is_told_what_is_wrong(app: App, orders: list[str]) -> None:
    for ask in (app.get, app.forward, app.explain):
        with pytest.raises(OrderUnreadable, match=f"order {orders[1]} cannot be read: '{NOTHING}' is unknown here"):
            await ask(orders[1])
