"""The world of an explored scenario: what outlives a process, and the workers that die in it."""

from __future__ import annotations

import asyncio
import logging
import random
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from weakref import finalize

from orderway.adapters import Ports, memory_ports, ports_for
from orderway.app import App
from orderway.channels.scripted import RefundScript, Script, ScriptedChannel
from orderway.core.money import Money
from orderway.core.order import Order
from orderway.errors import Unavailable
from orderway.memory import MemoryDatabase
from orderway.ports.business import Business
from orderway.ports.store import Query
from orderway.testing.clock import VirtualClock
from orderway.testing.crash import CrashPoints, Plan
from orderway.testing.goods import Goods
from orderway.testing.invariants import is_settled
from orderway.testing.watched import watched_business, watched_channel, watched_ports

__all__ = ["Database", "InMemory", "OnServer", "OnSqlite", "Worker", "World"]

logger = logging.getLogger("orderway")

MOST_ROUNDS = 60
"""So often a worker looks for due orders before it is said that they never come to an end."""
DEAD_AFTER_S = 3.0


class Database(Protocol):
    """A fresh database that outlives the workers that use it."""

    def ports(self) -> Ports:
        """The ports for one more worker, not started yet."""

    def execute(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement in the user's own tables, commit it, and return its rows."""

    def close(self) -> None:
        """Release what was opened here."""


class InMemory:
    """A database in memory."""

    def __init__(self) -> None:
        self._database = MemoryDatabase()

    def ports(self) -> Ports:
        """Adapters of their own over the same data."""
        return memory_ports(self._database)

    def execute(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement in the user's own tables."""
        return self._database.goods.execute(sql).fetchall()

    def close(self) -> None:
        """Nothing was opened."""


class OnSqlite:
    """A SQLite file.

    Args:
        path: where; there must be nothing yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def ports(self) -> Ports:
        """Connections of their own to the file."""
        return ports_for(f"sqlite:///{self._path}")

    def execute(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement in the user's own tables."""
        with closing(sqlite3.connect(self._path, timeout=30)) as connection, connection:
            return connection.execute(sql).fetchall()

    def close(self) -> None:
        """Nothing stays open."""


class OnServer:
    """An empty database behind a server, or several that together hold the orders.

    Args:
        urls: where they are; whoever made them drops them.
        shards: into how many tables the orders are spread, over all of them.
    """

    def __init__(self, urls: Sequence[str], shards: int = 1) -> None:
        self._urls = urls
        self._shards = shards
        self._goods = Goods(urls)

    def ports(self) -> Ports:
        """Connections of their own."""
        return ports_for(self._urls, shards=self._shards)

    def execute(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement in the user's own tables, in each database."""
        return self._goods.execute(sql)

    def close(self) -> None:
        """Disconnect."""
        self._goods.close()


@dataclass(slots=True)
class PaidOutside:
    """What a user paid at a gateway of the shop's own: the truth that the orders are compared with.

    ``untold`` is how many more times the gateway tells of it; what is not answered, it tells again.
    """

    order_id: str
    amount: Money
    reference: str
    untold: int


class World:
    """What outlives the workers of one run.

    Args:
        database: of the orders; fresh.
        script: how payers behave on the scripted channel.
        refund_script: what becomes of refunds there.
        businesses: makes the businesses anew for each worker; given the world.
        seed: of all randomness.

    Attributes:
        channel: a scripted channel, called ``scripted``.
        card: another one, called ``card``, that can hold money; each payer pays there at once.
        elsewhere: a SQLite connection in memory, for goods that are kept in another database.
        paid_outside: what users paid at the shop's own gateway.
        notes: for the scenario's own use.
    """

    def __init__(
        self,
        database: Database,
        script: Script,
        businesses: Callable[[World], Iterable[Business[Any]]],
        seed: int,
        refund_script: RefundScript | None = None,
    ) -> None:
        self.clock = VirtualClock()
        self.database = database
        self.channel = ScriptedChannel(self.clock, script, refund_script=refund_script)
        self.card = ScriptedChannel(self.clock, name="card", asks_payer=False, holds=True)
        self.elsewhere = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        finalize(self, self.elsewhere.close)
        self.paid_outside: list[PaidOutside] = []
        self.notes: dict[str, Any] = {}
        self.problems: list[str] = []
        self.workers: list[Worker] = []
        self._businesses = businesses
        self._random = random.Random(seed)

    def worker(self, plans: tuple[Plan, ...]) -> Worker:
        """One more worker, with new businesses."""
        worker = Worker(self, plans, self._businesses(self), random.Random(self._random.random()).randbytes)
        self.workers.append(worker)
        return worker

    def pay_outside(self, order_id: str, amount: Money, reference: str, *, told: int = 1) -> None:
        """A user pays at the shop's own gateway, once by reference; the gateway tells whichever worker is there."""
        if not any(payment.reference == reference for payment in self.paid_outside):
            self.paid_outside.append(PaidOutside(order_id, amount, reference, told))

    def close(self) -> None:
        """Release what the world holds."""
        self.channel.disconnect()
        self.card.disconnect()
        self.elsewhere.close()
        self.database.close()


class Worker:
    """One process of the shop: an ``App`` whose every call passes crash points.

    Its heartbeat and its sweeper do not run by the clock: ``let_pass`` and ``settle`` beat and sweep, so that a run
    is the same each time.

    Args:
        world: where it lives.
        plans: the faults that it meets.
        businesses: its own.
        entropy: gives random bytes.
    """

    def __init__(
        self,
        world: World,
        plans: tuple[Plan, ...],
        businesses: Iterable[Business[Any]],
        entropy: Callable[[int], bytes],
    ) -> None:
        self.world = world
        self.points = CrashPoints(plans)
        self._ports = world.database.ports()
        self._clock = _WorkerClock(world.clock, self.points)
        self.app = App(
            watched_ports(self._ports, self.points),
            channels=[watched_channel(each, self.points) for each in (world.channel, world.card)],
            wallets=("wallet", "points"),
            sweep=False,
            clock=self._clock,
            entropy=entropy,
            dead_after_s=DEAD_AFTER_S,
        )
        for name in ("wallet", "points"):
            self.app.channels[name] = watched_channel(self.app.channels[name], self.points)
        for business in businesses:
            self.app.register(watched_business(business, self.points))

    async def start(self) -> None:
        """Start the App, and let it beat for the first time."""
        await self.app.start()
        await self._clock.parked()
        self.points.check_alive()

    async def let_pass(self, seconds: float) -> None:
        """Let time pass, and do what is due then: notifications, heartbeat, orders."""
        await self.world.clock.advance(seconds)
        await self.work()

    async def work(self) -> None:
        """One round of what goes on in the background: notifications come in, the App beats and sweeps."""
        self.world.channel.notify = self._notify
        try:
            await self.world.channel.deliver()
            await self._hear_of_payments()
            await self.app.membership.beat()
            await self.app.parked.match()
            await self.app.sweep()
        except Unavailable as error:  # as the App's own loops do: it will be tried again
            logger.debug("a round was cut short: %s", error)

    async def settle(self) -> None:
        """Work on until no order is unfinished; gives up after many rounds."""
        for number in range(MOST_ROUNDS):
            await self.work()
            due = [order.due_at_us for order in await self.orders() if any(is_settled(order))]
            if not due:
                return
            # Second by second at first, so that a dead worker is noticed; then from one due time to the next.
            wait_us = min((at_us for at_us in due if at_us is not None), default=0) - self.world.clock.now_us()
            await self.world.clock.advance(max(wait_us / 1_000_000, 1.0) if number >= 5 else 1.0)

    async def orders(self) -> list[Order[Any]]:
        """All orders as committed last, read past the crash points."""
        return list((await self._ports.store.list(Query(limit=1000))).orders)

    async def close(self) -> None:
        """End the process in good order."""
        await self.app.close()

    async def bury(self) -> None:
        """After death or life: end what is left of its tasks, and let go of its connections."""
        self._clock.end_waiting()
        await self.app.sweeper.drain()
        await self._ports.close()

    async def _hear_of_payments(self) -> None:
        for payment in self.world.paid_outside:
            while payment.untold > 0:  # a worker that was frozen here counts down as well
                await self.app.record_payment(payment.order_id, payment.amount, reference=payment.reference)
                payment.untold -= 1

    async def _notify(self, body: bytes, headers: Mapping[str, str]) -> object:
        return await self.app.notify(self.world.channel.name, body, headers)


class _WorkerClock:
    """The world's clock for one worker, whose background tasks beat once and then wait until they are told to stop."""

    def __init__(self, clock: VirtualClock, points: CrashPoints) -> None:
        self._clock = clock
        self._points = points
        self._parked = asyncio.Event()
        self._waiting: set[asyncio.Task[Any]] = set()
        self.now_us = clock.now_us
        self.monotonic_s = clock.monotonic_s

    async def wait(self, event: asyncio.Event, timeout_s: float) -> bool:
        """Wait until the event is set, however long that takes."""
        task = asyncio.current_task()
        assert task is not None, "an App waits in its tasks only"
        self._waiting.add(task)
        self._parked.set()
        try:
            return await event.wait()
        finally:
            self._waiting.discard(task)

    async def parked(self) -> None:
        """Wait until a background task waits, or the process is dead."""
        parked = asyncio.ensure_future(self._parked.wait())
        stopped = asyncio.ensure_future(self._points.stopped.wait())
        await asyncio.wait({parked, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if self._points.dead:
            parked.cancel()
        await asyncio.wait({parked})

    def end_waiting(self) -> None:
        """End the tasks that wait."""
        for task in self._waiting:
            task.cancel()
