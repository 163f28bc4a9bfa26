"""The people of the simulation: users who order and pay, operators, the post, and the shop's accountant."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from random import Random
from typing import Any, cast

from orderway.app import App
from orderway.core.ids import id_from_own_number
from orderway.core.money import Money
from orderway.core.order import Order, Stage
from orderway.core.payment import GATEWAY, LegState, RefundState
from orderway.errors import OrderwayError
from orderway.ports.channel import Returned
from orderway.testing.simulation.payers import draw_payer, draw_refunding, draw_way
from orderway.testing.simulation.shop import PatientShop, StrictShop
from orderway.testing.simulation.world import Ask, SimulatedWorld
from orderway.testing.world import PaidOutside

__all__ = ["Accountant", "Operator", "Post", "User"]

WHO: Any = {"actor": "eve", "reason": "simulated"}
PRICES_MINOR = (0, 100, 990, 1234, 5000)
ACTS = (
    *("refund", "refund", "race of refunds", "cancel", "hold", "resume", "amend"),
    *("switch", "top up", "read", "confirm", "accept"),
)


class User:
    """One user with one order: its price, its way to pay, and what users and operators do to it later.

    Args:
        world: where she lives.
        number: hers; two of them have one wallet.
    """

    def __init__(self, world: SimulatedWorld, number: int) -> None:
        self.world = world
        self.random = random = Random(world.random.random())
        self.uid = f"user-{number // 2}"
        self.own_number = str(number)
        self.type = random.choice([StrictShop.order_type, PatientShop.order_type])
        self.price = Money(random.choice(PRICES_MINOR), "CNY")
        self.pay = draw_way(random) if self.price else None
        self.data = {"number": "bad" if random.random() < 0.1 else "good"}
        self.order_id = id_from_own_number(self.type, self.uid, self.own_number)
        cast(dict[str, Any], world.channel.script)[self.order_id] = draw_payer(random)
        cast(dict[str, Any], world.channel.refund_script)[self.order_id] = draw_refunding(random)

    async def live(self) -> None:
        """Order, pay, and whatever comes next."""
        random = self.random
        await asyncio.sleep(random.uniform(0, 15))
        if random.random() < 0.8:
            await self._top_up("first")
        pays_outside = self.pay == GATEWAY or (isinstance(self.pay, list) and GATEWAY in self.pay)
        if pays_outside and random.random() < 0.2:
            self._pay_outside("early")
        await self._try("create", self._order)
        if pays_outside and random.random() < 0.8:
            await asyncio.sleep(random.uniform(0, 25))
            self._pay_outside("late")
        for _ in range(random.choice([0, 0, 1, 2, 3])):
            await asyncio.sleep(random.uniform(0, 12))
            await self._meddle(random.choice(ACTS))

    async def _order(self, app: App) -> Order[Any]:
        order = await app.create(
            self.type, self.uid, amount=self.price, pay=self.pay, data=self.data, own_number=self.own_number
        )
        return await app.forward(order)

    async def _meddle(self, act: str) -> None:
        """Something that a user or an operator does to an order, whatever state it is in."""
        order_id, random = self.order_id, self.random
        self.world.log.reached[act] += 1
        match act:
            case "refund":
                await self._refund("r0")
            case "race of refunds":
                for number in range(4):
                    self.world.spawn(self._refund(f"r{number}"), act)
            case "cancel":
                await self._try(act, lambda app: app.cancel(order_id, **WHO))
            case "hold":
                await self._try(act, lambda app: app.hold(order_id, **WHO))
                await asyncio.sleep(random.uniform(0, 6))
                await self._try("resume", lambda app: app.resume(order_id, **WHO))
            case "resume":
                await self._try(act, lambda app: app.resume(order_id, **WHO))
            case "amend":
                await self._try(act, lambda app: app.amend(order_id, {"number": "good"}, **WHO))
            case "switch":
                channel = random.choice(["card", "wallet", "scripted"])
                await self._try(act, lambda app: app.change_payment(order_id, channel))
            case "top up":
                await self._top_up("later")
            case "confirm":
                await self._confirm()
            case "accept":
                await self._try(act, self._accept)
            case _:
                await self._try(act, lambda app: app.get(order_id))

    async def _refund(self, key: str) -> None:
        part = Money(max(self.price.amount_minor // self.random.choice([1, 2, 3]), 1), "CNY")
        await self._try("refund", lambda app: app.refund(self.order_id, part, key=key, **WHO))

    async def _confirm(self) -> None:
        """An operator has seen the money of the shop's own gateway on the bank's statement."""
        seen = [payment for payment in self.world.paid_outside if payment.order_id == self.order_id]
        if seen:
            amount, reference = seen[0].amount, seen[0].reference
            await self._try(
                "confirm", lambda app: app.confirm_payment(self.order_id, amount, reference=reference, **WHO)
            )

    async def _accept(self, app: App) -> None:
        order = await app.get(self.order_id)
        for leg in order.legs:
            if leg.state is LegState.UNEXPECTED:
                await app.accept(order.id, leg.number, **WHO)

    async def _try(self, what: str, ask: Ask) -> None:
        with suppress(OrderwayError):  # refused: that is an answer
            await self.world.ask(f"{what} {self.uid}/{self.own_number}", ask)

    async def _top_up(self, key: str) -> None:
        random = self.random
        for currency, minor in (("CNY", random.choice([50, 400, 5000])), ("POINTS", random.choice([10, 40]))):
            await self._put_in(Money(minor, currency), f"{key} {self.own_number} {currency}")

    async def _put_in(self, money: Money, key: str) -> None:
        await self._try("top up", lambda app: app.wallet.top_up(self.uid, money, key=key))

    def _pay_outside(self, reference: str) -> None:
        """Pay at the shop's own gateway: sometimes too much, sometimes twice."""
        owed_minor = self.price.amount_minor if self.pay == GATEWAY else max(self.price.amount_minor - 30, 1)
        amount = Money(owed_minor + (self.random.random() < 0.2), "CNY")
        for copy in range(1 + (self.random.random() < 0.2)):
            payment = PaidOutside(self.order_id, amount, f"{reference}{copy}-{self.own_number}", 1)
            self.world.paid_outside.append(payment)
            self.world.spawn(self._tell(payment), f"gateway {payment.reference}")

    async def _tell(self, payment: PaidOutside) -> None:
        """The gateway tells of a payment until it is answered, and sometimes once more."""
        for _ in range(1 + (self.random.random() < 0.3)):
            await asyncio.sleep(self.random.uniform(0, 3))
            await self._try(
                "gateway",
                lambda app: app.record_payment(self.order_id, payment.amount, reference=payment.reference),
            )


class Operator:
    """Clears up after the storm.

    Args:
        world: where she works.
    """

    def __init__(self, world: SimulatedWorld) -> None:
        self.world = world

    async def send_on(self) -> None:
        """Correct what is stuck, and send it on: orders and refunds."""
        for order in await self.world.orders():
            is_stuck = order.stage is Stage.STUCK or any(each.state is RefundState.STUCK for each in order.refunds)
            if is_stuck:
                self.world.log.reached["sent on"] += 1
                self.world.spawn(self._correct(order.id), f"operator {order.id}")

    async def _correct(self, order_id: str) -> None:
        await self.world.ask("amend", lambda app: app.amend(order_id, {"number": "good"}, **WHO))
        await self.world.ask("resume", lambda app: app.resume(order_id, **WHO))


class Post:
    """Carries the channel's notifications: some late, some twice, some only after they were lost once.

    Args:
        world: where it works.
    """

    def __init__(self, world: SimulatedWorld) -> None:
        self.world = world
        self.random = Random(world.random.random())

    async def run(self) -> None:
        """Look for what is due, for ever."""
        while True:
            for body, headers in self.world.channel.pop_notifications():
                self._take(body, headers)
            await asyncio.sleep(0.5)

    def _take(self, body: bytes, headers: Mapping[str, str]) -> None:
        world, odds = self.world, self.world.odds
        delays_s = [self.random.uniform(0, 1)]
        if world.storms and self.random.random() < odds.doubled:
            world.log.fault("post", "doubled message", "")
            delays_s.append(self.random.uniform(0, 8))
        if world.storms and self.random.random() < odds.lost:
            world.log.fault("post", "lost message", "")  # nobody answers, so it is sent again
            delays_s = [delay_s + self.random.uniform(5, 20) for delay_s in delays_s]
        for delay_s in delays_s:
            world.spawn(self._carry(body, headers, delay_s), "notification")

    async def _carry(self, body: bytes, headers: Mapping[str, str], delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        with suppress(OrderwayError):
            await self.world.ask("notification", lambda app: app.notify("scripted", body, headers))


class Accountant:
    """Pays out what the shop's own gateway owes, and tells so.

    Args:
        world: where he works.
    """

    def __init__(self, world: SimulatedWorld) -> None:
        self.world = world

    async def run(self) -> None:
        """Look for what is owed, for ever."""
        while True:
            await asyncio.sleep(5)
            for order in await self.world.orders():
                for refund in order.refunds:
                    is_owed = refund.is_live or refund.state is RefundState.STUCK
                    if is_owed and order.legs[refund.leg].channel == GATEWAY:
                        self.world.paid_back[order.id, refund.number] = Money(
                            refund.amount_minor, order.legs[refund.leg].currency
                        )
                        await self._tell(order.id, refund.number)

    async def _tell(self, order_id: str, number: int) -> None:
        done = Returned(f"B{number}-{order_id}")
        with suppress(OrderwayError):
            await self.world.ask("record refund", lambda app: app.record_refund(order_id, number, done))
