"""The operator's hand: every action journaled with who and why, idempotent, and refused where it is not allowed."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from world import PRICE, Shop, World

from orderway import App, Money, Order, Query, Stage, Status
from orderway.channels.scripted import NeverPays, PaysAtOnce, PaysLater
from orderway.core.payment import LegState
from orderway.errors import AmountMismatch, IllegalTransition, InvalidValue, OrderwayError, Unavailable, UsageError
from orderway.ports.channel import DisputeNotification

WHO: dict[str, Any] = {"actor": "eve", "reason": "the customer rang"}


async def waiting(world: World, app: App) -> Order[Any]:
    world.channel.script = {PRICE.amount_minor: NeverPays()}
    return await app.forward(await app.create(1, "ann", amount=PRICE, pay="scripted"))


async def last(app: App, order: Order[Any]) -> dict[str, Any]:
    entry = (await app.journal(order.id))[-1]
    return {**entry.fields, "fact": entry.fact, "private": entry.private}


async def test_cancelling_before_payment_closes_it_at_its_channel(world: World, shop: Shop) -> None:
    app = await world.app(shop)
    order = await waiting(world, app)
    order = await app.cancel(order.id, **WHO)
    said = await last(app, order)
    assert (said["fact"], said["actor"], said["reason"]) == ("Cancelled", "eve", "the customer rang")
    await world.clock.advance(1)
    order = await app.get(order.id)
    assert (order.stage, order.status, order.legs[0].state) == (Stage.CANCELLED, Status.CANCELLED, LegState.CLOSED)
    assert (await app.cancel(order.id, **WHO)).version == order.version


async def test_a_payment_that_comes_while_it_is_cancelled_goes_back(world: World, shop: Shop) -> None:
    app = await world.app(shop, sweep=False)
    world.channel.script = {PRICE.amount_minor: PaysLater(after=timedelta(seconds=3))}
    order = await app.forward(await app.create(1, "ann", amount=PRICE, pay="scripted"))
    await world.clock.advance(5)  # paid, and nobody has heard of it
    await app.cancel(order.id, **WHO)
    order = await app.forward(order.id)
    assert (order.stage, order.legs[1].state) == (Stage.CANCELLED, LegState.UNEXPECTED)
    assert [back.amount for back in world.channel.returned()] == [PRICE]
    assert not order.needs_person


async def test_hold_and_resume(world: World, shop: Shop) -> None:
    shop.fail = {"deliver": 1}
    app = await world.app(shop)
    order = await app.forward(await app.create(1, "ann"))
    assert order.stage is Stage.PAID
    order = await app.hold(order.id, **WHO)
    assert (order.stage, order.why) == (Stage.FAILING, "held_by_operator")
    await world.clock.advance(120)
    assert (await app.get(order.id)).stage is Stage.STUCK
    await app.resume(order.id, **WHO)
    await world.clock.advance(1)
    assert (await app.get(order.id)).stage is Stage.FINISHED
    with pytest.raises(IllegalTransition, match="Stuck is not allowed there"):
        await app.hold(order.id, **WHO)


async def test_resume_with_corrected_data(world: World) -> None:
    class Careful(Shop):
        async def deliver(self, order: Order[Any], delivery: Any) -> None:
            if order.data["number"] != "good":
                raise ValueError("no such number")
            await super().deliver(order, delivery)

    app = await world.app(Careful())
    order = await app.forward(await app.create(1, "ann", data={"number": "bad"}))
    await world.clock.advance(3700)
    assert (await app.get(order.id)).stage is Stage.STUCK
    order = await app.amend(order.id, {"number": "good"}, **WHO)
    said = await last(app, order)
    assert json.loads(said["private"])["before"] == '{"number":"bad"}'
    assert json.loads(said["private"])["data"] == '{"number":"good"}'
    assert (await app.amend(order.id, {"number": "good"}, **WHO)).version == order.version
    await app.resume(order.id, **WHO)
    await world.clock.advance(1)
    assert (await app.get(order.id)).stage is Stage.FINISHED


async def test_a_step_is_skipped_by_an_operator(world: World) -> None:
    class Stepwise(Shop):
        async def deliver(self, order: Order[Any], delivery: Any) -> None:
            await delivery.step("label", self.label)
            await super().deliver(order, delivery)

        async def label(self, key: str) -> str:
            raise RuntimeError("the printer is broken")

    app = await world.app(Stepwise())
    order = await app.forward(await app.create(1, "ann"))
    order = await app.skip(order.id, "label", result="by hand", **WHO)
    assert (await last(app, order))["skipped"] is True
    assert (await app.skip(order.id, "label", **WHO)).version == order.version
    await world.clock.advance(60)
    assert (await app.get(order.id)).stage is Stage.FINISHED


async def test_confirm_payment_asks_the_channel(world: World, shop: Shop) -> None:
    app = await world.app(shop, sweep=False)
    world.channel.script = {PRICE.amount_minor: PaysLater(after=timedelta(seconds=3))}
    order = await app.forward(await app.create(1, "ann", amount=PRICE, pay="scripted"))
    with pytest.raises(UsageError, match="Pending; it was not paid there"):
        await app.confirm_payment(order.id, PRICE, reference="X", channel="scripted", **WHO)
    await world.clock.advance(5)
    reference = world.channel.taken()[0].reference
    with pytest.raises(AmountMismatch, match=r"19\.99 CNY"):
        await app.confirm_payment(order.id, Money(1, "CNY"), reference=reference, channel="scripted", **WHO)
    with pytest.raises(InvalidValue, match="reference"):
        await app.confirm_payment(order.id, PRICE, reference=" ", channel="scripted", **WHO)
    order = await app.confirm_payment(order.id, PRICE, reference=reference, channel="scripted", **WHO)
    assert (order.stage, (await last(app, order))["actor"]) == (Stage.PAID, "eve")
    again = await app.confirm_payment(order.id, PRICE, reference=reference, channel="scripted", **WHO)
    assert again.version == order.version
    assert (await app.forward(order.id)).stage is Stage.FINISHED


async def test_confirm_a_payment_of_ones_own_gateway(world: World, shop: Shop) -> None:
    app = await world.app(shop, sweep=False)
    order = await app.create(1, "ann", amount=PRICE, pay="gateway")
    order = await app.confirm_payment(order.id, PRICE, reference="bank 1", **WHO)
    assert order.stage is Stage.PAID


@pytest.mark.parametrize("end", ["won", "lost"])
async def test_a_dispute_stops_an_order_also_after_delivery(world: World, shop: Shop, end: Any) -> None:
    app = await world.app(shop)
    world.channel.script = {PRICE.amount_minor: PaysAtOnce()}
    order = await app.forward(await app.create(1, "ann", amount=PRICE, pay="scripted"))
    told = DisputeNotification(order.id, order.legs[0].reference, "D1", PRICE, "opened")
    order = await app.record_dispute(told)
    assert (order.stage, order.status, order.needs_person) == (Stage.DISPUTED, Status.STUCK, True)
    assert (await app.record_dispute(told)).version == order.version
    decided = DisputeNotification(order.id, order.legs[0].reference, "D1", PRICE, end)
    await app.record_dispute(decided)
    await world.clock.advance(1)
    order = await app.get(order.id)
    assert order.stage is (Stage.FINISHED if end == "won" else Stage.REFUNDED)
    assert (order.legs[0].refunded_minor, order.needs_person) == (0 if end == "won" else 1999, False)
    assert world.channel.returned() == []  # the channel has taken it: nothing is sent


async def test_unexpected_money_is_accepted_or_given_back(world: World, shop: Shop) -> None:
    app = await world.app(shop)
    order = await app.create(1, "ann", amount=PRICE, pay="gateway")
    await app.record_payment(order.id, PRICE, reference="G1")
    await app.record_payment(order.id, PRICE, reference="G2")
    order = await app.get(order.id)
    assert order.needs_person
    order = await app.accept(order.id, 1, **WHO)
    assert not order.needs_person
    assert (await app.accept(order.id, 1, **WHO)).version == order.version
    with pytest.raises(IllegalTransition, match="no unexpected money"):
        await app.accept(order.id, 0, **WHO)


async def test_a_payment_without_an_order_is_parked_and_matched(world: World, shop: Shop) -> None:
    app = await world.app(shop)
    order_id = app.new_order_id(1, "ann")
    assert await app.record_payment(order_id, PRICE, reference="G1") is None
    assert await app.record_payment("no id at all", PRICE, reference="G2") is None
    assert [parked.reference for parked in await app.parked_payments()] == ["G1", "G2"]
    await app.create(1, "ann", amount=PRICE, pay="gateway", order_id=order_id)

    async def is_finished() -> bool:
        return (await app.get(order_id)).stage is Stage.FINISHED

    await world.until(is_finished)
    assert [parked.reference for parked in await app.parked_payments()] == ["G2"]
    order = await app.match_parked("gateway", "G2", order_id, **WHO)
    assert (order.legs[1].state, order.needs_person) == (LegState.UNEXPECTED, True)
    assert await app.parked_payments() == []


async def test_bulk_actions_are_tried_dry_first(world: World, shop: Shop) -> None:
    app = await world.app(shop)
    orders = [await waiting(world, app) for _ in range(5)]
    finished = await app.forward(await app.create(1, "ann"))
    query = Query(uid="ann", limit=2)

    async def cancel(order_id: str) -> Order[Any]:
        return await app.cancel(order_id, **WHO)

    dry = [done async for done in app.each(query, cancel)]
    assert (len(dry), {done.after for done in dry}) == (6, {None})
    done = [done async for done in app.each(query, cancel, dry_run=False)]
    refused = [each for each in done if isinstance(each.error, OrderwayError)]
    assert [each.order.id for each in refused] == [finished.id]
    assert sorted(each.order.id for each in done if each.after) == sorted(order.id for order in orders)


async def test_actions_racing_the_journey_lose_nothing(world: World, shop: Shop) -> None:
    app = await world.app(shop)
    world.channel.script = {PRICE.amount_minor: PaysAtOnce()}
    order = await app.create(1, "ann", amount=PRICE, pay="scripted")
    results = await asyncio.gather(
        app.forward(order), app.cancel(order.id, **WHO), app.hold(order.id, **WHO), return_exceptions=True
    )
    assert any(not isinstance(result, BaseException) for result in results)
    await world.clock.advance(120)
    order = await app.get(order.id)
    kept = sum(leg.kept_minor for leg in order.legs)
    assert kept == sum(took.amount.amount_minor for took in world.channel.taken()) - sum(
        back.amount.amount_minor for back in world.channel.returned()
    )
    assert world.delivered(order) in {0, 1}
    assert not (kept == 0 and world.delivered(order))


async def test_what_can_never_be_closed_ends_in_front_of_a_person(world: World, shop: Shop) -> None:
    app = await world.app(shop)
    order = await waiting(world, app)

    async def unreachable(charge: Any) -> Any:
        raise Unavailable("the channel is gone")

    world.channel.close = unreachable  # type: ignore[method-assign] # an outage that no script ends
    await app.cancel(order.id, **WHO)
    await world.clock.advance(30)
    assert (await app.get(order.id)).stage is Stage.CANCELLING
    await world.clock.advance(3700)
    order = await app.get(order.id)
    assert (order.stage, order.why, order.legs[0].state) == (Stage.STUCK, "not_wound_up", LegState.CLOSING)
    assert order.due_at_us is not None  # and it is tried on
    del world.channel.close
    await app.resume(order.id, **WHO)
    await world.clock.advance(1)
    assert (await app.get(order.id)).stage is Stage.CANCELLED
