"""The simulated world: one database, its channels, and workers that come and go."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import Any

from orderway.adapters import memory_ports
from orderway.app import App
from orderway.channels.scripted import ScriptedChannel
from orderway.core.order import Order
from orderway.errors import OrderwayError
from orderway.memory import MemoryDatabase
from orderway.ports.store import Query
from orderway.testing.clock import VirtualClock
from orderway.testing.crash import Crashed
from orderway.testing.simulation.shop import Shop
from orderway.testing.simulation.weather import Log, Odds, Weather, WorkerClock
from orderway.testing.watched import watched_business, watched_channel, watched_ports
from orderway.testing.world import PaidOutside

__all__ = ["SimulatedWorker", "SimulatedWorld"]

SKEWS_S = (0, 0, 0, -2, 2, -45, 45, 600)
RESTART_S = (0.5, 4.0)
Ask = Callable[[App], Awaitable[Any]]


class SimulatedWorker:
    """One process: an App under its own weather, with its own idea of the time."""

    def __init__(self, world: SimulatedWorld, number: int) -> None:
        random = Random(world.random.random())
        self.name = f"worker-{number}"
        skew_s = random.choice(SKEWS_S)
        if skew_s:
            world.log.fault(world.clock.monotonic_s(), self.name, "wrong clock", f"by {skew_s} s")
        self.weather = Weather(world.clock, random, self.name, world.log, world.odds)
        clock = WorkerClock(world.clock, skew_s * 1_000_000, self.weather)
        self.app = App(
            watched_ports(memory_ports(world.database), self.weather),
            channels=[watched_channel(each, self.weather) for each in (world.channel, world.card)],
            wallets=("wallet", "points"),
            clock=clock,
            entropy=random.randbytes,
        )
        for name in ("wallet", "points"):
            self.app.channels[name] = watched_channel(self.app.channels[name], self.weather)
        for late in (False, True):
            self.app.register(watched_business(Shop(late=late), self.weather))
        self.ready = False

    async def live(self) -> None:
        """Start, and live until death."""
        with suppress(Crashed):
            while not self.ready:
                with suppress(OrderwayError):
                    await self.app.start()
                    self.ready = True
            await self.weather.stopped.wait()
        self.ready = False

    @property
    def is_alive(self) -> bool:
        """True while it can be asked."""
        return self.ready and not self.weather.dead


class SimulatedWorld:
    """What outlives the workers.

    Args:
        random: of the whole run.
        log: is told of everything.
        odds: of the faults.
    """

    def __init__(self, random: Random, log: Log, odds: Odds) -> None:
        self.random = random
        self.log = log
        self.odds = odds
        self.clock = VirtualClock()
        self.database = MemoryDatabase()
        self.channel = ScriptedChannel(self.clock, asks_payer=True)
        self.card = ScriptedChannel(self.clock, name="card", asks_payer=False, holds=True)
        self.paid_outside: list[PaidOutside] = []
        self.problems: list[str] = []
        self.workers: list[SimulatedWorker] = []
        self.storms = True
        self._tasks: set[asyncio.Task[Any]] = set()
        self._never = asyncio.Event()
        self.goods.execute("CREATE TABLE goods (order_id TEXT NOT NULL)")
        self._ports = memory_ports(self.database)

    @property
    def goods(self) -> sqlite3.Connection:
        """The shop's own tables."""
        return self.database.goods

    def spawn(self, act: Awaitable[Any], name: str) -> asyncio.Task[Any]:
        """Have this done beside everything else; what it raises is a problem of the run."""
        task: asyncio.Task[Any] = asyncio.ensure_future(act)
        task.set_name(name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def hire(self) -> SimulatedWorker:
        """One more worker, which is replaced some time after its death."""
        worker = SimulatedWorker(self, len(self.workers) + 1)
        self.workers.append(worker)
        self.spawn(self._employ(worker), worker.name)
        return worker

    async def pause(self, seconds: float) -> None:
        """Let so much virtual time pass for the caller."""
        await self.clock.wait(self._never, seconds)

    async def ask(self, what: str, ask: Ask, *, tries: int = 60) -> Any:
        """Ask a living worker, as a caller does who asks again until he knows; None if he never gets an answer.

        Raises:
            OrderwayError: an answer that is no use asking again for.
        """
        for _ in range(tries):
            alive = [worker for worker in self.workers if worker.is_alive]
            if alive:
                worker = self.random.choice(alive)
                self.log.note(self.clock.monotonic_s(), "caller", f"{what} of {worker.name}")
                try:
                    return await ask(worker.app)
                except Crashed:
                    pass  # it died in the middle of the answer
                except OrderwayError as error:
                    if not (error.retryable or error.code == "outcome_unknown"):
                        raise
            await self.pause(self.random.uniform(0.2, 2))
        return None

    def calm_down(self) -> None:
        """No more faults from now on."""
        self.storms = False
        for worker in self.workers:
            worker.weather.calm_down()

    async def orders(self) -> list[Order[Any]]:
        """All orders as committed last."""
        return list((await self._ports.store.list(Query(limit=1000))).orders)

    async def close(self) -> None:
        """End everything that is still there."""
        for task in self._tasks:
            task.cancel()
        for worker in self.workers:
            if not worker.weather.dead:
                worker.weather.dead = True
                worker.weather.stopped.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for worker in self.workers:
            await _end(worker.app)
        self.channel.disconnect()
        self.card.disconnect()

    async def _employ(self, worker: SimulatedWorker) -> None:
        await worker.live()
        self.problems += worker.weather.problems
        await self.pause(self.random.uniform(*RESTART_S))
        self.hire().weather.storms = self.storms

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.problems.append(f"{task.get_name()} ended with {error!r}")


async def _end(app: App) -> None:
    """End the background tasks of an App whose process is dead."""
    tasks = [*app._tasks, *app.sweeper._in_hand]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
