"""Memberships are sold once, paid wholly or not at all, and given back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from shop import PARTS, PRICE, TABLE, Membership

from conftest import Till
from orderway import Money, Order, Stage
from orderway.channels.scripted import DOUBLED, NeverPays, PaysLater, Refuses
from orderway.testing.explorer import Scenario, explore
from orderway.testing.world import Worker, World

WHO = {"actor": "eve", "reason": "the customer asked for it"}


async def order(till: Till) -> Order[Any]:
    return await till.app.forward(await till.app.create(1, "ann", amount=PRICE, pay=PARTS, data={"months": 3}))


async def test_points_balance_and_card_pay_together(till: Till) -> None:
    bought = await order(till)
    assert bought.stage is Stage.FINISHED
    assert [leg.captured_minor for leg in bought.legs] == [100, 1000, 1500]
    assert till.months(bought) == 3


async def test_a_callback_that_comes_late_and_twice_delivers_once(till: Till) -> None:
    till.card.script = {1500: PaysLater(after=timedelta(minutes=5), notices=DOUBLED)}
    bought = await order(till)
    assert till.months(bought) == 0
    await till.settle(301)
    assert (await till.app.get(bought.id)).stage is Stage.FINISHED
    assert till.months(bought) == 3
    assert len(till.card.taken()) == 1


async def test_a_refused_card_gives_points_and_balance_back(till: Till) -> None:
    till.card.script = {1500: Refuses("limit")}
    bought = await order(till)
    await till.settle()
    assert (await till.app.get(bought.id)).stage is Stage.CANCELLED
    assert await till.app.wallet.balance("ann", "POINTS") == Money(100, "POINTS")
    assert await till.app.wallet.balance("ann", "CNY") == Money.of("10.00", "CNY")


async def test_who_never_pays_is_not_kept_waiting_for_his_points(till: Till) -> None:
    till.card.script = {1500: NeverPays()}
    bought = await order(till)
    await till.settle(30 * 60 + 1)
    assert (await till.app.get(bought.id)).stage is Stage.CLOSED
    assert await till.app.wallet.balance("ann", "POINTS") == Money(100, "POINTS")


async def test_a_part_goes_back_and_the_months_stay(till: Till) -> None:
    bought = await order(till)
    await till.app.refund(bought.id, Money.of("10.00", "CNY"), key="goodwill", **WHO)
    await till.settle()
    assert [back.amount for back in till.card.returned()] == [Money.of("10.00", "CNY")]
    assert till.months(bought) == 3


async def test_a_cancelled_membership_ends_and_all_of_the_money_goes_back(till: Till) -> None:
    bought = await order(till)
    await till.app.cancel(bought.id, **WHO)
    await till.settle()
    assert (await till.app.get(bought.id)).stage is Stage.REFUNDED
    assert till.months(bought) == 0
    assert await till.app.wallet.balance("ann", "POINTS") == Money(100, "POINTS")


async def test_wherever_the_process_dies_it_is_sold_once() -> None:
    def prepare(world: World) -> None:
        world.database.execute(TABLE)

    def delivered(world: World) -> dict[str, int]:
        return dict(world.database.execute("SELECT order_id, count(*) FROM memberships GROUP BY order_id"))

    async def buy(worker: Worker) -> None:
        await worker.app.wallet.top_up("ann", PRICE, key="once")
        bought = await worker.app.create(1, "ann", amount=PRICE, pay="wallet", own_number="1")
        await worker.app.forward(bought)

    shop = Scenario("membership", lambda world: [Membership()], buy, prepare=prepare, delivered=delivered)
    report = await explore(shop, most_points=12, second_faults=0)
    report.check()
    assert report.crashes
