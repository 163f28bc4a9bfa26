"""Each cell of ``docs/odd-payments.md``, done for real: the money is kept, and ends where the policy says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from world import Shop, World

from orderway import App, Business, Money, Order, Pay, ScriptedChannel, Stage
from orderway.adapters import memory_ports
from orderway.channels.scripted import NeverPays, RefundsAtOnce, RefundsLater
from orderway.core.payment import GATEWAY
from orderway.odd import Payment
from orderway.odd_page import PAYER, SITUATIONS, STAGES, Answer, Policy, answer, deciding, order_in, page
from orderway.ports.channel import Charge, Returned

PAGE = Path(__file__).parents[2] / "docs" / "odd-payments.md"
HELD = Money(400, "CNY")
BALANCE = Money(5000, "CNY")
WAITING = ("unknown order", "unpaid", "held", "another user's")
PAID = ("paid", "delivered", "finished")
UNDONE = ("refunding", "refunded")
STUCK = ("stuck, unpaid", "stuck, paid")
WAS_PAID = (*PAID, *UNDONE, "stuck, paid")
AT_REST = {
    **dict.fromkeys(WAITING, Stage.CREATED),
    **dict.fromkeys(PAID, Stage.FINISHED),
    **dict.fromkeys(UNDONE, Stage.REFUNDED),
    **dict.fromkeys(STUCK, Stage.STUCK),
    "closed": Stage.CLOSED,
    "cancelled": Stage.CANCELLED,
}
"""Where an order ends if nothing more comes."""


class Till:
    """An order in one of the page's stages, and those who pay it.

    Args:
        world: where it is.
        app: on that world.
        other: a channel that the order does not ask.
        order: the order; for an unknown one, as it will be.
        channel: through which it is to be paid.
    """

    def __init__(self, world: World, app: App, other: ScriptedChannel, order: Order[Any], channel: str) -> None:
        self.app = app
        self.order = order
        self.channel = channel
        self.clock = world.clock
        self.channels = {"scripted": world.channel, "other": other}
        self.came: dict[str, Payment] = {}
        """Payments as they really came, by the page's references."""

    async def create(self) -> None:
        order = self.order
        pay = [Pay(leg.channel, Money(leg.amount_minor, leg.currency)) for leg in order.legs]
        self.order = await self.app.create(1, order.uid, amount=order.amount, pay=pay, order_id=order.id)

    async def forward(self) -> None:
        self.order = await self.app.forward(self.order.id)

    async def pay(self, payment: Payment) -> None:
        """A payment is made, unless it was made before; and we are told of it."""
        if payment.reference not in self.came:
            self.came[payment.reference] = await self._made(payment)
        await self.tell(payment.reference)

    async def tell(self, reference: str) -> None:
        """We are told of a payment that came."""
        made = self.came[reference]
        told = await self.app.record_payment(
            self.order.id, made.amount, reference=made.reference, channel=made.channel, uid=made.uid, key=made.key
        )
        self.order = told or self.order

    async def rest(self) -> None:
        """Let everything happen that happens by itself; your own gateway's refunds are paid out."""
        for _ in range(3):
            await self.app.sweep()
            await self.clock.advance(3)
        await self.app.sweep()
        for refund in (await self.app.get(self.order.id)).refunds:
            if refund.is_live and self.order.legs[refund.leg].channel == GATEWAY:
                await self.app.record_refund(self.order.id, refund.number, Returned("B-1"))
        await self.forward()

    async def _made(self, payment: Payment) -> Payment:
        if payment.channel == GATEWAY:
            return payment
        order, channel = self.order, self.channels[payment.channel]
        key = payment.key or f"{order.id}-other"
        if payment.channel == "other" or order.version == 1:  # the channel was not asked by Orderway
            await channel.charge(Charge(key, order.id, order.uid, order.amount))
        taken = channel.pay(key, payment.amount, uid=payment.uid)
        return replace(payment, reference=taken.reference)


async def till_for(world: World, shop: Shop, channel: str, stage: str) -> Till:
    """An order that was really brought into its stage."""
    other = ScriptedChannel(world.clock, default=NeverPays(), name="other")
    world.channel.default = NeverPays()
    channels = [world.channel, other]
    app = App(memory_ports(world.database), clock=world.clock, channels=channels, sweep=False, beat_every_s=600)
    app.register(shop)
    await world.stack.enter_async_context(app)
    await app.wallet.top_up(PAYER, BALANCE, key="t")
    order_id = app.new_order_id(1, order_in(stage, channel).uid)
    till = Till(world, app, other, order_in(stage, channel, order_id), channel)
    if STAGES[stage] is None:
        return till
    await till.create()
    await till.forward()
    if stage in WAS_PAID:
        await till.pay(SITUATIONS["repeated"](till.order, channel)[0])
    match stage:
        case "delivered":
            shop.fail = {"finished": 1}
            await till.forward()
        case "finished":
            await till.forward()
        case "closed":
            await world.clock.advance(shop.pay_within.total_seconds() + 1)
            await till.forward()
        case "cancelled":
            await app.cancel(till.order.id, actor="mia", reason="sold out")
            await till.forward()
        case "refunding" | "refunded":
            world.channel.refund_default = RefundsLater(after=timedelta(seconds=2))
            await app.cancel(till.order.id, actor="mia", reason="sold out")
            await till.forward()
            world.channel.refund_default = RefundsAtOnce()
            if stage == "refunded":
                await till.rest()
        case "stuck, unpaid" | "stuck, paid":
            await app.hold(till.order.id, actor="mia", reason="looks odd")
            await till.forward()
    return till


# ---- the cells

Cell = tuple[str, str, str, Policy]


def cells() -> list[Any]:
    """Each cell, with each choice of the settings that matter for it; the others as they are by default."""
    found = []
    for channel in ("scripted", GATEWAY):
        for stage in STAGES:
            for situation in SITUATIONS:
                for settings in deciding(situation, stage, channel):
                    wanted: dict[str, Any] = dict(settings)
                    name = "-".join([channel, stage, situation, *wanted.values()])
                    found.append(pytest.param((channel, stage, situation, Policy(**wanted)), id=name))
    return found


def answers(cell: Cell) -> list[Answer]:
    """What the page says of each payment of a situation, one after the other; of an unknown order, once it is there."""
    channel, stage, situation, policy = cell
    stage = "unpaid" if STAGES[stage] is None else stage
    last = answer(situation, stage, policy, channel)
    if situation not in {"second", "repeated"}:
        return [last]
    return [Answer.NOTHING if stage in WAS_PAID else answer("exact", stage, policy, channel), last]


def final_stage(stage: str, expected: Sequence[Answer]) -> Stage:
    if Answer.HALTS in expected:
        return Stage.STUCK
    return Stage.FINISHED if {Answer.PAYS, Answer.REVIVES} & set(expected) else AT_REST[stage]


def captured(order: Order[Any]) -> Counter[tuple[str, str]]:
    """The money that an order says has come, by channel and currency; the payer's wallet apart."""
    found: Counter[tuple[str, str]] = Counter()
    for leg in order.legs:
        if leg.channel != "wallet" and leg.captured_minor:
            found[leg.channel, leg.currency] += leg.captured_minor
    return found


def came(till: Till) -> Counter[tuple[str, str]]:
    """The money that has really come, by channel and currency."""
    found: Counter[tuple[str, str]] = Counter()
    for made in till.came.values():
        found[made.channel, made.amount.currency] += made.amount.amount_minor
    return found


@pytest.mark.parametrize("cell", cells())
async def test_a_payment_is_kept_and_ends_where_the_policy_says(world: World, shop: Shop, cell: Cell) -> None:
    channel, stage, situation, policy = cell
    for name, choice in asdict(policy).items():
        setattr(shop, name, choice)
    till = await till_for(world, shop, channel, stage)
    payments = SITUATIONS[situation](till.order, channel)
    for payment in payments:
        await till.pay(payment)
    if STAGES[stage] is None:
        assert len(await till.app.parked_payments()) == len(till.came)
        await till.create()
        assert await till.app.parked.match() == len(till.came)
    order = await till.app.get(till.order.id)
    assert captured(order) == came(till)
    await till.tell(payments[-1].reference)
    assert till.order.version == order.version, "the same notification again changed the order"

    await till.rest()
    await check_rest(world, till, stage, answers(cell), payments)
    version = till.order.version
    await till.tell(payments[-1].reference)
    assert till.order.version == version, "the same notification again changed the order at rest"
    assert await till.app.parked_payments() == []


async def check_rest(
    world: World, till: Till, stage: str, expected: Sequence[Answer], payments: Sequence[Payment]
) -> None:
    """The order is where it should be, and so is each payment: the goods' price, gone back, or kept for a person."""
    order = till.order
    assert order.stage is final_stage(stage, expected)
    assert world.delivered(order) == (order.stage is Stage.FINISHED)
    assert order.needs_person == (order.stage is Stage.STUCK or Answer.ASK in expected)
    assert captured(order) == came(till)
    assert not any(refund.is_live for refund in order.refunds)

    wanted = [till.came[paid.reference] for paid, what in zip(payments, expected, strict=True) if what is Answer.BACK]
    if stage in UNDONE:
        wanted.append(till.came["S-1"])
    back = [each for channel in till.channels.values() for each in channel.returned()]
    assert sorted((each.payment_reference, each.amount) for each in back) == sorted(
        (made.reference, made.amount) for made in wanted if made.channel != GATEWAY
    )
    asked = [paid for paid, what in zip(payments, expected, strict=True) if what in {Answer.ASK, Answer.HALTS}]
    kept = {leg.reference: leg.refundable_minor for leg in order.legs if leg.state == "unexpected" and leg.kept_minor}
    assert kept == {till.came[paid.reference].reference: paid.amount.amount_minor for paid in asked}
    held = sum(leg.authorized_minor for leg in order.legs if leg.channel == "wallet")
    balance = await till.app.wallet.balance(PAYER, "CNY")
    assert balance == Money(BALANCE.amount_minor - held, "CNY")


# ---- what must hold whatever the page says: the cells above follow the code, these do not


async def test_a_payment_by_another_user_never_pays_an_order(world: World, shop: Shop) -> None:
    till = await till_for(world, shop, "scripted", "unpaid")
    await till.pay(SITUATIONS["by another user"](till.order, "scripted")[0])
    await till.rest()
    assert (till.order.stage, till.order.paid_minor, world.delivered(till.order)) == (Stage.STUCK, 0, 0)
    assert captured(till.order) == came(till)


class RevivingShop(Shop):
    late_payment = "revive"


@pytest.mark.parametrize(("stage", "ends"), [("closed", Stage.FINISHED), ("cancelled", Stage.CANCELLED)])
async def test_late_money_revives_what_time_has_ended_and_not_what_a_person_has(
    world: World, stage: str, ends: Stage
) -> None:
    till = await till_for(world, RevivingShop(), "scripted", stage)
    await till.pay(SITUATIONS["exact"](till.order, "scripted")[0])
    await till.rest()
    assert (till.order.stage, world.delivered(till.order)) == (ends, ends is Stage.FINISHED)
    assert len(till.channels["scripted"].returned()) == (ends is not Stage.FINISHED)


# ---- the page


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "docs/odd-payments.md is stale: run `make docs`"


def test_every_stage_of_an_order_is_a_row_and_each_is_what_it_is_called() -> None:
    reached = {stage: order_in(stage, "scripted").stage for stage in STAGES}
    called = {stage: Stage.CREATED if stage in WAITING else Stage(stage.partition(",")[0]) for stage in STAGES}
    assert reached == called


def test_the_page_knows_the_settings_and_their_defaults() -> None:
    settings = [name for name in vars(Business) if name.endswith("_payment")]
    assert [field.name for field in fields(Policy)] == settings
    assert asdict(Policy()) == {name: getattr(Business, name) for name in settings}
