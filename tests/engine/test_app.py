"""The App as its users meet it: ids, idempotency, several Apps, take-over, threads, forks, refusals."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from typing import Any

import pytest
from world import PRICE, Shop, World

from orderway import App, Business, ConfigError, Money, Order, OrderExists, OrderNotFound, Retry, Stage, UsageError
from orderway.errors import InvalidValue, NestedCall, WrongThread


async def test_the_same_own_number_with_the_same_content_is_the_same_order(world: World, shop: Shop) -> None:
    app = await world.app(shop)
    one = await app.forward(await app.create(1, "alice", own_number="N-1", data={"sku": "x"}, remark="first"))
    two = await app.create(1, "alice", own_number="N-1", data={"sku": "x"}, remark="second")
    assert (two.id, two.stage, two.remark) == (one.id, Stage.FINISHED, "first")
    assert one.id == app.order_id_from(1, "alice", "N-1")
    await app.forward(two)
    assert world.delivered(one) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"data": {"sku": "y"}},
        {"amount": PRICE, "pay": "wallet"},
        {"amount": PRICE, "pay": "gateway"},
    ],
)
async def test_the_same_own_number_with_other_content_is_refused(
    world: World, shop: Shop, other: dict[str, Any]
) -> None:
    app = await world.app(shop)
    await app.create(1, "alice", own_number="N-1")
    with pytest.raises(OrderExists, match="another content"):
        await app.create(1, "alice", own_number="N-1", **other)


async def test_ids_by_sequence_and_by_time(world: World, shop: Shop) -> None:
    app = await world.app(shop)
    ids = [await app.next_order_id(1, "alice") for _ in range(3)] + [app.new_order_id(1, "alice") for _ in range(3)]
    assert len(set(ids)) == 6
    for order_id in ids:
        assert (await app.create(1, "alice", order_id=order_id)).id == order_id


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"uid": ""}, "1 to 128 characters"),
        ({"uid": "x" * 129}, "1 to 128 characters"),
        ({"uid": "\ud800"}, "surrogate"),
        ({"uid": "a\x00b"}, "NUL"),
        ({"remark": "r" * 1025}, "1024 are allowed"),
        ({"data": {"x": float("nan")}}, "data of order type 1"),
        ({"data": object()}, "data of order type 1"),
        ({"amount": PRICE}, "give pay="),
        ({"amount": Money(-1, "CNY"), "pay": "wallet"}, "negative"),
        ({"order_id": "nonsense"}, "no order id"),
        ({"own_number": "n" * 129}, "128 are allowed"),
    ],
)
async def test_bad_arguments_are_refused_before_anything_is_written(
    world: World, shop: Shop, arguments: dict[str, Any], message: str
) -> None:
    app = await world.app(shop)
    with pytest.raises(InvalidValue, match=message):
        await app.create(1, **{"uid": "alice", **arguments})
    assert not (await app.list()).orders


async def test_configuration_is_checked_where_it_is_wrong(world: World, shop: Shop) -> None:
    app = await world.app(shop)
    with pytest.raises(ConfigError, match="registered: 1"):
        await app.create(2, "alice")
    with pytest.raises(ConfigError, match="no channel is called so"):
        await app.create(1, "alice", amount=PRICE, pay="paypal")
    with pytest.raises(ConfigError, match="served by Shop already"):
        app.register(Shop())
    with pytest.raises(ConfigError, match="order_type"):
        app.register(Business())
    with pytest.raises(ConfigError, match="two channels"):
        App("memory://", channels=[world.channel, world.channel])
    with pytest.raises(ConfigError, match=r"memory://.*sqlite://"):
        App("oracle://x")


async def test_an_app_that_is_not_started_says_so() -> None:
    with pytest.raises(UsageError, match="not started"):
        await App("memory://").list()


async def test_an_unknown_order_is_not_found(world: World, shop: Shop) -> None:
    app = await world.app(shop)
    order_id = app.new_order_id(1, "alice")
    for ask in (app.get, app.forward, app.journal, app.explain):
        with pytest.raises(OrderNotFound, match=order_id):
            await ask(order_id)


async def test_two_apps_in_one_process_do_not_meet(shop: Shop) -> None:
    async with App("memory://") as one, App("memory://") as two:
        one.register(shop)
        two.register(Shop())
        order = await one.create(1, "alice", amount=PRICE, pay="gateway")
        with pytest.raises(OrderNotFound):
            await two.get(order.id)
        assert await two.wallet.top_up("alice", PRICE, key="k")
        assert not await one.wallet.balance("alice", "CNY")


class Gate(Business[dict[str, Any]]):
    """Its delivery waits until the test lets it go on."""

    order_type = 1
    retry = Retry(jitter=0)

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.go_on = asyncio.Event()
        self.deliveries = 0

    async def deliver(self, order: Order[Any], delivery: Any) -> None:
        self.deliveries += 1
        self.entered.set()
        await self.go_on.wait()
        delivery.execute("INSERT INTO goods VALUES (:id)", {"id": order.id}, expect=1)


async def test_an_order_that_is_being_carried_is_returned_as_it_is(world: World) -> None:
    gate = Gate()
    app, other = await world.app(gate), await world.app(Gate())
    order = await app.create(1, "alice")
    task = asyncio.create_task(app.forward(order))
    await gate.entered.wait()
    assert (await app.forward(order.id)).stage is Stage.PAID
    assert (await other.forward(order.id)).stage is Stage.PAID
    await world.clock.advance(30)  # far past the lease: its holder lives, so nobody takes it over
    assert "right now" in " ".join((await other.explain(order.id)).reasons)
    gate.go_on.set()
    assert (await task).stage is Stage.FINISHED
    assert (gate.deliveries, world.delivered(order)) == (1, 1)


async def test_the_orders_of_a_dead_worker_are_taken_over_within_five_seconds(world: World, shop: Shop) -> None:
    gate = Gate()
    dead, alive = await world.app(gate), await world.app(shop)
    order = await dead.create(1, "alice")
    task = asyncio.create_task(dead.forward(order))
    await gate.entered.wait()
    for background in dead._tasks:  # the process is frozen: neither heartbeat nor sweeper
        background.cancel()
    await world.clock.advance(2.5)
    assert shop.called("deliver") == 0
    await world.clock.advance(2.5)
    assert (await alive.get(order.id)).stage is Stage.FINISHED
    gate.go_on.set()  # the frozen process comes back and goes on with what it was doing
    assert (await task).stage is Stage.FINISHED
    assert world.delivered(order) == 1


async def test_a_worker_that_was_declared_dead_goes_on_under_a_new_incarnation(world: World, shop: Shop) -> None:
    app = await world.app(shop)
    before = app.membership.incarnation
    await app.ports.workers.bury(before)
    await world.clock.advance(1)
    assert app.membership.incarnation not in {before, 0}
    assert (await app.forward(await app.create(1, "alice"))).stage is Stage.FINISHED


async def test_a_created_order_that_is_never_forwarded_is_carried_by_the_sweeper(world: World, shop: Shop) -> None:
    app = await world.app(shop)
    order = await app.create(1, "alice")
    await world.clock.advance(4)
    assert (await app.get(order.id)).stage is Stage.FINISHED
    assert (await app.forward(order)).stage is Stage.FINISHED  # with the stale order in hand
    assert world.delivered(order) == 1


async def test_closing_hands_orders_back_at_once(world: World, shop: Shop) -> None:
    one, two = await world.app(shop), await world.app(Shop())
    order = await one.create(1, "alice")
    await one.close()
    await world.clock.advance(4)
    assert (await two.get(order.id)).stage is Stage.FINISHED


async def test_a_cancelled_forward_is_carried_on_by_the_sweeper(world: World) -> None:
    gate = Gate()
    app = await world.app(gate)
    order = await app.create(1, "alice")
    task = asyncio.create_task(app.forward(order))
    await gate.entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.go_on.set()
    await world.clock.advance(4)
    assert (await app.get(order.id)).stage is Stage.FINISHED
    assert world.delivered(order) == 1


async def test_a_stale_order_object_is_no_licence_to_act(world: World, shop: Shop) -> None:
    app = await world.app(shop)
    created = await app.create(1, "alice")
    await app.forward(created)
    assert (await app.forward(created)).stage is Stage.FINISHED
    assert shop.called("deliver") == 1


async def test_delivery_by_a_transaction_of_ones_own(world: World) -> None:
    class Own(Business[dict[str, Any]]):
        order_type = 1
        fail = True

        async def deliver(self, order: Order[Any], delivery: Any) -> None:
            async with delivery.transaction() as connection:
                await connection.execute("INSERT INTO goods VALUES (:id)", {"id": order.id})
                if self.fail:
                    raise RuntimeError("after the goods, before the commit")

    own = Own()
    app = await world.app(own)
    order = await app.forward(await app.create(1, "alice"))
    assert (order.stage, world.delivered(order)) == (Stage.PAID, 0)
    own.fail = False
    await world.clock.advance(5)
    assert ((await app.get(order.id)).stage, world.delivered(order)) == (Stage.FINISHED, 1)


async def test_calling_the_app_inside_a_transaction_raises_instead_of_hanging(world: World) -> None:
    class Nested(Business[dict[str, Any]]):
        order_type = 1
        error: Exception | None = None

        async def deliver(self, order: Order[Any], delivery: Any) -> None:
            async with delivery.transaction():
                try:
                    await app.get(order.id)
                except NestedCall as error:
                    self.error = error

    nested = Nested()
    app = await world.app(nested)
    order = await app.forward(await app.create(1, "alice"))
    assert order.stage is Stage.FINISHED
    assert nested.error is not None
    assert "before or after" in str(nested.error)


async def test_using_the_wallet_inside_a_transaction_raises_instead_of_waiting_for_it(world: World) -> None:
    class Nested(Business[dict[str, Any]]):
        order_type = 1
        refused = 0

        async def deliver(self, order: Order[Any], delivery: Any) -> None:
            wallet = app.wallet
            async with delivery.transaction():
                for call in (
                    wallet.top_up("bob", PRICE, key="k"),
                    wallet.debit("bob", PRICE, key="k"),
                    wallet.balance("bob", PRICE.currency),
                    wallet.statement("bob", PRICE.currency),
                ):
                    with pytest.raises(NestedCall):
                        await call
                    self.refused += 1

    nested = Nested()
    app = await world.app(nested)
    order = await app.forward(await app.create(1, "alice"))
    assert (order.stage, nested.refused) == (Stage.FINISHED, 4)


async def test_plain_hooks_run_in_threads_with_a_blocking_delivery(world: World) -> None:
    import threading

    class Plain(Business[dict[str, Any]]):
        order_type = 1
        threads: set[int] = set()  # noqa: RUF012 - one instance in one test

        def can_forward(self, order: Order[Any]) -> None:
            self.threads.add(threading.get_ident())

        def deliver(self, order: Order[Any], delivery: Any) -> None:
            self.threads.add(threading.get_ident())
            number = delivery.step("number", lambda key: 7)
            with delivery.transaction() as connection:
                assert connection.fetch("SELECT count(*) FROM goods") == [(0,)]
                assert connection.execute("INSERT INTO goods VALUES (:id)", {"id": order.id}) == number - 6

        def finished(self, order: Order[Any]) -> None:
            self.threads.add(threading.get_ident())

    plain = Plain()
    app = await world.app(plain)
    order = await app.forward(await app.create(1, "alice"))
    assert (order.stage, order.steps, world.delivered(order)) == (Stage.FINISHED, {"number": "7"}, 1)
    assert threading.get_ident() not in plain.threads


async def test_an_error_in_a_plain_hook_comes_through_as_it_is(world: World) -> None:
    class Plain(Business[dict[str, Any]]):
        order_type = 1

        def deliver(self, order: Order[Any], delivery: Any) -> None:
            with delivery.transaction() as connection:
                connection.execute("INSERT INTO goods VALUES (:id)", {"id": order.id})
                raise LookupError("no such item")

    app = await world.app(Plain())
    order = await app.forward(await app.create(1, "alice"))
    assert (order.last_error, world.delivered(order)) == ("LookupError: no such item", 0)


async def test_use_after_a_fork_raises(world: World, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    app = await world.app(shop)
    real = os.getpid()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: real + 1)  # what a child process would see
        with pytest.raises(WrongThread, match="fork"):
            await app.list()


async def test_operators_actions_need_a_name_and_a_reason(world: World, shop: Shop) -> None:
    app = await world.app(shop)
    order = await app.forward(await app.create(1, "alice"))
    with pytest.raises(UsageError, match="who you are"):
        await app.resume(order.id, actor=" ", reason="because")
    with pytest.raises(UsageError, match="finished, and no refund of it is stuck"):
        await app.resume(order.id, actor="ann", reason="because")


def test_back_off_grows_is_capped_and_jittered() -> None:
    retry = Retry(first=timedelta(seconds=1), factor=2, cap=timedelta(seconds=10), jitter=0.5)
    assert [retry.delay_us(n, 0.0) // 1_000_000 for n in (1, 2, 3, 4, 5, 1000)] == [1, 2, 4, 8, 10, 10]
    assert retry.delay_us(1, 0.999_999) == pytest.approx(500_000, rel=1e-3)
    for wrong in ({"factor": 0.5}, {"jitter": 2}, {"first": timedelta(0)}, {"cap": timedelta(milliseconds=1)}):
        with pytest.raises(ConfigError):
            Retry(**wrong)
