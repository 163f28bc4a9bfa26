"""Hints: sent after the commit, acted on when the row says so, and never lost in silence."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from orderway import App, Business, Retry
from orderway.adapters import memory_ports
from orderway.core.hints import Hint, decode, encode
from orderway.core.money import Money
from orderway.core.order import Order, Status
from orderway.errors import ConfigError, InvalidValue, Unavailable
from orderway.memory import MemoryDatabase, MemoryMailbox
from orderway.ports.queue import Message
from orderway.queues.store import StoreQueue
from orderway.testing.clock import VirtualClock

GONE = "0" * 19 + "A"


class Gifts(Business[None]):
    order_type = 1
    retry = Retry(first=timedelta(seconds=100), jitter=0)

    def __init__(self) -> None:
        self.delivered: Counter[str] = Counter()
        self.fails = 0

    async def deliver(self, order: Order[Any], delivery: Any) -> None:
        if self.fails:
            self.fails -= 1
            raise OSError("the warehouse does not answer")
        self.delivered[order.id] += 1


class BrokenQueue(StoreQueue):
    """A queue whose server is down while ``is_down``."""

    is_down = False

    async def send(self, *arguments: Any, **options: Any) -> None:
        self.check()
        await super().send(*arguments, **options)

    async def receive(self) -> Message:
        self.check()
        return await super().receive()

    def check(self) -> None:
        if self.is_down:
            raise Unavailable("the queue does not answer")


class Deployment:
    """A shop that only sells, and a worker whose sweeper never looks by itself."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.database = MemoryDatabase()
        self.gifts = Gifts()
        self.queues: list[BrokenQueue] = []

    def app(self, *, sweep: bool) -> App:
        queue = BrokenQueue(MemoryMailbox(self.database), "memory")
        self.queues.append(queue)
        app = App(memory_ports(self.database), queue=queue, clock=self.clock, sweep=sweep)
        app.register(self.gifts)
        app.sweeper._poll_s = 1e6
        return app


@pytest.fixture
def deployment() -> Deployment:
    return Deployment()


@asynccontextmanager
async def shop_and_worker(deployment: Deployment) -> AsyncIterator[tuple[App, App]]:
    async with deployment.app(sweep=False) as shop, deployment.app(sweep=True) as worker:
        await deployment.clock.advance(1)
        yield shop, worker


def outcomes(app: App) -> dict[str, int]:
    assert app.hinting is not None
    return dict(app.hinting.outcomes)


async def test_an_order_that_its_shop_left_is_carried_on_its_hint(deployment: Deployment) -> None:
    async with shop_and_worker(deployment) as (shop, worker):
        order = await shop.create(1, "ann")
        await deployment.clock.advance(59)
        assert not deployment.gifts.delivered
        await deployment.clock.advance(2)
        assert (await shop.get(order.id)).status is Status.FINISHED
        assert outcomes(shop) == {"sent": 1}
        assert outcomes(worker) == {"carried": 1}
    assert deployment.gifts.delivered == {order.id: 1}


async def test_a_payment_told_to_a_shop_is_carried_by_a_worker_at_once(deployment: Deployment) -> None:
    async with shop_and_worker(deployment) as (shop, worker):
        price = Money.of("9.90", "CNY")
        order = await shop.create(1, "ann", amount=price, pay="gateway")
        assert outcomes(shop) == {}, "nothing is due for an order that waits for its payer"
        await shop.record_payment(order.id, price, reference="r1")
        await deployment.clock.advance(1)
        assert (await shop.get(order.id)).status is Status.FINISHED
        assert outcomes(worker) == {"carried": 1}


async def test_the_row_decides(deployment: Deployment) -> None:
    """A hint for a finished order, for one that is not due, and ten for the same do nothing that is not to be done."""
    deployment.gifts.fails = 1
    async with shop_and_worker(deployment) as (shop, worker):
        order = await shop.create(1, "ann")
        await shop.forward(order)  # fails, and waits 100 s in back-off
        for _ in range(10):
            await shop.send_hint(order.id, "ann", delay_s=0)
        await deployment.clock.advance(1)
        assert outcomes(worker) == {"early": 10}
        assert (await shop.get(order.id)).attempts == 1
        await deployment.clock.advance(100)
        await asyncio.gather(*(shop.send_hint(order.id, delay_s=0) for _ in range(10)))
        await deployment.clock.advance(1)
        assert deployment.gifts.delivered == {order.id: 1}
        await shop.send_hint(order.id, delay_s=0)
        await deployment.clock.advance(1)
        assert outcomes(worker)["finished"] >= 1
        assert sum(outcomes(worker).values()) == 22, "the eleventh is that of create"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\xff", "unreadable"),
        (b"[]", "unreadable"),
        (b'{"OrderID": 7}', "unreadable"),
        (b'{"OrderID": "no id", "Uid": "ann"}', "unreadable"),
        (b"[" * 60_000, "unreadable"),
        (None, "wrong_user"),
    ],
)
async def test_what_nobody_can_do_anything_with_is_buried(
    deployment: Deployment, body: bytes | None, reason: str
) -> None:
    async with shop_and_worker(deployment) as (shop, worker):
        order = await shop.create(1, "ann")
        sent = encode(Hint(order.id, "bob")) if body is None else body
        await deployment.queues[0].send(sent)
        await deployment.clock.advance(1)
        assert [(each.body, each.reason) for each in await deployment.queues[0].buried()] == [(sent, reason)]
        assert outcomes(worker) == {reason: 1}


async def test_a_hint_may_be_faster_than_its_order_and_is_buried_if_that_never_comes(deployment: Deployment) -> None:
    async with shop_and_worker(deployment) as (shop, worker):
        soon, never = shop.new_order_id(1, "ann"), shop.new_order_id(1, "ann")
        for order_id in (soon, never):
            await shop.send_hint(order_id, "ann", delay_s=0)
        await deployment.clock.advance(1)
        assert outcomes(worker) == {"retried": 2}
        await shop.create(1, "ann", order_id=soon)
        await deployment.clock.advance(30)
        assert outcomes(worker)["early"] == 1, "found, and still in its creator's hands"
        assert [each.reason for each in await deployment.queues[0].buried()] == ["unknown_order"]


async def test_a_hint_that_is_too_old_is_not_tried_again(deployment: Deployment) -> None:
    async with shop_and_worker(deployment) as (shop, worker):
        assert worker.hinting is not None
        order = await shop.create(1, "ann")

        async def fails(order_id: str) -> Order[Any]:
            raise Unavailable("the database does not answer")

        worker.hinting._forward = fails
        await deployment.clock.advance(3000)
        assert outcomes(worker)["retried"] > 10
        assert not await deployment.queues[0].buried()
        await deployment.clock.advance(1000)
        assert [each.reason for each in await deployment.queues[0].buried()] == ["expired"]
        before = outcomes(worker)
        await deployment.clock.advance(1000)
        assert outcomes(worker) == before
        assert (await shop.get(order.id)).due_at_us is not None, "the row still promises"


async def test_a_queue_that_is_down_costs_time_and_nothing_else(deployment: Deployment) -> None:
    async with shop_and_worker(deployment) as (shop, worker):
        for queue in deployment.queues:
            queue.is_down = True
        order = await shop.create(1, "ann")
        await deployment.clock.advance(60)
        assert outcomes(shop) == {"unsent": 1}
        with pytest.raises(Unavailable):
            await shop.send_hint(order.id)
        assert not deployment.gifts.delivered
        assert await worker.sweep() == 1
        assert deployment.gifts.delivered == {order.id: 1}
        for queue in deployment.queues:
            queue.is_down = False
        other = await shop.create(1, "bob")
        await deployment.clock.advance(200)
        assert deployment.gifts.delivered[other.id] == 1, "both come back by themselves"


async def test_an_order_of_a_type_that_is_not_served_here_is_left_to_others(deployment: Deployment) -> None:
    async with shop_and_worker(deployment) as (shop, worker):
        order = await shop.create(1, "ann")
        worker.businesses.clear()
        await deployment.clock.advance(61)
        assert outcomes(worker) == {"unserved": 1}
        assert (await shop.get(order.id)).due_at_us is not None


async def test_without_a_queue_a_hint_cannot_be_sent() -> None:
    async with App() as app:
        app.register(Gifts())
        order = await app.create(1, "ann")
        with pytest.raises(ConfigError, match="queue="):
            await app.send_hint(order.id)
        with pytest.raises(InvalidValue):
            await app.send_hint("no id")


def test_hints_travel_as_the_originals_json() -> None:
    assert json.loads(encode(Hint(GONE, "用户\n🎫"))) == {"OrderID": GONE, "Uid": "用户\n🎫"}


def round_trip(check: Callable[[str], str]) -> None:
    for uid in ("", "ann", "用户 🎫", '"},{'):
        assert decode(encode(Hint(check(uid), uid))).uid == uid


def test_hints_come_as_they_were_sent() -> None:
    app = App(clock=VirtualClock())
    app.register(Gifts())
    round_trip(lambda uid: app.new_order_id(1, uid or "x"))
