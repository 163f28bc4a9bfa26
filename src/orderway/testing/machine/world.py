"""The machine's world: a database, channels, payers and a clock, and the workers that live, freeze and die in it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Coroutine
from random import Random
from typing import Any, TypeVar
from weakref import finalize

from orderway import receipts
from orderway.channels.scripted import Behaviour, PaysAtOnce, RefundBehaviour, RefundsAtOnce, ScriptedChannel
from orderway.core.money import define_currency
from orderway.core.order import Order
from orderway.ports.business import Verdict
from orderway.ports.channel import Charge
from orderway.testing.clock import VirtualClock
from orderway.testing.machine.grounds import Grounds
from orderway.testing.machine.worker import Outage, Worker

__all__ = ["CURRENCY", "POINTS", "SECRETS", "HookFailed", "World"]

T = TypeVar("T")

CURRENCY = "CNY"
POINTS = "POINTS"
SECRETS = {"scripted": b"machine", "card": b"plastic"}
"""What the channels sign their notifications with."""
define_currency(POINTS)


class HookFailed(Exception):
    """A hook that was told to fail has failed."""


class World:
    """Everything around the orders.

    Args:
        grounds: the database.
        seed: of all randomness inside.

    Attributes:
        failing: how many more times a hook of an order type fails.
        verdicts: what ``can_forward`` of an order type answers.
        behaviours: how the payer of an order behaves on either channel.
        refunds_behave: what becomes of refunds from now on.
        outages: the channels that do not answer, by name.
        hooks_done: how often a closing hook of an order has succeeded.
        charged: the keys that the scripted channel was asked to charge.
        stirred: True if channels may have moved money since it was last set to False.
    """

    def __init__(self, grounds: Grounds, seed: int) -> None:
        self.grounds = grounds
        self.loop = asyncio.new_event_loop()
        self.clock = VirtualClock()
        self.random = Random(seed)
        self.failing: dict[tuple[int, str], float] = {}
        self.verdicts: dict[int, Verdict] = {}
        self.behaviours: dict[str, Behaviour | tuple[Behaviour, ...]] = {}
        self.refunds_behave: RefundBehaviour = RefundsAtOnce()
        self.outages: dict[str, Outage] = {}
        self.hooks_done: Counter[tuple[str, str]] = Counter()
        self.charged: list[str] = []
        self.stirred = True
        self.shop = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        finalize(self, self.shop.close)
        receipts.create_table(self.shop)
        self.shop.execute("CREATE TABLE goods (order_id TEXT NOT NULL)")
        self.channel = ScriptedChannel(
            self.clock, self._payer, refund_script=lambda _: self.refunds_behave, secret=SECRETS["scripted"]
        )
        self.card = ScriptedChannel(
            self.clock,
            self._payer,
            refund_script=lambda _: self.refunds_behave,
            secret=SECRETS["card"],
            name="card",
            asks_payer=False,
            holds=True,
        )
        self.observer = grounds.ports()
        self.run(self.observer.start())
        grounds.prepare()
        self.workers: list[Worker] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run the loop until this is done."""
        return self.loop.run_until_complete(work)

    @property
    def channels(self) -> tuple[ScriptedChannel, ScriptedChannel]:
        """The channels that are not wallets."""
        return self.channel, self.card

    @property
    def awake(self) -> list[Worker]:
        """The workers that live and are not frozen; there is always one."""
        return [worker for worker in self.workers if not worker.frozen]

    def worker(self, number: int | None = None) -> Worker:
        """One of the workers that are awake: this one, or any."""
        awake = self.awake
        return awake[(self.random.randrange(len(awake)) if number is None else number) % len(awake)]

    def join(self) -> Worker:
        """A new worker."""
        worker = Worker(self)
        self.run(worker.app.start())
        self.workers.append(worker)
        return worker

    def advance(self, seconds: float) -> None:
        """Let time pass, everywhere."""
        self.stirred = True
        self.run(self.clock.advance(seconds))

    def shop_delivered(self) -> list[str]:
        """The order ids delivered into the shop's own database."""
        return [order_id for (order_id,) in self.shop.execute("SELECT order_id FROM goods")]

    def is_troubled(self, order_type: int) -> bool:
        """True if a hook or a verdict of this order type stands in the way."""
        return bool(self.verdicts.get(order_type)) or any(
            left > 0 for (failing, _), left in self.failing.items() if failing == order_type
        )

    def obey(self, order: Order[Any], hook: str) -> None:
        """Fail, if this hook of this order type was told to."""
        left = self.failing.get((order.type, hook), 0)
        if left > 0:
            self.failing[order.type, hook] = left - 1
            raise HookFailed(f"{hook} of order type {order.type} was told to fail")

    def mend(self) -> None:
        """All that stands in the way is taken out of it: hooks, verdicts, channels, wrong clocks."""
        self.failing.clear()
        self.verdicts.clear()
        self.outages.clear()
        self.refunds_behave = RefundsAtOnce()
        for worker in self.workers:
            worker.clock.skew_us = 0

    def close(self) -> None:
        """Stop all workers and throw everything away."""
        for worker in list(self.workers):
            worker.die()
        self.run(self.observer.close())
        for channel in self.channels:
            channel.disconnect()
        self.shop.close()
        self.grounds.close()
        self.run(self.loop.shutdown_default_executor())
        self.loop.close()

    def _payer(self, charge: Charge) -> Behaviour | tuple[Behaviour, ...]:
        return self.behaviours.get(charge.order_id, PaysAtOnce())
