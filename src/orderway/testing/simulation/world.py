"""The simulated world: one database, its channels, and workers that come and go."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from random import Random
from typing import Any, cast

from orderway.adapters import memory_ports
from orderway.app import App
from orderway.channels.scripted import ScriptedChannel
from orderway.core.money import Money
from orderway.core.order import Order
from orderway.errors import OrderwayError
from orderway.memory import MemoryDatabase
from orderway.ports.store import Query
from orderway.testing.crash import Crashed
from orderway.testing.simulation.audit import Audit, AuditedStore
from orderway.testing.simulation.shop import PatientShop, StrictShop
from orderway.testing.simulation.virtual_time import SimulatedClock
from orderway.testing.simulation.weather import Log, Odds, Weather, WorkerClock
from orderway.testing.watched import watched_business, watched_channel, watched_ports
from orderway.testing.world import PaidOutside

__all__ = ["SimulatedWorker", "SimulatedWorld"]

SKEWS_S = (0, 0, -2, 2, -45, 45, -120, 120)
RESTART_S = (0.5, 4.0)
ANSWER_WITHIN_S = 300.0
"""Longer than the wrongest clock: what a dead worker has left may be looked at so much later."""
Ask = Callable[[App], Awaitable[Any]]


class SimulatedWorker:
    """One process: an App under its own weather, with its own idea of the time.

    Args:
        world: where it lives.
        number: of the worker.
        skew_s: how far its wall clock is off.
    """

    def __init__(self, world: SimulatedWorld, number: int, skew_s: int) -> None:
        random = Random(world.random.random())
        self.name = f"worker-{number}"
        self.weather = Weather(random, self.name, world.log, world.odds, storms=world.storms)
        self.clock = WorkerClock(skew_s * 1_000_000, self.weather)
        ports = memory_ports(world.database)
        self.app = App(
            watched_ports(replace(ports, store=cast(Any, AuditedStore(ports.store, world.audit))), self.weather),
            channels=[watched_channel(each, self.weather) for each in (world.channel, world.card)],
            wallets=("wallet", "points"),
            clock=self.clock,
            entropy=random.randbytes,
            beat_every_s=1.0,
        )
        for name in ("wallet", "points"):
            self.app.channels[name] = watched_channel(self.app.channels[name], self.weather)
        for shop in (StrictShop(), PatientShop(world.parcels)):
            self.app.register(watched_business(shop, self.weather))
        self.is_ready = False

    async def live(self) -> None:
        """Start, and live until death."""
        with suppress(Crashed):
            while not self.is_ready:
                with suppress(OrderwayError):
                    await self.app.start()
                    self.is_ready = True
            await self.weather.stopped.wait()
        self.is_ready = False

    async def end(self) -> None:
        """After death: end what is left of its tasks."""
        self.weather.die()
        tasks = [*self.app._tasks, *self.app.sweeper._in_hand]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class SimulatedWorld:
    """What outlives the workers. Made while the simulated loop runs.

    Args:
        random: of the whole run.
        log: is told of everything.
        odds: of the faults.

    Attributes:
        channel: where payers pay as their script says.
        card: another channel, which holds money; each payer pays there at once.
        paid_outside: what users paid at the shop's own gateway.
        paid_back: what the shop itself paid back, by order id and number of the refund.
        parcels: the keys that the carrier knows.
    """

    def __init__(self, random: Random, log: Log, odds: Odds) -> None:
        self.random = random
        self.log = log
        self.odds = odds
        self.clock = SimulatedClock()
        self.database = MemoryDatabase()
        self.ports = memory_ports(self.database)
        self.channel = ScriptedChannel(self.clock, {}, refund_script={})
        self.card = ScriptedChannel(self.clock, name="card", asks_payer=False, holds=True)
        self.paid_outside: list[PaidOutside] = []
        self.paid_back: dict[tuple[str, int], Money] = {}
        self.parcels: set[str] = set()
        self.audit = Audit(log)
        self.problems = self.audit.problems
        self.workers: list[SimulatedWorker] = []
        self.storms = True
        self._skews_s: tuple[int, ...] = SKEWS_S if random.random() < odds.wrong_clock else (0,)
        self._errands: set[asyncio.Task[Any]] = set()
        self._services: set[asyncio.Task[Any]] = set()
        self.goods.execute("CREATE TABLE goods (order_id TEXT NOT NULL)")

    @property
    def goods(self) -> sqlite3.Connection:
        """The shops' own table."""
        return self.database.goods

    @property
    def is_busy(self) -> bool:
        """True while anybody still wants something."""
        return bool(self._errands)

    def spawn(self, errand: Awaitable[Any], name: str) -> None:
        """Have this done beside everything else; what it raises is a problem of the run."""
        self._begin(self._errands, errand, name)

    def serve(self, service: Awaitable[Any], name: str) -> None:
        """Have this done as long as the world stands."""
        self._begin(self._services, service, name)

    def hire(self) -> None:
        """One more worker, which is replaced some time after its death."""
        skew_s = self.random.choice(self._skews_s)
        worker = SimulatedWorker(self, len(self.workers) + 1, skew_s)
        if skew_s:
            self.audit.clocks_are_right = False
            self.log.fault(worker.name, "wrong clock", f"by {skew_s} s")
        self.workers.append(worker)
        self.serve(self._employ(worker), worker.name)

    async def ask(self, what: str, ask: Ask) -> Any:
        """Ask a living worker, as a caller does who asks again until he knows.

        Raises:
            OrderwayError: an answer that is no use asking again for.
        """
        loop = asyncio.get_running_loop()
        until_s = loop.time() + ANSWER_WITHIN_S
        while loop.time() < until_s:
            alive = [worker for worker in self.workers if worker.is_ready and not worker.weather.dead]
            if alive:
                worker = self.random.choice(alive)
                self.log.note("caller", f"{what} of {worker.name}")
                try:
                    return await ask(worker.app)
                except Crashed:
                    pass  # it died in the middle of the answer
                except OrderwayError as error:
                    if not (error.retryable or error.code == "outcome_unknown"):
                        raise
            await asyncio.sleep(self.random.uniform(0.2, 2))
        self.problems.append(f"{what}: nobody answered within {ANSWER_WITHIN_S:g} s")
        return None

    def calm_down(self) -> None:
        """No more faults from now on, and the clocks are set right."""
        self.storms = False
        self._skews_s = (0,)
        for worker in self.workers:
            worker.weather.storms = False
            worker.clock.skew_us = 0

    async def orders(self) -> list[Order[Any]]:
        """All orders as committed last."""
        return list((await self.ports.store.list(Query(limit=1000))).orders)

    async def close(self) -> None:
        """End everything that is still there."""
        tasks = [*self._errands, *self._services]
        for task in tasks:
            task.remove_done_callback(self._ended)
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for worker in self.workers:
            await worker.end()
        self.channel.disconnect()
        self.card.disconnect()

    async def _employ(self, worker: SimulatedWorker) -> None:
        await worker.live()
        await asyncio.sleep(self.random.uniform(*RESTART_S))
        self.hire()

    def _begin(self, kind: set[asyncio.Task[Any]], act: Awaitable[Any], name: str) -> None:
        task: asyncio.Task[Any] = asyncio.ensure_future(act)
        task.set_name(name)
        kind.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._errands.discard(task)
        self._services.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.problems.append(f"{task.get_name()} ended with {error!r}")
