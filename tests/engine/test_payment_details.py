"""What a channel gives for the payer: kept, and read while the order waits for its payment."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from world import PRICE, Shop, World

from orderway import App, Business, LegState, Money, Order, OrderNotFound, ScriptedChannel, blocking
from orderway.channels.scripted import NeverPays, PaysLater
from orderway.core.journal import check_chain, replay
from orderway.errors import InvalidValue, OutcomeUnknown
from orderway.ports.channel import Charge, Outcome, Pending
from orderway.system_clock import SystemClock

Charging = Callable[[Charge], Awaitable[Outcome]]


def link(order: Order[Any]) -> dict[str, str]:
    return {"pay_url": f"scripted://{order.id}-0-1"}


def gives(details: Any) -> Charging:
    async def charge(_: Charge) -> Outcome:
        return Pending("S1", details)

    return charge


async def buy(app: App, pay: str = "scripted") -> Order[Any]:
    return await app.forward(await app.create(1, "alice", amount=PRICE, pay=pay))


async def test_they_are_there_from_the_charge_to_the_payment(world: World, shop: Shop) -> None:
    world.channel.script = {PRICE.amount_minor: PaysLater()}
    app = await world.app(shop, sweep=False)
    order = await app.create(1, "alice", amount=PRICE, pay="scripted")
    assert await app.payment_details(order.id) is None
    await app.forward(order)
    assert await app.payment_details(order.id) == link(order)
    assert await (await world.app(sweep=False)).payment_details(order.id) == link(order), (
        "another worker reads them too"
    )
    await world.clock.advance(shop.query_every.total_seconds())
    await app.sweep()
    assert ((await app.get(order.id)).stage, await app.payment_details(order.id)) == ("finished", None)


async def test_they_end_with_an_order_that_was_not_paid_in_time(world: World, shop: Shop) -> None:
    world.channel.script = {PRICE.amount_minor: NeverPays()}
    app = await world.app(shop, sweep=False)
    order = await buy(app)
    assert await app.payment_details(order.id) == link(order)
    await world.clock.advance(shop.pay_within.total_seconds() + 1)
    await app.sweep()
    assert ((await app.get(order.id)).stage, await app.payment_details(order.id)) == ("closed", None)


async def test_who_paid_a_wrong_amount_is_not_sent_to_pay_again(world: World, shop: Shop) -> None:
    world.channel.script = {PRICE.amount_minor: NeverPays()}
    app = await world.app(shop, sweep=False)
    order = await buy(app)
    stuck = await app.record_payment(order.id, Money(1, "CNY"), reference="S1", channel="scripted")
    assert stuck.legs[0].is_open
    assert await app.payment_details(order.id) is None
    await app.sweep()
    await app.resume(order.id, actor="mia", reason="the cent was sent back")
    assert await app.payment_details(order.id) == link(order)


async def test_they_are_kept_when_the_answer_to_the_charge_was_lost(world: World, shop: Shop) -> None:
    class Forgetful(ScriptedChannel):
        """Accepts the charge, and its answer is lost."""

        async def charge(self, charge: Charge) -> Outcome:
            await super().charge(charge)
            raise OutcomeUnknown("the answer is lost", order_id=charge.order_id)

    world.channel = Forgetful(world.clock, default=NeverPays())
    app = await world.app(shop, sweep=False)
    order = await buy(app)
    facts = [entry.fact for entry in await app.journal(order.id)]
    assert facts == ["Created", "PaymentUnknown", "PaymentPending"]
    assert await app.payment_details(order.id) == link(order)


@pytest.mark.parametrize(
    "details", [{"qr": "二维码 🧾", "expires": [1, None, True]}, "weixin://pay?pr=x", ["a"], 7, 0, "", False, {}]
)
async def test_whatever_json_can_hold_comes_back(
    world: World, shop: Shop, monkeypatch: pytest.MonkeyPatch, details: Any
) -> None:
    monkeypatch.setattr(world.channel, "charge", gives(details))
    app = await world.app(shop, sweep=False)
    assert await app.payment_details((await buy(app)).id) == details


async def test_a_channel_that_gives_none_is_as_before(
    world: World, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.channel, "charge", gives(None))
    app = await world.app(shop, sweep=False)
    order = await buy(app)
    assert (order.legs[0].state, await app.payment_details(order.id)) == (LegState.PENDING, None)
    assert (await app.journal(order.id))[-1].private is None


@pytest.mark.parametrize("details", [{1}, float("nan"), "\ud800", {"link": "x" * 65_536}], ids=repr)
async def test_what_cannot_be_kept_is_an_error_of_the_channel_and_takes_no_money(
    world: World, shop: Shop, monkeypatch: pytest.MonkeyPatch, details: Any
) -> None:
    monkeypatch.setattr(world.channel, "charge", gives(details))
    app = await world.app(shop, sweep=False)
    order = await buy(app)
    assert order.stage == "created"
    assert "InvalidValue: a channel's details for the payer" in order.last_error
    await world.clock.advance(shop.pay_within.total_seconds() + 1)
    await app.sweep()
    assert (await app.get(order.id)).stage == "closed"


async def test_they_are_private_and_can_be_erased(world: World, shop: Shop) -> None:
    world.channel.script = {PRICE.amount_minor: NeverPays()}
    app = await world.app(shop, sweep=False)
    order = await buy(app)
    entries = list(await app.journal(order.id))
    assert "scripted://" in (entries[-1].private or "")
    assert "scripted://" not in entries[-1].body
    erased = [entry._replace(private=None) for entry in entries]
    assert check_chain(erased) == []
    assert replay(erased).legs == order.legs


@pytest.mark.parametrize(("order_id", "error"), [("nonsense", InvalidValue), (None, OrderNotFound)])
async def test_orders_that_are_not_there(
    world: World, shop: Shop, order_id: str | None, error: type[Exception]
) -> None:
    app = await world.app(shop, sweep=False)
    with pytest.raises(error):
        await app.payment_details(order_id or app.new_order_id(1, "alice"))


@pytest.mark.parametrize("pay", ["gateway", None])
async def test_orders_that_ask_no_channel_have_none(world: World, shop: Shop, pay: str | None) -> None:
    app = await world.app(shop, sweep=False)
    order = await app.create(1, "alice", amount=PRICE if pay else None, pay=pay)
    assert await app.payment_details(order.id) is None


def test_the_blocking_app_gives_them_too() -> None:
    class Toy(Business[dict[str, Any]]):
        order_type = 1

        def deliver(self, order: Order[Any], delivery: Any) -> None: ...

    with blocking.App(channels=[ScriptedChannel(SystemClock(), default=NeverPays())], sweep=False) as app:
        app.register(Toy())
        order = app.forward(app.create(1, "alice", amount=PRICE, pay="scripted"))
        assert app.payment_details(order.id) == link(order)
