"""Facts that come from outside while somebody holds the order: they never end it, its holder does."""

from __future__ import annotations

import asyncio

from orderway import App, Business, Money, Order, Pay, Stage
from orderway.channels.scripted import ScriptedChannel
from orderway.core.payment import LegState
from orderway.ports.channel import Captured, Charge, Outcome, Returned
from orderway.system_clock import SystemClock

PRICE = Money(1999, "USD")


class SlowChannel(ScriptedChannel):
    """Answers a charge when it is let go."""

    def __init__(self) -> None:
        super().__init__(SystemClock())
        self.asked = asyncio.Event()
        self.answer = asyncio.Event()

    async def charge(self, charge: Charge) -> Outcome:
        self.asked.set()
        await self.answer.wait()
        return Captured(PRICE, "S-full")


class SlowHolding(ScriptedChannel):
    """Holds money at once, and answers when it is let go."""

    def __init__(self) -> None:
        super().__init__(SystemClock(), name="card", asks_payer=False, holds=True)
        self.held_it = asyncio.Event()
        self.answer = asyncio.Event()

    async def hold(self, charge: Charge) -> Outcome:
        outcome = await super().hold(charge)
        self.held_it.set()
        await self.answer.wait()
        return outcome


class NoHooks(Business[dict[str, int]]):
    order_type = 1

    async def deliver(self, order: Order[dict[str, int]], delivery: object) -> None:
        pass


async def test_an_order_that_gets_stuck_while_it_is_charged_keeps_its_holder_and_his_money() -> None:
    channel = SlowChannel()
    app = App("memory://", channels=[channel], sweep=False)
    app.register(NoHooks())
    async with app:
        order = await app.create(1, "user-7", amount=PRICE, pay="scripted")
        charging = asyncio.create_task(app.forward(order))
        await channel.asked.wait()
        held = await app.record_payment(order.id, Money(1000, "USD"), reference="S-part", channel="scripted")
        assert (held.stage, held.is_final) == (Stage.FAILING, False)
        channel.answer.set()
        await charging
        after = await app.get(order.id)
        assert (after.stage, after.paid_minor, after.holder, after.due_at_us) == (Stage.FINISHED, 1999, None, None)


async def test_an_order_that_got_stuck_when_its_holder_had_died_ends_held_by_nobody() -> None:
    app = App("memory://", channels=[channel := SlowChannel()], sweep=False)
    app.register(NoHooks())
    async with app:
        order = await app.create(1, "user-7", amount=PRICE, pay="scripted")
        charging = asyncio.create_task(app.forward(order))
        await channel.asked.wait()
        charging.cancel()  # as a death, it comes between the charge and its record
        await asyncio.wait([charging])
        await app.record_payment(order.id, Money(1000, "USD"), reference="S-part", channel="scripted")
        await app.sweep()
        after = await app.get(order.id)
        assert (after.stage, after.holder, after.due_at_us) == (Stage.STUCK, None, None)


async def test_an_order_that_gets_stuck_while_a_part_is_held_knows_of_the_hold() -> None:
    card = SlowHolding()
    app = App("memory://", channels=[card], sweep=False)
    app.register(NoHooks())
    async with app:
        order = await app.create(1, "user-7", amount=PRICE, pay=[Pay("card", Money(999, "USD")), "gateway"])
        holding = asyncio.create_task(app.forward(order))
        await card.held_it.wait()
        await app.hold(order.id, actor="eve", reason="a look first")
        card.answer.set()
        await holding
        stuck = await app.get(order.id)
        assert (stuck.stage, stuck.legs[0].state) == (Stage.STUCK, LegState.HELD)
        await app.resume(order.id, actor="eve", reason="all is well")
        await app.record_payment(order.id, Money(1000, "USD"), reference="G1")
        after = await app.forward(order.id)
        assert (after.stage, after.paid_minor, card.held()) == (Stage.FINISHED, 1999, [])


async def test_a_hold_that_another_worker_has_taken_and_not_recorded_yet_is_no_second_payment() -> None:
    card = SlowHolding()
    card.answer.set()
    app = App("memory://", channels=[card], sweep=False)
    app.register(NoHooks())
    async with app:
        order = await app.create(1, "user-7", amount=PRICE, pay=[Pay("card", Money(999, "USD")), "gateway"])
        order = await app.forward(order)
        key = order.payment_key(order.legs[0])
        taken = await card.capture(Charge(key, order.id, "user-7", Money(999, "USD")))
        assert isinstance(taken, Captured)
        await app.record_payment(order.id, taken.amount, reference=taken.reference, channel="card", key=key)
        await app.record_payment(order.id, Money(1000, "USD"), reference="G1")
        after = await app.forward(order.id)
        assert (after.stage, after.paid_minor, len(after.legs), after.refunds) == (Stage.FINISHED, 1999, 2, ())
        assert card.returned() == []


async def test_an_order_that_ended_while_held_is_let_go_whatever_else_comes() -> None:
    app = App("memory://", sweep=False)
    app.register(NoHooks())
    async with app:
        order = await app.create(1, "user-7", amount=PRICE, pay="gateway")
        await app.record_payment(order.id, PRICE, reference="G1")
        await app.forward(order.id)
        await app.refund(order.id, Money(1, "USD"), key="r1", actor="eve", reason="a cent")
        # The claim's answer is lost: the order is held, and nobody carries it.
        await app.ports.store.hold(order.id, app.membership.incarnation, app.clock.now_us())
        await app.record_refund(order.id, 1, Returned("B1"))
        await app.amend(order.id, {"corrected": 1}, actor="eve", reason="a typing error")
        await app.sweep()
        after = await app.get(order.id)
        assert (after.stage, after.holder, after.due_at_us) == (Stage.FINISHED, None, None)
