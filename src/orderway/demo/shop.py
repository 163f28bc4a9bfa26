"""One shop process. It remembers nothing: killed and started again, it goes through its customers from the first.

Run by the demo as ``python -m orderway.demo.shop FOLDER SHOP LANE``.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from orderway.adapters import ports_for
from orderway.app import App
from orderway.core.money import Money
from orderway.core.order import Order
from orderway.delivery import Delivery
from orderway.demo.counting import CountingChannel, CountingLedger
from orderway.demo.fates import POINTS, Deal, OrderType, Way, deal
from orderway.demo.goods import ADD_TO_CUSTOMER, SEND, TAKE_BACK
from orderway.demo.operators import Operators
from orderway.demo.purchases import CURRENCY, Purchase, by_customer, read_purchases
from orderway.demo.settings import Folder
from orderway.demo.tally import Tally, What
from orderway.errors import BadNotification
from orderway.plans import Pay
from orderway.ports.business import Business

__all__ = ["Cds", "LastCopies", "OnOffer", "RecordShop", "Shop"]

LOOK_EVERY_S = 0.03


@dataclass(slots=True)
class Cds:
    """What an order is about."""

    line: int
    bought_on: str
    cds: int


class RecordShop(Business[Cds]):
    """The business: CDs, handed over by two statements that commit together with the fact *delivered*."""

    order_type = OrderType.RECORDS
    query_every = timedelta(seconds=1)

    async def deliver(self, order: Order[Cds], delivery: Delivery) -> None:
        """Send the CDs, and add them to what the customer owns."""
        delivery.execute(SEND, _cds(order), expect=1)
        delivery.execute(ADD_TO_CUSTOMER, {"uid": order.uid, "cds": order.data.cds}, expect=1)

    async def take_back(self, order: Order[Cds], delivery: Delivery) -> None:
        """Note the CDs that came back, and take them off what the customer owns."""
        delivery.execute(TAKE_BACK, _cds(order), expect=1)
        delivery.execute(ADD_TO_CUSTOMER, {"uid": order.uid, "cds": -order.data.cds}, expect=1)


class OnOffer(RecordShop):
    """CDs at a low price, for who pays at once; there are enough, so who pays too late gets them all the same."""

    order_type = OrderType.ON_OFFER
    pay_within = timedelta(seconds=2)
    late_payment = "revive"


class LastCopies(RecordShop):
    """CDs that others want, too: who pays too late gets his money back."""

    order_type = OrderType.LAST_COPIES
    pay_within = timedelta(seconds=2)
    late_payment = "give_back"


def _cds(order: Order[Cds]) -> dict[str, str | int]:
    return {"order_id": order.id, "line": order.data.line, "uid": order.uid, "cds": order.data.cds}


class Shop:
    """One shop process at work.

    Args:
        folder: where everything is.
        number: of this process; no two ever have the same.
        lane: which part of the customers it serves.
    """

    def __init__(self, folder: Folder, number: int, lane: int) -> None:
        self.settings = folder.settings()
        self.signature = f"shop {number}"
        self.lane = lane
        self.tally = Tally(folder.tally(number))
        self.purchases = read_purchases(self.settings.lines)
        self.deals = {each.line: deal(each, self.settings.seed) for each in self.purchases}
        self.channel = CountingChannel(folder, [*self.deals.values()], self.settings.seed, self.tally)
        ports = ports_for(folder.url)
        ports = replace(ports, ledger=CountingLedger(ports.ledger, self.tally))
        self.app = App(ports, channels=[self.channel], wallets=("wallet", "points"))
        for business in (RecordShop(), OnOffer(), LastCopies()):
            self.app.register(business)
        self.operators = Operators(self.app, self.tally)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve all customers of this lane; take callbacks, sweep, and have the operators work until stopped."""
        async with self.app, asyncio.TaskGroup() as tasks:
            tasks.create_task(self.take_callbacks(stop))
            tasks.create_task(self.operators.work(stop))
            customers = (each for nth, each in enumerate(by_customer(self.purchases)) if self.serves(nth))
            for _ in range(self.settings.callers):
                tasks.create_task(self.serve(customers))

    def serves(self, nth: int) -> bool:
        """True if the customer at this place of the input is one of this lane's."""
        return nth % self.settings.shops == self.lane

    async def serve(self, customers: Iterator[tuple[str, list[Purchase]]]) -> None:
        """Serve one customer after another; many such callers share one list of customers."""
        for uid, purchases in customers:
            deals = [self.deals[purchase.line] for purchase in purchases]
            await self.top_up(uid, Money(sum(deal.parts.wallet for deal in deals), CURRENCY))
            await self.top_up(uid, Money(sum(deal.parts.points for deal in deals), POINTS))
            for dealt in deals:
                await self.sell(dealt)

    async def top_up(self, uid: str, money: Money) -> None:
        """Fill a customer's wallet with what all of his lines together will take from it."""
        if money:
            await self.app.wallet.top_up(uid, money, key=f"demo {money.currency}")

    async def sell(self, deal: Deal) -> None:
        """Create the order of one line, or find it created, and carry it forward."""
        purchase = deal.purchase
        order = await self.app.create(
            deal.order_type,
            purchase.uid,
            amount=purchase.amount,
            pay=pay_of(deal),
            data=Cds(purchase.line, purchase.bought_on, purchase.cds),
            own_number=purchase.own_number,
            remark=f"created by {self.signature}",
        )
        if order.remark != f"created by {self.signature}":
            self.tally.add(What.CREATED_AGAIN)
        self.operators.look_after(deal)
        if not order.is_final:
            await self.app.forward(order)

    async def take_callbacks(self, stop: asyncio.Event) -> None:
        """Take the channel's notifications as they come, true and forged ones."""
        parent = os.getppid()
        while not stop.is_set():
            if os.getppid() != parent:
                stop.set()  # the demo itself was killed: nobody is left to stop this shop
            notices = self.channel.pop_notifications()
            await asyncio.gather(*(self.take_callback(body, headers) for body, headers in notices))
            await self.app.clock.wait(stop, LOOK_EVERY_S)

    async def take_callback(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Take one notification."""
        self.tally.add(What.NOTICES)
        try:
            await self.app.notify(self.channel.name, body, headers)
        except BadNotification:
            self.tally.add(What.NOTICES_REFUSED)
        else:
            self.tally.add(What.NOTICES_ACCEPTED)


def pay_of(deal: Deal) -> str | list[str | Pay]:
    """How the order of a line is to be paid."""
    match deal.way:
        case Way.PREPAID:
            return "wallet"
        case Way.MIXED:
            points, wallet = deal.parts.points, deal.parts.wallet
            return [
                Pay("points", Money(points, POINTS), worth=Money(points, CURRENCY)),
                Pay("wallet", Money(wallet, CURRENCY)),
                "scripted",
            ]
        case _:
            return "scripted"


async def _main(folder: Folder, number: int, lane: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await Shop(folder, number, lane).run(stop)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(_main(Folder(Path(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3])))
