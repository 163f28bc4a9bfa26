"""The people of the simulation: users who order and pay, and operators who lay hands on orders."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from random import Random
from typing import Any

from orderway.app import App
from orderway.channels.scripted import (
    Behaviour,
    Disputes,
    NeverPays,
    PaysAfterClose,
    PaysAtOnce,
    PaysLater,
    PaysTwice,
    PaysWrongAmount,
    RefundBehaviour,
    RefundsAtOnce,
    RefundsLater,
    RefundTimesOutAfter,
    RefundTimesOutBefore,
    RefundUnreachable,
    Refuses,
    RefusesRefund,
    TimesOutAfter,
    TimesOutBefore,
    Unreachable,
)
from orderway.core.ids import id_from_own_number
from orderway.core.money import Money, define_currency
from orderway.core.payment import GATEWAY
from orderway.errors import OrderwayError
from orderway.plans import Pay
from orderway.ports.channel import Returned
from orderway.testing.simulation.shop import PATIENT, STRICT
from orderway.testing.simulation.world import SimulatedWorld
from orderway.testing.world import PaidOutside

__all__ = ["Accountant", "Post", "User"]

define_currency("POINTS")
WHO = {"actor": "eve", "reason": "simulated"}


def payer(random: Random) -> list[Behaviour]:
    """How a payer behaves, charge after charge."""
    after = timedelta(seconds=random.uniform(0.5, 12))
    behaviours: list[Behaviour] = [
        *(PaysAtOnce(), PaysLater(after), PaysLater(after), PaysLater(after, notices=()), PaysTwice(after)),
        *(NeverPays(), PaysAfterClose(after), PaysWrongAmount(after=after), TimesOutAfter(), TimesOutBefore()),
        *(Unreachable(), Refuses("no"), Disputes(decided="lost"), Disputes(decided="won")),
    ]
    return [random.choice(behaviours), PaysLater(after)]


def refunding(random: Random) -> list[RefundBehaviour]:
    """What becomes of refunds, one after the other."""
    results: list[RefundBehaviour] = [
        *(RefundsAtOnce(), RefundsAtOnce(), RefundsLater(timedelta(seconds=5)), RefusesRefund("no")),
        *(RefundTimesOutAfter(), RefundTimesOutBefore(), RefundUnreachable()),
    ]
    return [random.choice(results), RefundsAtOnce()]


class User:
    """One user with one order: its price, its way to pay, and what happens to it later.

    Args:
        world: where she lives.
        number: hers.
    """

    def __init__(self, world: SimulatedWorld, number: int) -> None:
        self.world = world
        self.random = random = Random(world.random.random())
        self.uid = f"user-{number}"
        self.type = random.choice([STRICT, PATIENT])
        self.price = Money(random.choice([0, 100, 990, 1234, 5000]), "CNY")
        self.pay = self._way()
        self.data = {"number": "bad" if random.random() < 0.1 else "good"}
        self.order_id = id_from_own_number(self.type, self.uid, "1")
        if isinstance(world.channel.script, dict) and isinstance(world.channel.refund_script, dict):
            world.channel.script[self.order_id] = payer(random)
            world.channel.refund_script[self.order_id] = refunding(random)

    async def live(self) -> None:
        """Order, pay, and whatever comes next."""
        random, world = self.random, self.world
        await world.pause(random.uniform(0, 15))
        if random.random() < 0.8:
            await self._top_up("first")
        if self.pay == GATEWAY and random.random() < 0.2:
            self._pay_outside("early")
        await self._try("create", self._order)
        if self.pay == GATEWAY and random.random() < 0.8:
            await world.pause(random.uniform(0, 25))
            self._pay_outside("G")
        for _ in range(random.choice([0, 0, 1, 2, 3])):
            await world.pause(random.uniform(0, 12))
            await self._meddle()

    async def _order(self, app: App) -> Any:
        order = await app.create(self.type, self.uid, amount=self.price, pay=self.pay, data=self.data, own_number="1")
        return await app.forward(order)

    async def _meddle(self) -> None:
        """Something that a user or an operator does to an order, whatever state it is in."""
        order_id, random = self.order_id, self.random
        act = random.choice(["refund", "refunds", "cancel", "hold", "resume", "amend", "switch", "top up", "read"])
        self.world.log.reached[act] += 1
        part = Money(max(self.price.amount_minor // random.choice([1, 2, 3]), 1), "CNY")
        match act:
            case "refund":
                await self._try(act, lambda app: app.refund(order_id, part, key="r0", **WHO))
            case "refunds":
                for number in range(4):
                    key = f"r{number}"
                    self.world.spawn(
                        self._try(act, lambda app, key=key: app.refund(order_id, part, key=key, **WHO)), f"refund {key}"
                    )
            case "cancel":
                await self._try(act, lambda app: app.cancel(order_id, **WHO))
            case "hold":
                await self._try(act, lambda app: app.hold(order_id, **WHO))
                await self.world.pause(random.uniform(0, 6))
                await self._try("resume", lambda app: app.resume(order_id, **WHO))
            case "resume":
                await self._try(act, lambda app: app.resume(order_id, **WHO))
            case "amend":
                await self._try(act, lambda app: app.amend(order_id, {"number": "good"}, **WHO))
            case "switch":
                await self._try(act, lambda app: app.change_payment(order_id, random.choice(["card", "wallet"])))
            case "top up":
                await self._top_up("later")
            case _:
                await self._try(act, lambda app: app.get(order_id))

    async def _try(self, what: str, ask: Any) -> None:
        with suppress(OrderwayError):  # refused: that is an answer
            await self.world.ask(f"{what} {self.uid}", ask)

    async def _top_up(self, key: str) -> None:
        random = self.random
        for currency, minor in (("CNY", random.choice([50, 400, 5000])), ("POINTS", random.choice([10, 40]))):
            money = Money(minor, currency)
            await self._try(
                "top up", lambda app, money=money: app.wallet.top_up(self.uid, money, key=f"{key}{money.currency}")
            )

    def _pay_outside(self, reference: str) -> None:
        wrong = self.random.random() < 0.2
        amount = Money(self.price.amount_minor + wrong, "CNY")
        for copy in range(1 + (self.random.random() < 0.2)):
            told = f"{reference}{copy}-{self.uid}"
            self.world.paid_outside.append(PaidOutside(self.order_id, amount, told, 1))
            self.world.spawn(self._tell(amount, told), f"gateway {told}")

    async def _tell(self, amount: Money, reference: str) -> None:
        for _ in range(
            1 + (self.random.random() < 0.3)
        ):  # gateways tell again what was not answered, and sometimes what was
            await self.world.pause(self.random.uniform(0, 3))
            await self._try("gateway", lambda app: app.record_payment(self.order_id, amount, reference=reference))

    def _way(self) -> Any:
        if not self.price:
            return None
        points = Pay("points", Money(10, "POINTS"), worth=Money(30, "CNY"))
        return self.random.choice(
            [
                *("wallet", "scripted", "scripted", "card", GATEWAY, ["wallet", "scripted"]),
                *([points, "wallet", "scripted"], [points, "scripted"], [points, "wallet"]),
                [Pay("card", Money(50, "CNY")), "wallet", "scripted"],
            ]
        )


class Post:
    """Carries the channel's notifications: some late, some twice, some not at first."""

    def __init__(self, world: SimulatedWorld) -> None:
        self.world = world
        self.random = Random(world.random.random())

    async def run(self) -> None:
        """Look for what is due, for ever."""
        while True:
            for body, headers in self.world.channel.pop_notifications():
                copies = 2 if self.random.random() < 0.15 else 1
                if copies > 1:
                    self._fault("doubled message")
                for _ in range(copies):
                    self.world.spawn(self._carry(body, headers), "notification")
            await self.world.pause(0.25)

    async def _carry(self, body: bytes, headers: Mapping[str, str]) -> None:
        await self.world.pause(self.random.uniform(0, 1))
        if self.world.storms and self.random.random() < 0.2:
            self._fault("lost message")  # it is sent again, since nobody has answered
            await self.world.pause(self.random.uniform(5, 20))
        with suppress(OrderwayError):
            await self.world.ask("notification", lambda app: app.notify("scripted", body, headers))

    def _fault(self, kind: str) -> None:
        self.world.log.fault(self.world.clock.monotonic_s(), "post", kind, "")


class Accountant:
    """Pays out what the shop's own gateway owes, and tells so."""

    def __init__(self, world: SimulatedWorld) -> None:
        self.world = world

    async def work(self) -> None:
        """Every refund that waits for the shop's own gateway."""
        for order in await self.world.orders():
            for refund in order.refunds:
                if refund.is_live and order.legs[refund.leg].channel == GATEWAY:
                    await self._pay_out(order.id, refund.number)

    async def _pay_out(self, order_id: str, number: int) -> None:
        done = Returned(f"B{number}-{order_id}")
        with suppress(OrderwayError):
            await self.world.ask("record refund", lambda app: app.record_refund(order_id, number, done))
