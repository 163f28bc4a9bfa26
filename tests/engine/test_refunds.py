"""Money that goes back: reserved before it is sent, once, exact to the last minor unit."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from world import PRICE, Shop, World

from orderway import App, Money, Order, Pay, Stage, Status
from orderway.channels.scripted import (
    RefundsLater,
    RefundTimesOutAfter,
    RefundTimesOutBefore,
    RefundUnreachable,
    RefusesRefund,
)
from orderway.core.money import define_currency
from orderway.core.payment import RefundState
from orderway.errors import InvalidValue, KeyReused, RefundExceedsPayment, UsageError
from orderway.ports.channel import Refused, Returned

define_currency("POINTS")
WHO: dict[str, Any] = {"actor": "eve", "reason": "asked for"}


class Returnable(Shop):
    """Takes goods back."""

    async def take_back(self, order: Order[Any], delivery: Any) -> None:
        self.note("take_back", order)
        delivery.execute("DELETE FROM goods WHERE id = :id", {"id": order.id})


async def finished(world: World, app: App, pay: Any = "scripted") -> Order[Any]:
    order = await app.forward(await app.create(1, "ann", amount=PRICE, pay=pay))
    assert order.stage is Stage.FINISHED
    return order


async def settled(world: World, app: App, order: Order[Any]) -> Order[Any]:
    async def is_settled() -> bool:
        return (await app.get(order.id)).is_final

    await world.until(is_settled, most_s=4 * 3600, step_s=5)
    return await app.get(order.id)


def back(world: World) -> list[int]:
    return [each.amount.amount_minor for each in world.channel.returned()]


async def test_a_part_goes_back_and_the_order_stays_finished(world: World, shop: Shop) -> None:
    app = await world.app(shop)
    order = await finished(world, app)
    order = await app.refund(order.id, Money(500, "CNY"), key="r1", **WHO)
    assert (order.refunds[0].state, order.legs[0].refunding_minor) == (RefundState.RESERVED, 500)
    assert back(world) == []  # reserved before it is sent
    order = await settled(world, app, order)
    assert (order.stage, order.refunded_minor, back(world)) == (Stage.FINISHED, 500, [500])
    again = await app.refund(order.id, Money(500, "CNY"), key="r1", **WHO)
    assert again.version == order.version
    with pytest.raises(KeyReused, match="r1"):
        await app.refund(order.id, Money(501, "CNY"), key="r1", **WHO)
    with pytest.raises(RefundExceedsPayment, match=r"14\.99 CNY can go back, 15\.00 CNY was asked"):
        await app.refund(order.id, Money(1500, "CNY"), key="r2", **WHO)
    with pytest.raises(InvalidValue, match="USD"):
        await app.refund(order.id, Money(1, "USD"), key="r2", **WHO)


async def test_all_that_is_left_makes_it_refunded(world: World, shop: Shop) -> None:
    app = await world.app(shop)
    order = await finished(world, app)
    await app.refund(order.id, Money(1, "CNY"), key="r1", **WHO)
    await app.refund(order.id, key="r2", **WHO)
    order = await settled(world, app, order)
    assert (order.stage, order.status, order.refunded_minor) == (Stage.REFUNDED, Status.REFUNDED, 1999)
    assert sorted(back(world)) == [1, 1998]
    assert shop.called("ended") == 1
    assert world.delivered(order) == 1  # a refund leaves the goods where they are
    with pytest.raises(RefundExceedsPayment, match="nothing is left"):
        await app.refund(order.id, key="r3", **WHO)


async def test_fifty_racing_refunds_never_exceed_what_was_paid(world: World, shop: Shop) -> None:
    app = await world.app(shop)
    order = await finished(world, app)
    results = await asyncio.gather(
        *(app.refund(order.id, Money(100, "CNY"), key=f"r{n}", **WHO) for n in range(50)), return_exceptions=True
    )
    refused = [result for result in results if isinstance(result, RefundExceedsPayment)]
    assert len(refused) == 31
    assert all(not isinstance(result, BaseException) for result in results if result not in refused)
    order = await settled(world, app, order)
    assert (order.legs[0].refunded_minor, sum(back(world))) == (1900, 1900)
    await app.refund(order.id, Money(99, "CNY"), key="rest", **WHO)
    order = await settled(world, app, order)
    assert order.stage is Stage.REFUNDED


@pytest.mark.parametrize("by", ["reverse", "ratio"])
async def test_a_refund_over_several_legs(world: World, shop: Shop, by: Any) -> None:
    app = await world.app(shop)
    await app.wallet.top_up("ann", Money(1000, "CNY"), key="m")
    order = await finished(world, app, [Pay("wallet", Money(1000, "CNY")), "scripted"])
    await app.refund(order.id, Money(1001, "CNY"), key="r", by=by, **WHO)
    order = await settled(world, app, order)
    wallet = (await app.wallet.balance("ann", "CNY")).amount_minor
    assert (wallet, back(world)) == ((2, [999]) if by == "reverse" else (500, [501]))


@pytest.mark.parametrize(
    "behaviours",
    [[RefundTimesOutAfter()], [RefundTimesOutBefore()], [RefundUnreachable(), RefundTimesOutAfter()]],
)
async def test_a_refund_without_an_answer_is_asked_about_and_done_once(
    world: World, shop: Shop, behaviours: list[Any]
) -> None:
    app = await world.app(shop)
    order = await finished(world, app)
    world.channel.refund_script = {order.id: [*behaviours, RefundsLater(after=timedelta(minutes=10))]}
    await app.refund(order.id, Money(700, "CNY"), key="r", **WHO)
    order = await settled(world, app, order)
    assert (order.refunds[0].state, back(world)) == (RefundState.RETURNED, [700])


async def test_a_refused_refund_is_ours_again_and_in_front_of_a_person(world: World, shop: Shop) -> None:
    app = await world.app(shop)
    order = await finished(world, app)
    world.channel.refund_script = {order.id: [RefusesRefund("account closed")]}
    await app.refund(order.id, Money(700, "CNY"), key="r", **WHO)
    order = await settled(world, app, order)
    assert order.refunds[0].state is RefundState.REFUSED
    assert order.needs_person
    assert order.legs[0].refundable_minor == 1999


async def test_a_refund_past_its_deadline_stays_reserved_until_it_is_resumed(world: World, shop: Shop) -> None:
    app = await world.app(shop)
    order = await finished(world, app)
    world.channel.refund_script = {order.id: RefundUnreachable()}
    await app.refund(order.id, Money(700, "CNY"), key="r", **WHO)
    order = await settled(world, app, order)
    assert (order.stage, order.refunds[0].state) == (Stage.FINISHED, RefundState.STUCK)
    assert order.needs_person
    assert order.legs[0].refunding_minor == 700
    world.channel.refund_script = {}
    await app.resume(order.id, **WHO)
    order = await settled(world, app, order)
    assert (order.refunds[0].state, back(world)) == (RefundState.RETURNED, [700])


async def test_a_cancelled_order_that_was_delivered_is_taken_back_first(world: World) -> None:
    shop = Returnable()
    app = await world.app(shop)
    order = await finished(world, app)
    order = await app.cancel(order.id, **WHO)
    assert order.stage is Stage.RETURNING
    order = await settled(world, app, order)
    assert (order.stage, world.delivered(order), back(world)) == (Stage.REFUNDED, 0, [1999])
    assert shop.called("take_back") == 1
    assert (await app.cancel(order.id, **WHO)).version == order.version


async def test_take_back_that_fails_ends_in_front_of_a_person_with_the_money_kept(world: World) -> None:
    shop = Returnable()
    shop.fail = {"take_back": 10_000}
    app = await world.app(shop)
    order = await finished(world, app)
    await app.cancel(order.id, **WHO)
    order = await settled(world, app, order)
    assert (order.stage, order.resume_stage, back(world)) == (Stage.STUCK, Stage.RETURNING, [])
    shop.fail = {}
    await app.resume(order.id, **WHO)
    order = await settled(world, app, order)
    assert (order.stage, back(world)) == (Stage.REFUNDED, [1999])


async def test_goods_that_cannot_be_taken_back_are_not_cancelled(world: World, shop: Shop) -> None:
    app = await world.app(shop)
    order = await finished(world, app)
    with pytest.raises(UsageError, match="take_back"):
        await app.cancel(order.id, **WHO)


@pytest.mark.parametrize("has_hook", [True, False])
async def test_an_undone_order_that_cost_nothing_is_cancelled_not_refunded(world: World, *, has_hook: bool) -> None:
    class Free(Returnable):
        def overrides(self, hook: str) -> bool:
            return super().overrides(hook) and (has_hook or hook != "ended")

    app = await world.app(shop := Free())
    order = await app.forward(await app.create(1, "ann"))
    await app.cancel(order.id, **WHO)
    order = await settled(world, app, order)
    assert (order.stage, order.status, order.why) == (Stage.CANCELLED, Status.CANCELLED, "by_operator")
    assert (world.delivered(order), shop.called("ended")) == (0, int(has_hook))


async def test_all_of_the_money_before_the_goods_undoes_the_order(world: World, shop: Shop) -> None:
    shop.fail = {"deliver": 10_000}
    app = await world.app(shop)
    order = await app.forward(await app.create(1, "ann", amount=PRICE, pay="scripted"))
    assert order.stage is Stage.PAID
    await app.refund(order.id, key="r", **WHO)
    order = await settled(world, app, order)
    assert (order.stage, world.delivered(order), back(world)) == (Stage.REFUNDED, 0, [1999])


async def test_a_refund_of_your_own_gateway_waits_for_your_word(world: World, shop: Shop) -> None:
    app = await world.app(shop)
    order = await app.create(1, "ann", amount=PRICE, pay="gateway")
    await app.record_payment(order.id, PRICE, reference="G1")
    order = await settled(world, app, order)
    await app.refund(order.id, Money(700, "CNY"), key="r", **WHO)
    await world.clock.advance(60)
    order = await app.get(order.id)
    assert order.refunds[0].is_live
    order = await app.record_refund(order.id, 1, Returned("B1"), actor="bank")
    order = await settled(world, app, order)
    assert (order.refunds[0].state, order.refunds[0].reference) == (RefundState.RETURNED, "B1")
    assert (await app.record_refund(order.id, 1, Refused("late"), actor="bank")).version == order.version


async def test_points_go_back_in_proportion_and_the_last_part_takes_the_rest(world: World, shop: Shop) -> None:
    app = await world.app(shop, wallets=("wallet", "points"))
    await app.wallet.top_up("ann", Money(10, "POINTS"), key="p")
    parts = [Pay("points", Money(10, "POINTS"), worth=Money(1000, "CNY")), Pay("scripted")]
    order = await finished(world, app, parts)
    for n, (minor, points) in enumerate([(999 + 333, 3), (333, 6), (334, 10)]):
        await app.refund(order.id, Money(minor, "CNY"), key=f"r{n}", **WHO)
        order = await settled(world, app, order)
        assert (await app.wallet.balance("ann", "POINTS")).amount_minor == points
    assert order.stage is Stage.REFUNDED


async def test_resuming_a_failed_take_back_sends_no_money_before_the_goods_are_back(world: World) -> None:
    shop = Returnable()
    shop.fail = {"take_back": 10_000}
    app = await world.app(shop)
    order = await finished(world, app)
    await app.cancel(order.id, **WHO)
    await settled(world, app, order)
    order = await app.resume(order.id, **WHO)
    assert (order.stage, order.refunds) == (Stage.RETURNING, ())


async def test_steps_of_taking_back_are_steps_of_their_own(world: World) -> None:
    done = []

    class Stepwise(Shop):
        async def deliver(self, order: Order[Any], delivery: Any) -> None:
            done.append(await delivery.step("ship", lambda key: key))

        async def take_back(self, order: Order[Any], delivery: Any) -> None:
            done.append(await delivery.step("ship", lambda key: key))

    app = await world.app(Stepwise())
    order = await finished(world, app)
    await app.cancel(order.id, **WHO)
    await settled(world, app, order)
    assert done == [f"{order.id}-d-ship", f"{order.id}-t-ship"]
