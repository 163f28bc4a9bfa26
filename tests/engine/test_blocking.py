"""The blocking App: the same methods as the asynchronous one, refusing to hang."""

from __future__ import annotations

import asyncio
import inspect
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from orderway import App, Business, Money, Stage, UsageError, blocking
from orderway.errors import NestedCall, WrongThread


class Shop(Business[dict[str, Any]]):
    order_type = 1
    delivered = 0

    def deliver(self, order: Any, delivery: Any) -> None:
        self.delivered += 1


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def test_it_has_every_method_of_the_asynchronous_app_with_the_same_arguments() -> None:
    assert public(App) <= public(blocking.App)
    for name in public(App):
        ours, theirs = getattr(blocking.App, name), getattr(App, name)
        assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters), name


def test_an_order_from_many_threads() -> None:
    shop = Shop()
    with blocking.App("memory://") as app:
        app.register(shop)
        app.wallet.top_up("alice", Money(10_000, "CNY"), key="k")

        def buy(number: int) -> Stage:
            order = app.create(1, "alice", amount=Money(100, "CNY"), pay="wallet", own_number=str(number % 50))
            return app.forward(order).stage

        with ThreadPoolExecutor(8) as threads:
            stages = list(threads.map(buy, range(100)))
        finished = app.list(stages=[Stage.FINISHED], limit=100).orders
        assert (len(finished), app.wallet.balance("alice", "CNY")) == (50, Money(5_000, "CNY"))
        assert set(stages) <= {Stage.CREATED, Stage.PAID, Stage.DELIVERED, Stage.FINISHED}


def test_an_order_of_ones_own_gateway() -> None:
    with blocking.App("memory://") as app:
        app.register(Shop())
        order = app.create(1, "alice", amount=Money(100, "CNY"), pay="gateway")
        app.record_payment(order.id, Money(100, "CNY"), reference="R1")
        app.forward(order.id)
        app.sweep()
        assert app.get(order.id).stage in {Stage.PAID, Stage.FINISHED}
        assert [entry.fact for entry in app.journal(order.id)][:2] == ["Created", "Paid"]
        assert app.explain(order.id).order.id == order.id


def test_calls_that_would_hang_raise() -> None:
    app = blocking.App("memory://")
    with pytest.raises(UsageError, match="not started"):
        app.list()
    with app:

        async def on_a_loop() -> None:
            app.list()

        with pytest.raises(WrongThread, match="loop's thread"):
            asyncio.run(on_a_loop())


def test_calls_inside_an_open_transaction_raise() -> None:
    class Nested(Business[dict[str, Any]]):
        order_type = 1
        error: Exception | None = None

        def deliver(self, order: Any, delivery: Any) -> None:
            with delivery.transaction():
                try:
                    app.get(order.id)
                except NestedCall as error:
                    self.error = error

    nested = Nested()
    with blocking.App("memory://") as app:
        app.register(nested)
        assert app.forward(app.create(1, "alice")).stage is Stage.FINISHED
    assert isinstance(nested.error, NestedCall)
