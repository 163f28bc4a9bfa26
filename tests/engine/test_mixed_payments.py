"""One order paid in several parts: all of it, or nothing."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from world import PRICE, Shop, World

from orderway import App, Cancel, Money, Order, Pay, Stage
from orderway.channels.scripted import NeverPays, PaysAfterClose, PaysAtOnce, PaysLater, Refuses
from orderway.core.money import define_currency
from orderway.core.payment import LegState
from orderway.errors import ConfigError, InvalidValue

define_currency("POINTS")
POINTS = Money(500, "POINTS")
WORTH = Money(500, "CNY")
PARTS = [Pay("points", POINTS, worth=WORTH), Pay("wallet", Money(1000, "CNY")), Pay("scripted")]


async def rich(world: World, shop: Shop) -> App:
    """An App with two wallets, and ann who has points and money."""
    app = await world.app(shop, wallets=("wallet", "points"))
    await app.wallet.top_up("ann", POINTS, key="p")
    await app.wallet.top_up("ann", Money(5000, "CNY"), key="m")
    return app


async def held_minor(app: App, currency: str) -> int:
    return (await app.ports.ledger.trial_balance()).get(currency, {}).get("house:held", 0)


async def done(world: World, app: App, order: Order[Any]) -> Order[Any]:
    """The order once it has come to its end."""

    async def is_final() -> bool:
        await world.channel.deliver()
        return (await app.get(order.id)).is_final

    world.channel.notify = lambda body, headers: app.notify("scripted", body, headers)
    await world.until(is_final, most_s=4 * 3600, step_s=1)
    return await app.get(order.id)


async def facts(app: App, order: Order[Any]) -> list[str]:
    return [entry.fact for entry in await app.journal(order.id)]


async def test_holds_first_then_the_external_payment_then_the_holds_are_taken(world: World, shop: Shop) -> None:
    app = await rich(world, shop)
    world.channel.script = {499: PaysLater(after=timedelta(seconds=5))}
    order = await app.forward(await app.create(1, "ann", amount=PRICE, pay=PARTS))
    assert [leg.state for leg in order.legs] == [LegState.HELD, LegState.HELD, LegState.PENDING]
    assert order.legs[2].amount_minor == 499
    assert (await app.wallet.balance("ann", "POINTS"), await held_minor(app, "CNY")) == (Money(0, "POINTS"), 1000)
    order = await done(world, app, order)
    assert order.stage is Stage.FINISHED
    assert order.pay_status == 1
    assert world.delivered(order) == 1
    assert [leg.captured_minor for leg in order.legs] == [500, 1000, 499]
    assert await app.wallet.balance("ann", "CNY") == Money(4000, "CNY")
    assert (await held_minor(app, "CNY"), await held_minor(app, "POINTS")) == (0, 0)
    assert (await facts(app, order))[1:6] == ["Held", "Held", "PaymentPending", "PartPaid", "PartPaid"]


@pytest.mark.parametrize(
    ("behaviour", "stage"),
    [(Refuses("no"), Stage.CANCELLED), (NeverPays(), Stage.CLOSED)],
)
async def test_every_hold_goes_back_if_the_external_payment_fails(
    world: World, shop: Shop, behaviour: Any, stage: Stage
) -> None:
    app = await rich(world, shop)
    world.channel.script = {499: behaviour}
    order = await app.forward(await app.create(1, "ann", amount=PRICE, pay=PARTS))
    order = await done(world, app, order)
    assert order.stage is stage
    assert [leg.state for leg in order.legs[:2]] == [LegState.RELEASED, LegState.RELEASED]
    assert await app.wallet.balance("ann", "POINTS") == POINTS
    assert await app.wallet.balance("ann", "CNY") == Money(5000, "CNY")
    assert (await held_minor(app, "CNY"), await held_minor(app, "POINTS")) == (0, 0)
    assert world.channel.taken() == []
    assert shop.called("ended") == 1


async def test_open_parts_take_what_is_there_and_the_last_one_the_rest(world: World, shop: Shop) -> None:
    app = await world.app(shop)
    await app.wallet.top_up("ann", Money(700, "CNY"), key="m")
    order = await app.forward(await app.create(1, "ann", amount=PRICE, pay=["wallet", "scripted"]))
    assert order.stage is Stage.FINISHED
    assert [(leg.channel, leg.captured_minor) for leg in order.legs] == [("wallet", 700), ("scripted", 1299)]


async def test_an_open_part_with_nothing_there_is_left_out(world: World, shop: Shop) -> None:
    app = await world.app(shop)
    order = await app.forward(await app.create(1, "ann", amount=PRICE, pay=["wallet", "scripted"]))
    assert order.stage is Stage.FINISHED
    assert [(leg.state, leg.captured_minor) for leg in order.legs] == [(LegState.CLOSED, 0), (LegState.PAID, 1999)]


async def test_where_the_holds_cover_the_price_the_external_channel_is_never_charged(world: World, shop: Shop) -> None:
    app = await world.app(shop)
    await app.wallet.top_up("ann", Money(5000, "CNY"), key="m")
    order = await app.forward(await app.create(1, "ann", amount=PRICE, pay=["wallet", "scripted"]))
    order = await done(world, app, order)
    assert order.stage is Stage.FINISHED
    assert [leg.state for leg in order.legs] == [LegState.PAID, LegState.CLOSED]
    assert world.channel.taken() == []


async def test_a_fixed_hold_that_is_short_rejects_the_order_and_frees_the_others(world: World, shop: Shop) -> None:
    app = await world.app(shop, wallets=("wallet", "points"))
    await app.wallet.top_up("ann", POINTS, key="p")
    order = await app.forward(await app.create(1, "ann", amount=PRICE, pay=PARTS))
    order = await done(world, app, order)
    assert order.stage is Stage.REJECTED
    assert await app.wallet.balance("ann", "POINTS") == POINTS
    assert world.channel.taken() == []


async def test_only_internal_parts(world: World, shop: Shop) -> None:
    app = await rich(world, shop)
    parts = [Pay("points", POINTS, worth=WORTH), Pay("wallet")]
    order = await app.forward(await app.create(1, "ann", amount=PRICE, pay=parts))
    assert order.stage is Stage.FINISHED
    assert await app.wallet.balance("ann", "CNY") == Money(5000 - 1499, "CNY")
    assert Counter(await facts(app, order))["Paid"] == 1


async def test_the_business_cancels_after_the_holds(world: World, shop: Shop) -> None:
    class Wavering(Shop):
        asked = 0

        async def can_forward(self, order: Order[Any]) -> Cancel | None:
            self.asked += 1
            return Cancel("sold out") if self.asked > 1 else None

    app = await rich(world, wavering := Wavering())
    order = await app.forward(await app.create(1, "ann", amount=PRICE, pay=PARTS))
    order = await done(world, app, order)
    assert wavering.asked == 2
    assert order.stage is Stage.REFUNDED  # it was paid by then: all of it goes back, and nothing is delivered
    assert [refund.worth_minor for refund in order.refunds] == [500, 1000, 499]
    assert await app.wallet.balance("ann", "CNY") == Money(5000, "CNY")
    assert await app.wallet.balance("ann", "POINTS") == POINTS
    assert [back.amount.amount_minor for back in world.channel.returned()] == [499]
    assert world.delivered(order) == 0


async def test_changing_the_channel_closes_the_earlier_attempt(world: World, shop: Shop) -> None:
    app = await rich(world, shop)
    world.channel.script = {1999: NeverPays()}
    order = await app.forward(await app.create(1, "ann", amount=PRICE, pay="scripted"))
    assert order.legs[0].state is LegState.PENDING
    await app.change_payment(order.id, "wallet")
    order = await done(world, app, order)
    assert order.stage is Stage.FINISHED
    assert [(leg.channel, leg.state) for leg in order.legs] == [
        ("scripted", LegState.CLOSED),
        ("wallet", LegState.PAID),
    ]


async def test_a_second_channel_paid_as_well_goes_back_by_itself(world: World, shop: Shop) -> None:
    app = await rich(world, shop)
    world.channel.script = {1999: PaysLater(after=timedelta(seconds=5))}
    order = await app.forward(await app.create(1, "ann", amount=PRICE, pay="scripted"))
    charge = app.payments.charge_of(order, order.legs[0])
    await world.clock.advance(6)  # paid there, and not heard of yet
    await app.change_payment(order.id, "wallet")
    assert (await world.channel.query(charge)).__class__.__name__ == "Captured"
    order = await done(world, app, order)
    assert order.stage is Stage.FINISHED
    assert world.delivered(order) == 1
    kept = sum(leg.kept_minor for leg in order.legs)
    assert kept == PRICE.amount_minor
    assert len(world.channel.taken()) == 1


@pytest.mark.parametrize(
    ("pay", "says"),
    [
        ([], "not how"),
        (["wallet", "wallet"], "twice"),
        ([Pay("wallet", Money(10, "CNY")), Pay("scripted", Money(10, "CNY"))], "20 minor units"),
        ([Pay("wallet", Money(3000, "CNY")), Pay("scripted")], "3000"),
        ([Pay("wallet", Money(0, "CNY")), Pay("scripted")], "more than 0"),
        ([Pay("wallet", Money(5, "USD")), Pay("scripted")], "worth="),
        ([Pay("wallet", Money(5, "CNY"), worth=Money(6, "CNY")), Pay("scripted")], "cannot be worth"),
        ([Pay("scripted"), Pay("gateway")], "cannot hold"),
    ],
)
async def test_a_plan_that_does_not_add_up_is_refused(world: World, shop: Shop, pay: Any, says: str) -> None:
    app = await world.app(shop)
    with pytest.raises(InvalidValue, match=says):
        await app.create(1, "ann", amount=PRICE, pay=pay)
    with pytest.raises(ConfigError, match="nowhere"):
        await app.create(1, "ann", amount=PRICE, pay=["wallet", "nowhere"])


async def test_the_same_own_number_with_another_plan_is_another_order(world: World, shop: Shop) -> None:
    app = await rich(world, shop)
    order = await app.create(1, "ann", amount=PRICE, pay=PARTS, own_number="7")
    assert (await app.create(1, "ann", amount=PRICE, pay=PARTS, own_number="7")).id == order.id
    with pytest.raises(Exception, match="another content"):
        await app.create(1, "ann", amount=PRICE, pay=["wallet", "scripted"], own_number="7")


async def test_two_external_parts_the_first_goes_back_if_the_second_fails(world: World, shop: Shop) -> None:
    from orderway import ScriptedChannel

    other = ScriptedChannel(world.clock, {999: Refuses("limit")}, name="card")
    world.channel.script = {1000: PaysAtOnce()}
    app = App(app_ports(world), clock=world.clock, channels=[world.channel, other])
    app.register(shop)
    await world.stack.enter_async_context(app)
    parts = [Pay("scripted", Money(1000, "CNY")), Pay("card")]
    order = await app.forward(await app.create(1, "ann", amount=PRICE, pay=parts))
    assert order.stage is Stage.CANCELLED
    assert [back.amount.amount_minor for back in world.channel.returned()] == [1000]
    assert order.legs[0].refunded_minor == 1000


def app_ports(world: World) -> Any:
    from orderway.adapters import memory_ports

    return memory_ports(world.database)


class Reviving(Shop):
    """Carries out what is paid too late."""

    late_payment = "revive"


@pytest.mark.parametrize(("left_minor", "stage"), [(700, Stage.FINISHED), (0, Stage.REJECTED)])
async def test_a_late_part_counts_for_what_was_asked_and_the_rest_is_held_again(
    world: World, left_minor: int, stage: Stage
) -> None:
    app = await world.app(Reviving())
    await app.wallet.top_up("ann", Money(700, "CNY"), key="m")
    world.channel.script = {1299: PaysAfterClose()}
    order = await app.forward(await app.create(1, "ann", amount=PRICE, pay=["wallet", "scripted"]))
    await world.clock.advance(7300)
    order = await app.get(order.id)
    assert (order.stage, order.legs[1].amount_minor) == (Stage.CLOSED, 1299)
    if not left_minor:
        await app.wallet.debit("ann", Money(700, "CNY"), key="spent elsewhere")
    order = await done(world, app, order)
    assert order.stage is stage
    assert order.legs[1].captured_minor == 1299
    assert [back.amount.amount_minor for back in world.channel.returned()] == ([] if left_minor else [1299])
    assert world.delivered(order) == (1 if left_minor else 0)
