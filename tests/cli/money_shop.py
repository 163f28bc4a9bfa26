"""A shop whose orders are paid in parts, given back, paid oddly, stuck with goods: for the operator's commands."""

from __future__ import annotations

__all__ = ["FILL", "SHOP"]

SHOP = '''
from dataclasses import dataclass
from datetime import timedelta
from orderway import App, Business, Hold, Money, ScriptedChannel, define_currency
from orderway.channels.scripted import NeverPays, PaysAtOnce, RefundsAtOnce, RefusesRefund
from orderway.system_clock import SystemClock

define_currency("POINTS")


class Toy(Business[dict]):
    """Cannot be taken back."""

    order_type = 1
    late_payment = "revive"

    def deliver(self, order, delivery):
        pass


@dataclass
class Address:
    street: str
    floor: int = 0


class Parcel(Business[Address]):
    """Can be taken back; nobody knows where "nowhere" is."""

    order_type = 2
    refund_by = "ratio"

    def can_forward(self, order):
        return Hold("no such street") if order.data.street == "nowhere" and order.pay_status else None

    async def deliver(self, order, delivery):
        await delivery.step("pack", lambda key: order.data.street)
        await delivery.step("insure", lambda key: 1 / 0 if order.data.floor == 13 else "insured")

    def take_back(self, order, delivery):
        pass


class Hasty(Business[dict]):
    order_type = 3
    pay_within = timedelta(microseconds=1)

    def deliver(self, order, delivery):
        pass


def make():
    channel = ScriptedChannel(
        SystemClock(),
        lambda charge: NeverPays() if charge.uid == "slow" else PaysAtOnce(),
        refund_script=lambda refund: RefusesRefund("no") if refund.uid == "cursed" else RefundsAtOnce(),
        path="channel.db",
    )
    app = App("sqlite:///orders.db", channels=[channel], wallets=["wallet", "points"], sweep=False)
    for business in (Toy(), Parcel(), Hasty()):
        app.register(business)
    return app
'''

FILL = """
import asyncio, json
from orderway import Pay
from shop import *

PRICE = Money.of("20.00", "CNY")


async def main():
    ids = {}
    async with make() as app:

        async def order(name, order_type=1, uid="ann", forward=True, pay="scripted", **fields):
            made = await app.create(order_type, uid, amount=PRICE, pay=pay, **fields)
            ids[name] = made.id
            if forward:
                await app.forward(made)

        for uid in ("ann", "slow"):
            await app.wallet.top_up(uid, Money.of("100.00", "CNY"), key="gift")
            await app.wallet.top_up(uid, Money(900, "POINTS"), key="points")
        points = Pay("points", Money(300, "POINTS"), worth=Money.of("3.00", "CNY"))
        five = Pay("wallet", Money.of("5.00", "CNY"))
        home = {"street": "Hill Road", "floor": 2}
        await order("toy")
        await order("parcel", order_type=2, data=home)
        await order("mixed", order_type=2, pay=[points, five, "scripted"], data=home)
        await order("held", order_type=2, uid="slow", pay=[five, "scripted"], data=home)
        await order("lost", order_type=2, data={"street": "nowhere"})
        await order("thirteen", order_type=2, data={"street": "Hill Road", "floor": 13})
        await order("cursed", uid="cursed")
        await order("waiting", uid="bob", pay="gateway", forward=False)
        await order("odd", uid="carl", pay="gateway", forward=False)
        await app.record_payment(ids["odd"], Money.of("19.00", "CNY"), reference="short-1", actor="desk")
        await order("own", uid="dora", pay="gateway", forward=False)
        await app.record_payment(ids["own"], PRICE, reference="own-1", actor="desk")
        await app.forward(ids["own"])
        await order("closed", order_type=3, uid="late", pay="gateway")
        unknown = app.order_id_from(1, "ann", "not-yet")
        await app.record_payment(unknown, Money.of("7.00", "CNY"), reference="lost 1", cause="notice 9")
        await app.record_payment("\\x1b[31mhostile", Money(5, "POINTS"), reference="lost-2", channel="points")
    with open("ids.json", "w") as file:
        json.dump(ids, file)


asyncio.run(main())
"""
