"""What passes the ports is counted and timed, per order type and step, and never per order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from observed_shop import PRICE, Gifts, Market

from orderway import App, ConfigError, InvalidValue, Order, UsageError
from orderway.core.hints import Hint
from orderway.observe import Metrics, metrics_app


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"orderway_{name}", labels)


async def test_each_step_of_an_order_is_counted_and_timed(market: Market) -> None:
    app = market.app()
    metrics = Metrics(app)
    async with app:
        await app.wallet.top_up("ann", PRICE, key="t")
        for _ in range(2):
            await app.forward(await app.create(1, "ann"))
        await app.forward(await app.create(2, "ann", amount=PRICE, pay="wallet"))
    for order_type, steps in (
        ("1", {"create": 2, "deliver": 2}),
        ("2", {"create": 1, "charge": 1, "deliver": 1, "finish": 1}),
    ):
        for step in ("create", "charge", "deliver", "finish", "refund", "end", "take_back"):
            counted = value(metrics, "step_duration_seconds_count", order_type=order_type, step=step)
            assert counted == steps.get(step), (order_type, step)
    for fact, count in (("Created", 1), ("Paid", 1), ("Delivered", 1), ("Finished", 1)):
        assert value(metrics, "facts_total", order_type="2", fact=fact) == count
    assert value(metrics, "channel_calls_total", channel="wallet", call="charge", outcome="captured") == 1
    assert value(metrics, "channel_call_duration_seconds_count", channel="wallet", call="charge") == 1


async def test_creating_the_same_order_twice_counts_one_fact(market: Market) -> None:
    app = market.app()
    metrics = Metrics(app)
    async with app:
        for _ in range(2):
            await app.create(1, "ann", own_number="N-1")
    assert value(metrics, "facts_total", order_type="1", fact="Created") == 1
    assert value(metrics, "step_duration_seconds_count", order_type="1", step="create") == 2


async def test_failures_are_counted_by_their_step(market: Market) -> None:
    app = market.app()
    metrics = Metrics(app)
    market.gifts.fails = 1
    async with app:
        order = await app.create(1, "ann")
        await app.forward(order)
        await market.clock.advance(2)
        await app.forward(order.id)
        with pytest.raises(InvalidValue):
            await app.create(1, "")
    assert value(metrics, "step_failures_total", order_type="1", step="deliver") == 1
    assert value(metrics, "step_failures_total", order_type="1", step="create") == 1
    assert value(metrics, "step_duration_seconds_count", order_type="1", step="deliver") == 2


async def test_an_order_type_that_nobody_has_registered_gets_no_label_of_its_own(market: Market) -> None:
    app = market.app()
    metrics = Metrics(app)
    async with app:
        for order_type in (77, 78):
            with pytest.raises(ConfigError):
                await app.create(order_type, "ann")
    assert value(metrics, "step_failures_total", order_type="other", step="create") == 2
    assert '"77"' not in metrics.text()


async def test_money_that_goes_back_is_a_refund(market: Market) -> None:
    app = market.app()
    metrics = Metrics(app)
    async with app:
        await app.wallet.top_up("ann", PRICE, key="t")
        order = await app.forward(await app.create(2, "ann", amount=PRICE, pay="wallet"))
        await app.cancel(order.id, actor="op", reason="broken")
        await app.forward(order.id)
    assert value(metrics, "step_duration_seconds_count", order_type="2", step="take_back") == 1
    assert (value(metrics, "step_duration_seconds_count", order_type="2", step="refund") or 0) >= 1
    assert value(metrics, "facts_total", order_type="2", fact="Refunded") == 1
    assert value(metrics, "channel_calls_total", channel="wallet", call="refund", outcome="returned") == 1


async def test_a_hold_that_was_lost_is_counted(market: Market) -> None:
    app, other = market.app(sweep=True), market.app()
    metrics = Metrics(app)
    async with app, other:
        order = await app.create(1, "ann")
        await other.ports.workers.bury(app.membership.incarnation)
        await other.forward(order.id)
        await app.forward(order)
    assert value(metrics, "lost_holds_total", order_type="1") == 1
    assert value(metrics, "step_failures_total", order_type="1", step="deliver") in {None, 0}


async def test_what_became_of_hints_and_how_late_they_came(market: Market) -> None:
    app = market.app(sweep=True, queue=True)
    metrics = Metrics(app)
    async with app:
        assert app.hinting is not None
        order = await app.forward(await app.create(1, "ann"))
        await app.hinting.send(Hint(order.id, "ann"), 0)
        for _ in range(20):
            await market.clock.advance(0.5)
            if value(metrics, "hints_total", outcome="finished"):
                break
    assert value(metrics, "hints_total", outcome="finished") == 1
    assert value(metrics, "hint_lag_seconds_count") == 1


async def test_group_commits_are_measured(tmp_path: Path, market: Market) -> None:
    app = App(f"sqlite:///{tmp_path}/orders.db")
    app.register(market.gifts)
    metrics = Metrics(app, every_s=None)
    async with app:
        await app.forward(await app.create(1, "ann"))
    commits = value(metrics, "commit_operations_count", database="0")
    assert commits is not None
    assert commits >= 3  # the worker's name, the order, its delivery
    assert value(metrics, "commit_duration_seconds_count", database="0") == commits
    assert (value(metrics, "commit_operations_sum", database="0") or 0) >= commits


async def test_a_transaction_of_the_users_own_is_counted_too(tmp_path: Path, market: Market) -> None:
    class Goods(Gifts):
        async def deliver(self, order: Order[Any], delivery: Any) -> None:
            async with delivery.transaction() as connection:
                await connection.fetch("SELECT 1")

    app = App(f"sqlite:///{tmp_path}/orders.db")
    app.register(Goods())
    metrics = Metrics(app, every_s=None)
    async with app:
        await app.forward(await app.create(1, "ann"))
    assert value(metrics, "facts_total", order_type="1", fact="Delivered") == 1


async def test_two_apps_in_one_process_do_not_meet(market: Market) -> None:
    one, other = market.app(), market.app()
    counts = [Metrics(one), Metrics(other)]
    async with one, other:
        await one.create(1, "ann")
    assert [value(each, "facts_total", order_type="1", fact="Created") for each in counts] == [1, None]


async def test_metrics_must_come_before_the_start(market: Market) -> None:
    async with market.app() as app:
        with pytest.raises(UsageError):
            Metrics(app)


def test_an_app_has_its_metrics_once(market: Market) -> None:
    app = market.app()
    metrics = Metrics(app)
    assert Metrics.of(app) is metrics
    metrics_app(app)
    assert app.observers == [metrics]
