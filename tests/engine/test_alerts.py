"""A person is told on time: of what is disputed, of what is stuck while money goes back or a closing hook fails."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from world import PRICE, Shop, World

from orderway import App, Money, Order, Retry, ScriptedChannel
from orderway.channels.scripted import PaysAtOnce, RefundsAtOnce, RefundUnreachable
from orderway.core.order import Stage, Status
from orderway.core.payment import RefundState
from orderway.ports.channel import DisputeNotification, RefundOrder, RefundOutcome

WHO: dict[str, Any] = {"actor": "eve", "reason": "asked for"}
EVERY_S = 100


class Watched(Shop):
    """Is tried once only, and tells of what is stuck or disputed."""

    retry = Retry(first=timedelta(seconds=1), cap=timedelta(seconds=10), jitter=0, most_attempts=1)
    alert_every = timedelta(seconds=EVERY_S)

    async def alert(self, order: Order[Any]) -> None:
        self.note("alert", order)


class Counted(ScriptedChannel):
    """Counts how often a refund is asked for."""

    asked = 0

    async def refund(self, refund: RefundOrder) -> RefundOutcome:
        self.asked += 1
        return await super().refund(refund)


@pytest.fixture
def watched(world: World) -> Watched:
    world.channel.script = {PRICE.amount_minor: PaysAtOnce()}
    return Watched()


async def bought(app: App) -> Order[Any]:
    return await app.forward(await app.create(1, "ann", amount=PRICE, pay="scripted"))


async def test_a_person_is_told_of_a_dispute_over_what_had_ended(world: World, watched: Watched) -> None:
    app = await world.app(watched)
    order = await bought(app)
    assert (order.stage, order.due_at_us) == (Stage.FINISHED, None)
    await app.record_dispute(DisputeNotification(order.id, order.legs[0].reference, "D1", PRICE, "opened"))
    await world.clock.advance(1)
    assert watched.called("alert") == 1, "at once"
    await world.clock.advance(3 * EVERY_S)
    assert watched.called("alert") == 4


async def test_also_where_a_process_records_it_that_does_not_serve_the_type(world: World, watched: Watched) -> None:
    app = await world.app(watched)
    order = await bought(app)
    elsewhere = await world.app(sweep=False)
    await elsewhere.record_dispute(DisputeNotification(order.id, order.legs[0].reference, "D1", PRICE, "opened"))
    await world.clock.advance(EVERY_S / 2)
    assert watched.called("alert") == 1


async def test_without_the_hook_nothing_is_due_for_a_dispute(world: World, shop: Shop) -> None:
    world.channel.script = {PRICE.amount_minor: PaysAtOnce()}
    app = await world.app(shop)
    order = await bought(app)
    told = DisputeNotification(order.id, order.legs[0].reference, "D1", PRICE, "opened")
    order = await app.record_dispute(told)
    assert (order.stage, order.due_at_us) == (Stage.DISPUTED, None)


async def test_refunds_that_fail_meanwhile_put_no_alert_off(world: World, watched: Watched) -> None:
    watched.fail = {"deliver": 1}
    world.channel = channel = Counted(world.clock, refund_default=RefundUnreachable())
    app = await world.app(watched)
    order = await bought(app)
    await app.refund(order.id, amount=Money(100, "CNY"), key="k", **WHO)
    told = watched.called("alert")
    await world.clock.advance(5 * EVERY_S + 1)
    order = await app.get(order.id)
    assert (order.stage, order.refunds[0].is_live) == (Stage.STUCK, True)
    assert watched.called("alert") == told + 5
    assert channel.asked < 5 * EVERY_S / 8, "and the refunds are tried with growing pauses"


async def test_while_its_closing_hook_fails_a_person_is_told_again(world: World, watched: Watched) -> None:
    watched.fail = {"deliver": 1, "ended": 1000}
    app = await world.app(watched)
    order = await app.forward(await app.create(1, "ann"))
    assert (order.stage, order.status, watched.called("alert")) == (Stage.FAILING, Status.STUCK, 1)
    await world.clock.advance(10 * EVERY_S)
    assert watched.called("alert") == 11
    assert (await app.get(order.id)).stage is Stage.FAILING


async def test_a_stuck_refund_of_what_has_finished_is_tried_again(world: World, watched: Watched) -> None:
    watched.refund_within = timedelta(seconds=50)
    world.channel.refund_default = RefundUnreachable()
    app = await world.app(watched)
    order = await bought(app)
    await app.refund(order.id, amount=Money(100, "CNY"), key="k", **WHO)
    await world.clock.advance(60)
    order = await app.get(order.id)
    assert (order.stage, order.refunds[0].state) == (Stage.FINISHED, RefundState.STUCK)
    world.channel.refund_default = RefundsAtOnce()
    await app.retry_now(order.id, **WHO)
    await world.clock.advance(10)
    order = await app.get(order.id)
    assert (order.stage, order.refunds[0].state) == (Stage.FINISHED, RefundState.RETURNED)
