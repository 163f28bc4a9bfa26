"""Channels tell of disputes at least once, and in any order: what was decided counts once."""

from __future__ import annotations

import itertools

import pytest
from world import PRICE, Shop, World

from orderway import App, Money, Order, Stage
from orderway.adapters import memory_ports
from orderway.ports.channel import DisputeNotification


async def finished(world: World, shop: Shop) -> tuple[App, Order[object], str]:
    app = App(memory_ports(world.database), clock=world.clock, channels=[world.channel], sweep=False)
    app.register(shop)
    await world.stack.enter_async_context(app)
    order = await app.forward(await app.create(1, "ann", amount=PRICE, pay="scripted"))
    assert order.stage is Stage.FINISHED
    return app, order, order.legs[0].reference


@pytest.mark.parametrize("turns", list(itertools.permutations(["opened", "lost", "opened", "lost"])), ids=" ".join)
async def test_a_lost_dispute_counts_once(world: World, shop: Shop, turns: tuple[str, ...]) -> None:
    app, order, reference = await finished(world, shop)
    for state in turns:
        order = await app.record_dispute(
            DisputeNotification(order.id, reference, "D1", Money(100, "CNY"), "lost" if state == "lost" else "opened")
        )
    assert (order.stage, order.legs[0].refunded_minor, order.legs[0].disputed_minor) == (Stage.FINISHED, 100, 0)


async def test_another_dispute_of_the_same_payment_counts_for_itself(world: World, shop: Shop) -> None:
    app, order, reference = await finished(world, shop)
    for of in ("D1", "D2", "D1"):
        told = DisputeNotification(order.id, reference, of, Money(100, "CNY"), "lost")
        order = await app.record_dispute(told)
    assert order.legs[0].refunded_minor == 200
