"""Money that came without being asked for so: kept, found by a list, and warned of once."""

from __future__ import annotations

import logging

import pytest
from world import PRICE, Shop, World

from orderway import App, Money, Order
from orderway.channels.scripted import PaysWrongAmount


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


async def odd_orders(app: App) -> list[str]:
    return [order.id for order in (await app.list(needs_person=True)).orders]


async def wait_to_be_paid(app: App) -> Order[object]:
    return await app.create(1, "secret-user", amount=PRICE, pay="gateway", data={"note": "secret-data"})


async def test_a_second_payment_is_listed_and_warned_of_once(
    world: World, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    app = await world.app(shop, sweep=False)
    order = await wait_to_be_paid(app)
    await app.record_payment(order.id, PRICE, reference="R-1")
    assert (warnings(caplog), await odd_orders(app)) == ([], [])
    for _ in range(3):
        await app.record_payment(order.id, PRICE, reference="R-2")
    assert warnings(caplog) == [f"order {order.id}: unexpected payment of 19.99 CNY through gateway is kept"]
    assert await odd_orders(app) == [order.id]
    await app.record_payment(order.id, PRICE, reference="R-3")
    assert len(warnings(caplog)) == 2


async def test_a_payment_of_an_ended_order_is_listed_and_warned_of_once(
    world: World, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    app = await world.app(shop, sweep=False)
    order = await wait_to_be_paid(app)
    await world.clock.advance(shop.pay_within.total_seconds() + 1)
    await app.sweep()
    for _ in range(2):
        after = await app.record_payment(order.id, PRICE, reference="R-1")
    assert (after.stage, await odd_orders(app)) == ("closed", [order.id])
    assert warnings(caplog) == [f"order {order.id}: unexpected payment of 19.99 CNY through gateway is kept"]


@pytest.mark.parametrize("notified", [True, False], ids=["notified", "queried"])
async def test_a_wrong_amount_is_warned_of_however_we_learn_of_it(
    world: World, shop: Shop, caplog: pytest.LogCaptureFixture, notified: bool
) -> None:
    app = await world.app(shop, sweep=False)
    world.channel.script = {PRICE.amount_minor: PaysWrongAmount(off_by=-99)}
    world.channel.notify = lambda body, headers: app.notify("scripted", body, headers)
    order = await app.forward(await app.create(1, "secret-user", amount=PRICE, pay="scripted"))
    await world.clock.advance(shop.query_every.total_seconds())
    if notified:
        await world.channel.deliver()
    await app.sweep()
    await world.channel.deliver()
    assert await odd_orders(app) == [order.id]
    odd = [text for text in warnings(caplog) if "unexpected" in text]
    assert odd == [f"order {order.id}: unexpected payment of 19.00 CNY through scripted is kept"]


async def test_the_log_tells_neither_user_nor_data(world: World, shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    app = await world.app(shop, sweep=False)
    order = await wait_to_be_paid(app)
    await app.record_payment(order.id, Money(1, "CNY"), reference="secret-reference")
    assert len(warnings(caplog)) == 1
    assert "secret" not in caplog.text
