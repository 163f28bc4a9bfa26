"""The example of the explorer's documentation: hooks of a user's own, one shop that is right and one that is not."""

from __future__ import annotations

from typing import Any

import pytest

from orderway import Business, Money, Order
from orderway.testing.explorer import Scenario, explore
from orderway.testing.world import Worker, World


class Shop(Business[dict[str, Any]]):
    order_type = 1

    async def deliver(self, order: Order[dict[str, Any]], delivery: Any) -> None:
        delivery.execute("INSERT INTO goods VALUES (:id)", {"id": order.id}, expect=1)


class CarelessShop(Shop):
    """Writes the goods by itself, beside the fact."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def deliver(self, order: Order[dict[str, Any]], delivery: Any) -> None:
        self.world.database.execute(f"INSERT INTO goods VALUES ('{order.id}')")


async def buy(worker: Worker) -> None:
    await worker.app.wallet.top_up("ann", Money(1000, "CNY"), key="t1")
    order = await worker.app.create(1, "ann", amount=Money(990, "CNY"), pay="wallet", own_number="1")
    await worker.app.forward(order)


async def test_a_shop_that_delivers_with_the_fact_is_right() -> None:
    report = await explore(Scenario("my shop", lambda world: [Shop()], buy))
    report.check()
    assert report.struck["crash"]["before delivery.execute"] >= 2
    assert "before delivery.execute" in report.table()


async def test_a_shop_that_delivers_beside_the_fact_is_caught() -> None:
    report = await explore(Scenario("careless shop", lambda world: [CarelessShop(world)], buy), second_faults=0)
    with pytest.raises(AssertionError, match="its goods were handed over 2 times"):
        report.check()


async def test_the_same_seed_gives_the_same_exploration() -> None:
    scenario = Scenario("my shop", lambda world: [Shop()], buy)
    first, second = [await explore(scenario, second_faults=30, seed=7) for _ in range(2)]
    assert (first.reached, first.struck, first.runs) == (second.reached, second.struck, second.runs)


async def test_a_caller_who_gets_an_error_is_a_violation() -> None:
    async def order_of_unknown_type(worker: Worker) -> None:
        await worker.app.create(2, "ann", own_number="1")

    report = await explore(Scenario("wrong type", lambda world: [Shop()], order_of_unknown_type), second_faults=0)
    problems = {violation.problem for violation in report.violations}
    assert any("the caller got ConfigError: order type 2 is not registered here" in problem for problem in problems)
