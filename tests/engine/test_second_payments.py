"""A price that is paid a second time while its holds are not taken yet: the second payment goes back by itself."""

from __future__ import annotations

from typing import Any

from world import PRICE, Shop, World

from orderway import App, Money, Order, Pay, ScriptedChannel, Stage
from orderway.adapters import memory_ports
from orderway.channels.scripted import NeverPays
from orderway.core.payment import LegState, RefundState
from orderway.ports.channel import Channel

PARTS = [Pay("wallet", Money(1500, "CNY")), Pay("scripted")]
REST = Money(499, "CNY")


async def held(world: World, shop: Shop, *others: Channel) -> tuple[App, Order[Any]]:
    """An order whose wallet is held and whose channel waits; nobody looks at it by himself."""
    app = App(memory_ports(world.database), clock=world.clock, channels=[world.channel, *others], sweep=False)
    app.register(shop)
    await world.stack.enter_async_context(app)
    await app.wallet.top_up("ann", Money(5000, "CNY"), key="m")
    world.channel.default = NeverPays()
    return app, await app.forward(await app.create(1, "ann", amount=PRICE, pay=PARTS))


async def finished(app: App, order: Order[Any]) -> Order[Any]:
    """The order once its holds are taken, its goods are delivered, and what came twice went back."""
    order = await app.forward(order.id)
    assert (order.stage, order.paid_minor) == (Stage.FINISHED, PRICE.amount_minor)
    assert await app.wallet.balance("ann", "CNY") == Money(3500, "CNY")
    assert [(refund.state, refund.why, refund.amount_minor) for refund in order.refunds] == [
        (RefundState.RETURNED, "second_payment", REST.amount_minor)
    ]
    return order


async def test_a_channel_that_is_paid_twice_gives_back_the_second_payment(world: World, shop: Shop) -> None:
    app, order = await held(world, shop)
    key = order.payment_key(order.legs[1])
    for _ in range(2):
        taken = world.channel.pay(key)
        order = await app.record_payment(order.id, REST, reference=taken.reference, channel="scripted", key=key)
    assert order.stage is Stage.CREATED
    order = await finished(app, order)
    assert [leg.state for leg in order.legs] == [LegState.PAID, LegState.PAID, LegState.UNEXPECTED]
    assert len(world.channel.returned()) == 1


async def test_a_replaced_channel_that_is_paid_second_gives_its_payment_back(world: World, shop: Shop) -> None:
    other = ScriptedChannel(world.clock, default=NeverPays(), name="other")
    app, order = await held(world, shop, other)
    first = order.payment_key(order.legs[1])
    order = await app.forward(await app.change_payment(order.id, "other"))
    second = order.payment_key(order.legs[2])
    for channel, key in ((other, second), (world.channel, first)):
        taken = channel.pay(key)
        order = await app.record_payment(order.id, REST, reference=taken.reference, channel=channel.name, key=key)
    await finished(app, order)
    assert (len(world.channel.returned()), len(other.returned())) == (1, 0)
