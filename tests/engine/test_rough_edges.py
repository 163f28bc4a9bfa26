"""Where things go wrong at the edges: values that cannot be stored, dropped orders, loops, hooks that hang."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from world import PRICE, Shop, World

from orderway import App, Business, ConfigError, Money, Order, Query, RetryIn, ScriptedChannel, Stage
from orderway.channels.scripted import NeverPays
from orderway.channels.wallet import WalletChannel
from orderway.core.text import fitting_reference, storable
from orderway.errors import InvalidValue, Unavailable
from orderway.ports.channel import Captured, Charge


@pytest.mark.parametrize("reference", ["r" * 500, "half \ud800", "nul \x00"])
async def test_money_is_kept_whatever_its_reference_looks_like(world: World, shop: Shop, reference: str) -> None:
    app = await world.app(shop)
    order = await app.create(1, "alice", amount=PRICE, pay="gateway")
    for _ in range(2):  # told twice: still one payment
        await app.record_payment(order.id, PRICE, reference=reference)
    await world.clock.advance(1)
    order = await app.get(order.id)
    assert (order.stage, [leg.reference for leg in order.legs]) == (Stage.FINISHED, [fitting_reference(reference)])
    assert order.legs[0].reference.startswith("sha256:")


async def test_a_channel_with_an_endless_reference_is_paid_once(world: World, shop: Shop) -> None:
    class Wordy(WalletChannel):
        name = "wordy"

        async def charge(self, charge: Charge) -> Any:
            outcome = await super().charge(charge)
            return Captured(outcome.amount, "x" * 1000) if isinstance(outcome, Captured) else outcome

    app = await world.app(shop)
    app.channels["wordy"] = Wordy(app.ports.ledger, world.clock)
    await app.wallet.top_up("alice", PRICE, key="k")
    order = await app.forward(await app.create(1, "alice", amount=PRICE, pay="wordy"))
    assert (order.stage, await app.wallet.balance("alice", "CNY")) == (Stage.FINISHED, Money(0, "CNY"))


async def test_data_that_cannot_be_stored_is_a_failed_attempt_and_gets_stuck_in_the_end(world: World) -> None:
    class Spoiling(Shop):
        async def deliver(self, order: Order[Any], delivery: Any) -> None:
            self.note("deliver", order)
            order.data["half"] = "\ud800"

    shop = Spoiling()
    app = await world.app(shop)
    order = await app.forward(await app.create(1, "alice"))
    assert (order.stage, order.attempts) == (Stage.PAID, 1)
    await world.clock.advance(2 * 3600)
    order = await app.get(order.id)
    assert (order.stage, order.resume_stage) == (Stage.STUCK, Stage.PAID)


async def test_an_error_text_that_cannot_be_stored_is_mended(world: World) -> None:
    class Shouting(Shop):
        async def deliver(self, order: Order[Any], delivery: Any) -> None:
            raise RuntimeError("bad \ud800\x00 text" * 100)

    app = await world.app(Shouting())
    order = await app.forward(await app.create(1, "alice"))
    assert order.attempts == 1
    assert order.last_error.startswith("RuntimeError: bad ? text")
    assert storable("a\x00b") == "ab"


async def test_a_wallet_order_first_looked_at_after_its_deadline_is_closed_not_called_short(world: World) -> None:
    class Quick(Shop):
        pay_within = timedelta(seconds=1)

    shop = Quick()
    app = await world.app(shop, sweep=False)
    await app.wallet.top_up("alice", PRICE, key="k")
    order = await app.create(1, "alice", amount=PRICE, pay="wallet")
    await world.clock.advance(5)
    order = await app.forward(order)
    assert (order.stage, order.why) == (Stage.CLOSED, "unpaid")
    assert await app.wallet.balance("alice", "CNY") == PRICE


async def test_an_app_without_a_sweeper_leaves_what_it_drops_to_others(world: World, shop: Shop) -> None:
    class Failing(Shop):
        async def can_forward(self, order: Order[Any]) -> None:
            raise asyncio.CancelledError

    front, worker = await world.app(Failing(), sweep=False), await world.app(shop)
    created = await front.create(1, "alice")
    dropped = await front.create(1, "bob")
    with pytest.raises(asyncio.CancelledError):
        await front.forward(dropped)
    await world.clock.advance(5)
    for order in (created, dropped):
        assert (await worker.get(order.id)).stage is Stage.FINISHED
        assert world.delivered(order) == 1


def test_one_app_lives_on_two_event_loops_one_after_the_other(tmp_path: Any) -> None:
    app = App(f"sqlite:///{tmp_path / 'orders.db'}")
    shop = Quiet()
    app.register(shop)

    async def buy() -> Stage:
        async with app:
            order = await app.create(1, "alice", amount=PRICE, pay="gateway")
            await app.record_payment(order.id, PRICE, reference="R")
            await app.sweep()
            return (await app.get(order.id)).stage

    assert [asyncio.run(buy()) for _ in range(2)] == [Stage.FINISHED, Stage.FINISHED]
    assert shop.deliveries == 2


class Quiet(Business[dict[str, Any]]):
    order_type = 1
    deliveries = 0

    async def deliver(self, order: Order[Any], delivery: Any) -> None:
        self.deliveries += 1


async def test_closing_does_not_wait_for_ever(world: World, shop: Shop) -> None:
    class Hanging(Shop):
        def __init__(self) -> None:
            super().__init__()
            self.entered = asyncio.Event()

        async def deliver(self, order: Order[Any], delivery: Any) -> None:
            self.entered.set()
            await asyncio.Event().wait()

    hanging = Hanging()
    app = await world.app(hanging, close_within_s=0.05)
    order = await app.create(1, "alice", amount=PRICE, pay="gateway")
    await app.record_payment(order.id, PRICE, reference="R")
    await world.clock.advance(0)
    await hanging.entered.wait()
    await app.close()
    other = await world.app(shop)
    await world.clock.advance(4)
    assert (await other.get(order.id)).stage is Stage.FINISHED


async def test_heartbeat_and_sweeper_survive_what_nobody_foresaw(
    world: World, shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app = await world.app(shop)
    with monkeypatch.context() as patch:
        patch.setattr(app.ports.workers.__class__, "beat", _broken)
        patch.setattr(app.ports.store.__class__, "claim", _broken)
        await world.clock.advance(1)
    assert "heartbeat failed" in caplog.text
    assert "sweeping failed" in caplog.text
    order = await app.create(1, "alice")
    await world.clock.advance(4)
    assert (await app.get(order.id)).stage is Stage.FINISHED


async def _broken(*_: Any) -> Any:
    raise ZeroDivisionError("nobody foresaw this")


async def test_a_start_that_fails_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    app = App(f"sqlite:///{tmp_path / 'orders.db'}")
    with monkeypatch.context() as patch:
        patch.setattr(app.ports.workers.__class__, "join", _broken)
        with pytest.raises(ZeroDivisionError):
            await app.start()
    with pytest.raises(Unavailable, match="not open"):
        await app.ports.store.list(Query())
    async with app:
        assert not (await app.list()).orders


async def test_a_top_up_is_reported_as_done_even_if_nobody_could_be_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Patient(Shop):
        when_short = "wait"

    async def gone(*_: Any) -> Any:
        raise Unavailable

    app = await world.app(Patient())
    monkeypatch.setattr(app.ports.store.__class__, "list", gone)
    assert await app.wallet.top_up("alice", PRICE, key="k")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("order_type", 70_000),
        ("pay_within", timedelta(0)),
        ("query_every", timedelta(0)),
        ("transaction_limit", timedelta(seconds=-1)),
        ("when_short", "perhaps"),
        ("deliver", Business.deliver),
    ],
)
async def test_a_business_that_cannot_work_is_refused_at_once(world: World, setting: str, value: Any) -> None:
    app = await world.app()
    broken = type("Broken", (Shop,), {setting: value})
    with pytest.raises(ConfigError, match=setting):
        app.register(broken())


def test_a_verdict_that_would_spin_is_refused() -> None:
    with pytest.raises(InvalidValue, match="longer than 0"):
        RetryIn(timedelta(0))


@pytest.mark.parametrize("name", ["actor", "cause", "channel"])
async def test_short_texts_are_checked(world: World, shop: Shop, name: str) -> None:
    app = await world.app(shop)
    order = await app.create(1, "alice", amount=PRICE, pay="gateway")
    for text in ("\ud800", "x" * 257):
        with pytest.raises(InvalidValue, match=name):
            await app.record_payment(order.id, PRICE, reference="R", **{name: text})
    with pytest.raises(InvalidValue, match="actor"):
        await app.create(1, "alice", actor="\ud800")


async def test_find_and_overview(world: World, shop: Shop) -> None:
    app, other = await world.app(shop), await world.app()
    order = await app.create(1, "alice", amount=PRICE, pay="gateway")
    assert (await app.find(order.id)) == await app.get(order.id)
    assert await app.find(app.new_order_id(1, "alice")) is None
    await world.clock.advance(shop.pay_within.total_seconds() - 1)
    assert (await other.overview())["unserved"] == {}


async def test_a_channel_that_lacks_something_is_refused_at_once(world: World) -> None:
    class Half:
        name = "half"
        asks_payer = True

    with pytest.raises(ConfigError, match="'half' has no capture, charge"):
        App(channels=[Half()])  # type: ignore[list-item] # what a user's own channel may look like
    with pytest.raises(ConfigError, match="a-z"):
        App(channels=[ScriptedChannel(world.clock, name="Not So")])


async def test_a_channel_is_asked_on_its_own_schedule(world: World, shop: Shop) -> None:
    seconds = [timedelta(seconds=1), timedelta(seconds=4), timedelta(seconds=10)]
    world.channel = ScriptedChannel(world.clock, {1999: NeverPays()}, query_after=seconds)
    app = await world.app(shop, sweep=False)
    order = await app.forward(await app.create(1, "ann", amount=PRICE, pay="scripted"))
    waits = []
    for _ in range(4):
        due_at_us = (await app.get(order.id)).due_at_us
        assert due_at_us is not None
        waits.append((due_at_us - world.clock.now_us()) // 1_000_000)
        await world.clock.advance(waits[-1])
        await app.sweep()
    assert waits == [1, 4, 10, 10]
