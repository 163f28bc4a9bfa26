"""Back-off, deadlines, alerts: when an order is stuck, who is told, how often, and how it goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from orderway import App, Business, Retry, RetryIn
from orderway.adapters import memory_ports
from orderway.core.facts import Stuck
from orderway.core.journal import fact_of
from orderway.core.order import Order, Stage, Status
from orderway.errors import ConfigError, IllegalTransition, InvalidValue
from orderway.memory import MemoryDatabase
from orderway.ports.store import Query
from orderway.testing.clock import VirtualClock
from orderway.verify import verify

EVERY_S = 100
EVERY = timedelta(seconds=EVERY_S)


class Gifts(Business[None]):
    order_type = 1
    retry: ClassVar[Retry] = Retry(first=timedelta(seconds=10), factor=1, jitter=0, deadline=timedelta(hours=10))
    alert_every: ClassVar[timedelta | None] = EVERY

    def __init__(self) -> None:
        self.clock: VirtualClock
        self.is_broken = True
        self.tries: list[float] = []
        self.alerted: list[tuple[float, str]] = []
        self.verdict: Any = None

    async def can_forward(self, order: Order[Any]) -> Any:
        return self.verdict

    async def deliver(self, order: Order[Any], delivery: Any) -> None:
        self.tries.append(self.clock.monotonic_s())
        if self.is_broken:
            raise OSError("the warehouse does not answer")

    async def alert(self, order: Order[Any]) -> None:
        self.alerted.append((self.clock.monotonic_s(), order.why))


class Shop:
    """Apps over one database in memory, with a clock that the test moves."""

    def __init__(self, gifts: Gifts) -> None:
        self.clock = VirtualClock()
        self.database = MemoryDatabase()
        self.gifts = gifts
        gifts.clock = self.clock

    @asynccontextmanager
    async def open(self) -> AsyncIterator[App]:
        app = App(memory_ports(self.database), clock=self.clock)
        app.register(self.gifts)
        async with app:
            yield app

    async def check(self, app: App) -> None:
        report = await verify(app.ports.store, app.ports.ledger)
        assert report.found == 0, report


def business(**settings: Any) -> Gifts:
    return type("Gifts", (Gifts,), settings)()


async def stuck_fact(app: App, order_id: str) -> Stuck:
    facts = [fact_of(entry) for entry in await app.ports.store.entries(order_id)]
    (fact,) = (fact for fact in facts if isinstance(fact, Stuck))
    return fact


async def test_after_so_many_failures_it_is_stuck_and_says_how_often_and_since_when() -> None:
    shop = Shop(business(retry=Retry(first=timedelta(seconds=10), factor=1, jitter=0, most_attempts=4)))
    async with shop.open() as app:
        order = await app.create(1, "ann")
        began_us = shop.clock.now_us()
        await shop.clock.advance(29)
        assert (await app.get(order.id)).stage is Stage.PAID
        await shop.clock.advance(5)
        order = await app.get(order.id)
        assert (order.stage, order.status, order.why) == (Stage.STUCK, Status.STUCK, "hook_failed")
        fact = await stuck_fact(app, order.id)
        assert (fact.attempts, fact.tried_from_us) == (len(shop.gifts.tries), began_us) == (4, began_us)
        assert "the warehouse does not answer" in fact.error
        await shop.check(app)


async def test_past_its_whole_deadline_an_order_is_stuck_though_each_step_might_be_tried_longer() -> None:
    shop = Shop(business(finish_within=timedelta(seconds=60)))
    async with shop.open() as app:
        order = await app.create(1, "ann")
        await shop.clock.advance(55)
        assert (await app.get(order.id)).stage is Stage.PAID
        await shop.clock.advance(16)
        assert (await app.get(order.id)).stage is Stage.STUCK
        tries = len(shop.gifts.tries)
        await app.resume(order.id, actor="eve", reason="try again")
        await shop.clock.advance(120)
        assert (await app.get(order.id)).stage is Stage.PAID, "what a person resumes is tried like any other"
        assert len(shop.gifts.tries) > tries + 5


async def test_past_its_whole_deadline_an_order_may_not_even_wait() -> None:
    shop = Shop(business(finish_within=timedelta(seconds=60)))
    shop.gifts.verdict = RetryIn(timedelta(seconds=7), "not yet")
    async with shop.open() as app:
        order = await app.create(1, "ann")
        await shop.clock.advance(59)
        assert (await app.get(order.id)).stage is Stage.PAID
        await shop.clock.advance(10)
        order = await app.get(order.id)
        assert (order.stage, order.why, order.last_error) == (Stage.STUCK, "overdue", "not yet")


async def test_without_a_whole_deadline_it_may_wait_for_ever() -> None:
    shop = Shop(business())
    shop.gifts.verdict = RetryIn(EVERY, "not yet")
    async with shop.open() as app:
        order = await app.create(1, "ann")
        await shop.clock.advance(1000)
        assert (await app.get(order.id)).stage is Stage.PAID


ONCE = Retry(first=timedelta(seconds=1), jitter=0, most_attempts=1)


async def test_a_person_is_told_once_in_each_period_by_one_of_many_workers_also_after_a_restart() -> None:
    shop = Shop(business(retry=ONCE))
    async with shop.open() as app, shop.open():
        order = await app.create(1, "ann")
        await shop.clock.advance(10)
        assert [why for _, why in shop.gifts.alerted] == ["hook_failed"], "at once"
        await shop.clock.advance(2.5 * EVERY_S)
        assert len(shop.gifts.alerted) == 3
        await shop.check(app)
    await shop.clock.advance(10 * EVERY_S)
    async with shop.open() as app:
        await shop.clock.advance(10)
        assert len(shop.gifts.alerted) == 4, "who comes late tells once, and makes up for nothing"
        await shop.clock.advance(EVERY_S)
        assert len(shop.gifts.alerted) == 5
        order = await app.get(order.id)
        assert (order.stage, order.last_error) == (Stage.STUCK, "OSError: the warehouse does not answer")
        shop.gifts.is_broken = False
        await app.retry_now(order.id, actor="eve", reason="the warehouse is back")
        await shop.clock.advance(5 * EVERY_S)
        order = await app.get(order.id)
        assert (order.stage, order.due_at_us, order.holder) == (Stage.FINISHED, None, None)
        assert len(shop.gifts.alerted) == 5
        await shop.check(app)


async def test_an_alert_that_fails_moves_nothing_and_is_given_again(caplog: pytest.LogCaptureFixture) -> None:
    class Mute(Gifts):
        retry = ONCE

        async def alert(self, order: Order[Any]) -> None:
            await super().alert(order)
            raise OSError(order.uid * 3)

    shop = Shop(Mute())
    async with shop.open() as app:
        order = await app.create(1, "ann")
        await shop.clock.advance(EVERY_S + 10)
        assert len(shop.gifts.alerted) == 2
        assert (await app.get(order.id)).stage is Stage.STUCK
        await shop.check(app)
    assert f"order {order.id}: its alert failed: OSError" in caplog.text
    assert "annannann" not in caplog.text


async def test_told_only_once_where_that_is_wanted() -> None:
    shop = Shop(business(retry=ONCE, alert_every=None))
    async with shop.open() as app:
        order = await app.create(1, "ann")
        await shop.clock.advance(10 * EVERY_S)
        assert len(shop.gifts.alerted) == 1
        assert (await app.get(order.id)).due_at_us is None


async def test_without_the_hook_nothing_is_due_for_a_stuck_order() -> None:
    class Plain(Business[None]):
        order_type = 1
        retry = ONCE

        async def deliver(self, order: Order[Any], delivery: Any) -> None:
            raise OSError("no")

    app = App(clock=(clock := VirtualClock()))
    app.register(Plain())
    async with app:
        order = await app.create(1, "ann")
        await clock.advance(10)
        order = await app.get(order.id)
        assert (order.stage, order.due_at_us) == (Stage.STUCK, None)


async def test_after_an_outage_orders_are_tried_one_after_the_other() -> None:
    shop = Shop(business(retry=ONCE))
    async with shop.open() as app:
        orders = [(await app.create(1, f"user-{n}")).id for n in range(10)]
        await shop.clock.advance(10)
        shop.gifts.is_broken = False
        shop.gifts.tries.clear()
        began_s = shop.clock.monotonic_s()
        places = iter(range(10))

        async def again(order_id: str) -> Order[Any]:
            return await app.retry_now(order_id, actor="eve", reason="over", delay_s=next(places) * 2)

        query = Query(statuses=(Status.STUCK,), limit=3)
        done = [each async for each in app.each(query, again, dry_run=False)]
        assert [each.error for each in done] == [None] * 10
        await shop.clock.advance(30)
        waited = sorted(round(at_s - began_s) for at_s in shop.gifts.tries)
        assert waited == [pytest.approx(2 * n, abs=1) for n in range(10)]
        assert {(await app.get(order_id)).stage for order_id in orders} == {Stage.FINISHED}
        with pytest.raises(IllegalTransition):
            await app.retry_now(orders[0], actor="eve", reason="over")


async def test_what_waits_for_its_next_try_is_tried_now_and_journals_nothing() -> None:
    shop = Shop(business(retry=Retry(first=timedelta(hours=1), cap=timedelta(hours=1), jitter=0)))
    async with shop.open() as app:
        order = await app.create(1, "ann")
        await shop.clock.advance(10)
        shop.gifts.is_broken = False
        with pytest.raises(InvalidValue):
            await app.retry_now(order.id, actor="eve", reason="over", delay_s=-1)
        waiting = await app.retry_now(order.id, actor="eve", reason="over", delay_s=60)
        assert waiting.due_at_us == shop.clock.now_us() + 60_000_000
        await shop.clock.advance(59)
        assert (await app.get(order.id)).stage is Stage.PAID
        await shop.clock.advance(2)
        assert (await app.get(order.id)).stage is Stage.FINISHED


@pytest.mark.parametrize("settings", [{"finish_within": timedelta(0)}, {"alert_every": -EVERY}])
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        App().register(business(**settings))
    with pytest.raises(ConfigError, match="most_attempts"):
        Retry(most_attempts=0)
