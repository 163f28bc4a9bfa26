"""One shop process. It remembers nothing: killed and started again, it goes through its customers from the first.

Run by the demo as ``python -m orderway.demo.shop FOLDER SHOP LANE``.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from orderway.adapters import ports_for
from orderway.app import App
from orderway.channels.behaviours import Behaviour
from orderway.channels.scripted import ScriptedChannel
from orderway.core.money import Money
from orderway.core.order import Order
from orderway.delivery import Delivery
from orderway.demo.fates import Fate, behaviour_of, fate_of
from orderway.demo.goods import ADD_TO_CUSTOMER, SEND
from orderway.demo.purchases import CURRENCY, ORDER_TYPE, Purchase, by_customer, read_purchases
from orderway.demo.settings import Folder
from orderway.demo.tally import Tally, What
from orderway.errors import BadNotification
from orderway.ports.business import Business
from orderway.ports.channel import Charge, Outcome
from orderway.ports.ledger import Ledger, Posted, Posting, StatementLine
from orderway.system_clock import SystemClock

__all__ = ["Cds", "CountingChannel", "CountingLedger", "RecordShop", "Shop"]

LOOK_EVERY_S = 0.03


@dataclass(slots=True)
class Cds:
    """What an order is about."""

    line: int
    bought_on: str
    cds: int


class RecordShop(Business[Cds]):
    """The business: CDs, handed over by two statements that commit together with the fact *delivered*."""

    order_type = ORDER_TYPE
    query_every = timedelta(seconds=1)

    async def deliver(self, order: Order[Cds], delivery: Delivery) -> None:
        """Send the CDs, and add them to what the customer owns."""
        sent = {"order_id": order.id, "line": order.data.line, "uid": order.uid, "cds": order.data.cds}
        delivery.execute(SEND, sent, expect=1)
        delivery.execute(ADD_TO_CUSTOMER, {"uid": order.uid, "cds": order.data.cds}, expect=1)


class CountingChannel(ScriptedChannel):
    """The scripted channel with this seed's fates; counts charges that came again for a key that it knows."""

    def __init__(self, folder: Folder, purchases: Sequence[Purchase], seed: int, tally: Tally) -> None:
        super().__init__(SystemClock(), self._deal, path=folder.channel)
        self._purchases = {purchase.order_id: purchase for purchase in purchases}
        self._seed = seed
        self._tally = tally
        self._new = False

    async def charge(self, charge: Charge) -> Outcome:
        """As ``ScriptedChannel.charge``."""
        self._new = False
        try:
            return await super().charge(charge)
        finally:
            if not self._new:
                self._tally.add(What.CHANNEL_CHARGED_AGAIN)

    def _deal(self, charge: Charge) -> Behaviour | Sequence[Behaviour]:
        self._new = True  # the script is asked only for keys that nothing was done for yet
        return behaviour_of(self._purchases[charge.order_id], self._seed)


class CountingLedger:
    """A ledger that counts the order payments that had been posted already."""

    def __init__(self, ledger: Ledger, tally: Tally) -> None:
        self._ledger = ledger
        self._tally = tally

    async def post(self, posting: Posting, at_us: int) -> bool:
        """As ``Ledger.post``."""
        applied = await self._ledger.post(posting, at_us)
        if not applied:
            top_up = posting.lines[0].amount_minor > 0
            self._tally.add(What.TOPPED_UP_AGAIN if top_up else What.WALLET_CHARGED_AGAIN)
        return applied

    async def find(self, uid: str, key: str) -> Posting | None:
        """As ``Ledger.find``."""
        return await self._ledger.find(uid, key)

    async def balance(self, uid: str, currency: str) -> int:
        """As ``Ledger.balance``."""
        return await self._ledger.balance(uid, currency)

    async def statement(
        self, uid: str, currency: str, after: int = 0, limit: int = 50
    ) -> tuple[Sequence[StatementLine], int | None]:
        """As ``Ledger.statement``."""
        return await self._ledger.statement(uid, currency, after, limit)

    async def postings(self, after: str | None = None, limit: int = 500) -> tuple[Sequence[Posted], str | None]:
        """As ``Ledger.postings``."""
        return await self._ledger.postings(after, limit)

    async def trial_balance(self) -> Mapping[str, Mapping[str, int]]:
        """As ``Ledger.trial_balance``."""
        return await self._ledger.trial_balance()


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
        self.channel = CountingChannel(folder, self.purchases, self.settings.seed, self.tally)
        ports = ports_for(folder.url)
        ports = replace(ports, ledger=CountingLedger(ports.ledger, self.tally))
        self.app = App(ports, channels=[self.channel])
        self.app.register(RecordShop())

    async def run(self, stop: asyncio.Event) -> None:
        """Serve all customers of this lane, then take callbacks and sweep until stopped."""
        async with self.app, asyncio.TaskGroup() as tasks:
            tasks.create_task(self.take_callbacks(stop))
            customers = (each for nth, each in enumerate(by_customer(self.purchases)) if self.serves(nth))
            for _ in range(self.settings.callers):
                tasks.create_task(self.serve(customers))

    def serves(self, nth: int) -> bool:
        """True if the customer at this place of the input is one of this lane's."""
        return nth % self.settings.shops == self.lane

    async def serve(self, customers: Iterator[tuple[str, list[Purchase]]]) -> None:
        """Serve one customer after another; many such callers share one list of customers."""
        for uid, purchases in customers:
            prepaid_minor = sum(
                each.amount.amount_minor for each in purchases if fate_of(each, self.settings.seed) is Fate.PREPAID
            )
            if prepaid_minor:
                await self.app.wallet.top_up(uid, Money(prepaid_minor, CURRENCY), key="demo")
            for purchase in purchases:
                await self.sell(purchase)

    async def sell(self, purchase: Purchase) -> None:
        """Create the order of one line, or find it created, and carry it forward."""
        order = await self.app.create(
            ORDER_TYPE,
            purchase.uid,
            amount=purchase.amount,
            pay="wallet" if fate_of(purchase, self.settings.seed) is Fate.PREPAID else self.channel.name,
            data=Cds(purchase.line, purchase.bought_on, purchase.cds),
            own_number=purchase.own_number,
            remark=f"created by {self.signature}",
        )
        if order.remark != f"created by {self.signature}":
            self.tally.add(What.CREATED_AGAIN)
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


async def _main(folder: Folder, number: int, lane: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await Shop(folder, number, lane).run(stop)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(_main(Folder(Path(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3])))
