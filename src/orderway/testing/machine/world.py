"""The machine's world: workers that live, freeze and die, businesses that fail when told to, a payer, a clock."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import timedelta
from math import inf
from random import Random
from typing import Any, TypeVar

from orderway import receipts
from orderway.app import App
from orderway.channels.scripted import Behaviour, PaysAtOnce, ScriptedChannel
from orderway.core.order import Order
from orderway.ports.business import Business, Retry, Verdict
from orderway.ports.channel import Channel, Charge, Notification, Outcome
from orderway.testing.clock import VirtualClock
from orderway.testing.machine.grounds import Grounds

__all__ = ["CHOSEN_TYPES", "DEADLINE", "PAY_WITHIN", "HookFailed", "Worker", "World"]

T = TypeVar("T")

DEADLINE = timedelta(seconds=60)
PAY_WITHIN = timedelta(minutes=10)
CHOSEN_TYPES = (1, 2, 3)


class HookFailed(Exception):
    """A hook that was told to fail has failed."""


class World:
    """Everything around the orders.

    Args:
        grounds: the database.
        seed: of all randomness inside.
    """

    def __init__(self, grounds: Grounds, seed: int) -> None:
        self.grounds = grounds
        self.loop = asyncio.new_event_loop()
        self.clock = VirtualClock()
        self.random = Random(seed)
        self.failing: dict[tuple[int, str], float] = {}
        self.verdicts: dict[int, Verdict] = {}
        self.behaviours: dict[str, Behaviour | tuple[Behaviour, ...]] = {}
        self.hooks_done: Counter[tuple[str, str]] = Counter()
        self.shop = sqlite3.connect(":memory:", isolation_level=None)
        receipts.create_table(self.shop)
        self.shop.execute("CREATE TABLE goods (order_id TEXT NOT NULL)")
        self.channel = ScriptedChannel(
            self.clock, lambda charge: self.behaviours.get(charge.order_id, PaysAtOnce()), secret=b"machine"
        )
        self.observer = grounds.ports()
        self.run(self.observer.start())
        grounds.prepare()
        self.workers: list[Worker] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run the loop until this is done."""
        return self.loop.run_until_complete(work)

    @property
    def awake(self) -> list[Worker]:
        """The workers that live and are not frozen; there is always one."""
        return [worker for worker in self.workers if not worker.frozen]

    def worker(self, number: int) -> Worker:
        """One of the workers that are awake."""
        return self.awake[number % len(self.awake)]

    def join(self) -> Worker:
        """A new worker."""
        worker = Worker(self)
        self.run(worker.app.start())
        self.workers.append(worker)
        return worker

    def shop_delivered(self) -> list[str]:
        """The order ids delivered into the shop's own database."""
        return [order_id for (order_id,) in self.shop.execute("SELECT order_id FROM goods")]

    def obey(self, order: Order[Any], hook: str) -> None:
        """Fail, if this hook of this order type was told to."""
        left = self.failing.get((order.type, hook), 0)
        if left > 0:
            self.failing[order.type, hook] = left - 1 if left != inf else inf
            raise HookFailed(f"{hook} of order type {order.type} was told to fail")

    def close(self) -> None:
        """Stop all workers and throw everything away."""
        for worker in list(self.workers):
            worker.die()
        self.run(self.observer.close())
        self.channel.disconnect()
        self.shop.close()
        self.grounds.close()
        self.run(self.loop.shutdown_default_executor())
        self.loop.close()


class Worker:
    """One App on the shared database. Its background tasks rest: the machine beats and sweeps by its rules."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.app = App(
            world.grounds.ports(),
            channels=[world.channel],
            sweep=False,
            clock=world.clock,
            entropy=world.random.randbytes,
            beat_every_s=1e9,
        )
        for name, channel in self.app.channels.items():
            self.app.channels[name] = _Freezing(channel, self)
        for business in (_Parcel, _Ticket, _Box):
            self.app.register(business(self))
        self.freezes_at = ""
        self._thawed = asyncio.Event()
        self._stands = asyncio.Event()
        self._tasks: list[asyncio.Task[Any]] = []

    @property
    def frozen(self) -> bool:
        """True while it stands still in the middle of its work."""
        return bool(self._tasks)

    async def pass_point(self, point: str) -> None:
        """Stand still here, if this is where the worker is to freeze."""
        if self.freezes_at == point:
            self._stands.set()
            await self._thawed.wait()

    def begin(self, work: Coroutine[Any, Any, Any], turns: int) -> None:
        """Start something, and let it run for so many turns of the loop."""
        self._tasks.append(self.world.loop.create_task(work))
        self.world.run(_turn(turns))

    def freeze(self, point: str, work: Coroutine[Any, Any, Any]) -> None:
        """Do something and stand still at this point of it, if it comes there."""
        self.freezes_at = point
        self._thawed.clear()
        self._stands.clear()
        task = self.world.loop.create_task(work)
        self.world.run(_until(task, self._stands))
        self._tasks.append(task)
        if task.done():
            self.thaw()

    def thaw(self) -> None:
        """Go on, as a process does after a long pause."""
        self.freezes_at = ""
        self._thawed.set()
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            self.world.run(_settled(task))

    def die(self) -> None:
        """Be gone without a farewell: nothing is handed back, and what was in hand stays as it is."""
        self.world.workers.remove(self)
        for task in (*self._tasks, *self.app._tasks):
            task.cancel()
            self.world.run(_buried(task))
        self._tasks = []
        self.world.run(self.app.ports.close())


async def _turn(turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


async def _until(task: asyncio.Task[Any], event: asyncio.Event) -> None:
    happens = asyncio.ensure_future(event.wait())
    await asyncio.wait({task, happens}, return_when=asyncio.FIRST_COMPLETED)
    happens.cancel()


async def _settled(task: asyncio.Task[Any]) -> None:
    await task


async def _buried(task: asyncio.Task[Any]) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        await task


class _Freezing:
    """A channel that lets its worker freeze around a charge, and count on nothing else."""

    def __init__(self, channel: Channel, worker: Worker) -> None:
        self.name = channel.name
        self.asks_payer = channel.asks_payer
        self.close: Callable[[Charge], Coroutine[Any, Any, Outcome]] = channel.close
        self.query: Callable[[Charge], Coroutine[Any, Any, Outcome]] = channel.query
        self._channel = channel
        self._worker = worker

    async def charge(self, charge: Charge) -> Outcome:
        await self._worker.pass_point("before charge")
        outcome = await self._channel.charge(charge)
        await self._worker.pass_point("after charge")
        return outcome

    def verify(self, body: bytes, headers: Any) -> Notification:
        return self._channel.verify(body, headers)


class _Obeying(Business[dict[str, Any]]):
    """What the three businesses share: they obey the world."""

    retry = Retry(first=timedelta(seconds=1), cap=timedelta(seconds=10), deadline=DEADLINE)
    pay_within = PAY_WITHIN
    query_every = timedelta(seconds=30)

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.world = worker.world

    async def can_forward(self, order: Order[Any]) -> Verdict:
        self.world.obey(order, "can_forward")
        return self.world.verdicts.get(order.type)

    async def begin(self, order: Order[Any]) -> None:
        await self.worker.pass_point("deliver")
        self.world.obey(order, "deliver")


class _Parcel(_Obeying):
    """Delivers by ``execute``, has both closing hooks, and rejects where a balance is short."""

    order_type = 1

    async def deliver(self, order: Order[Any], delivery: Any) -> None:
        await self.begin(order)
        delivery.execute("INSERT INTO goods (order_id) VALUES (:id)", {"id": order.id}, expect=1)
        order.data["delivered"] = True

    async def finished(self, order: Order[Any]) -> None:
        self.world.obey(order, "finished")
        self.world.hooks_done[order.id, "finished"] += 1

    async def ended(self, order: Order[Any]) -> None:
        self.world.obey(order, "ended")
        self.world.hooks_done[order.id, "ended"] += 1


class _Ticket(_Obeying):
    """Delivers by ``transaction``, has no closing hooks, and waits for a top-up."""

    order_type = 2
    when_short = "wait"

    async def deliver(self, order: Order[Any], delivery: Any) -> None:
        await self.begin(order)
        async with delivery.transaction() as connection:
            await connection.execute("INSERT INTO goods (order_id) VALUES (:id)", {"id": order.id})
            self.world.obey(order, "inside")


class _Box(_Obeying):
    """Delivers in two steps and by a receipt into another database."""

    order_type = 3

    async def deliver(self, order: Order[Any], delivery: Any) -> None:
        await self.begin(order)
        first = await delivery.step("pick", lambda key: {"key": key})
        self.world.obey(order, "inside")
        await delivery.step("pack", lambda _: [first["key"]])
        shop = self.world.shop
        shop.execute("BEGIN")
        if delivery.receipt(shop):
            shop.execute("INSERT INTO goods VALUES (?)", (order.id,))
        shop.execute("COMMIT")
        await self.worker.pass_point("after goods")

    async def ended(self, order: Order[Any]) -> None:
        self.world.obey(order, "ended")
        self.world.hooks_done[order.id, "ended"] += 1
