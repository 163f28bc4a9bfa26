"""A part that was replaced, and closed at its channel, is paid all the same while the order still waits."""

from __future__ import annotations

from typing import Any

from world import PRICE, Shop, World

from orderway import App, Money, Order, Pay, ScriptedChannel, Stage
from orderway.adapters import memory_ports
from orderway.channels.scripted import NeverPays
from orderway.core.payment import LegState


async def waiting(world: World, shop: Shop, other: ScriptedChannel, pay: Any) -> tuple[App, Order[Any]]:
    """An order whose channel was asked; nobody looks at it by himself."""
    app = App(memory_ports(world.database), clock=world.clock, channels=[world.channel, other], sweep=False)
    app.register(shop)
    await world.stack.enter_async_context(app)
    world.channel.default = NeverPays()
    return app, await app.forward(await app.create(1, "ann", amount=PRICE, pay=pay))


async def test_it_pays_the_order_if_it_comes_first(world: World, shop: Shop) -> None:
    app, order = await waiting(world, shop, ScriptedChannel(world.clock, default=NeverPays(), name="other"), "scripted")
    key = order.payment_key(order.legs[0])
    order = await app.forward(await app.change_payment(order.id, "other"))
    order = await app.forward(order.id)  # nothing else is to be done, so what was replaced is closed
    assert [leg.state for leg in order.legs] == [LegState.CLOSED, LegState.PENDING]
    taken = world.channel.pay(key)  # the channel breaks its word
    told = await app.record_payment(order.id, PRICE, reference=taken.reference, channel="scripted", key=key)
    assert told is not None
    order = await app.forward(order.id)
    assert (order.stage, order.paid_minor) == (Stage.FINISHED, PRICE.amount_minor)
    assert [leg.state for leg in order.legs] == [LegState.PAID, LegState.CLOSED]


async def test_a_part_of_which_nothing_is_wanted_any_more_is_closed(world: World, shop: Shop) -> None:
    """Its channel was told to close it when it was still to bring the whole price; who told it died on the way."""
    other = ScriptedChannel(world.clock, name="other")
    app, order = await waiting(world, shop, other, "gateway")
    pay = [Pay("wallet"), Pay("scripted")]
    order = await app.create(1, "ann", amount=PRICE, pay=pay)
    await world.channel.close(app.payments.charge_of(order, order.legs[1]))
    await app.wallet.top_up("ann", Money(5000, "CNY"), key="m")
    order = await app.forward(order.id)
    assert (order.stage, order.is_final) == (Stage.FINISHED, True), order.last_error
    assert [leg.state for leg in order.legs] == [LegState.PAID, LegState.CLOSED]
