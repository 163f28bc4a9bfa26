"""A worker of the machine: an App that can freeze, die, have a wrong clock, and find its channels out of reach."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from orderway.app import App
from orderway.errors import OutcomeUnknown, Unavailable
from orderway.ports.channel import Channel, Charge, Notice, Outcome, RefundOrder, RefundOutcome
from orderway.testing.clock import VirtualClock
from orderway.testing.machine.shops import SHOPS

if TYPE_CHECKING:
    from orderway.testing.machine.world import World

__all__ = ["Outage", "Worker"]

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class Outage(StrEnum):
    """How a channel can be out of order."""

    UNREACHABLE = "unreachable"
    """Nothing can be sent."""
    SILENT = "silent"
    """What is asked is done, and no answer comes."""


class WorkerClock:
    """A worker's own clock: the world's, whose wall clock may be wrong here."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.skew_us = 0

    def now_us(self) -> int:
        """Microseconds since 1970, as this worker believes."""
        return self._clock.now_us() + self.skew_us

    def monotonic_s(self) -> float:
        """Seconds that have passed, the same for all."""
        return self._clock.monotonic_s()

    async def wait(self, event: asyncio.Event, timeout_s: float) -> bool:
        """Wait until the event is set, or this much time has passed."""
        return await self._clock.wait(event, timeout_s)


class Worker:
    """One App on the shared database. Its background tasks rest: the machine beats and sweeps by its rules."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.clock = WorkerClock(world.clock)
        self.app = App(
            world.grounds.ports(),
            channels=world.channels,
            wallets=("wallet", "points"),
            sweep=False,
            clock=self.clock,
            entropy=world.random.randbytes,
            beat_every_s=1e9,
        )
        for name, channel in self.app.channels.items():
            self.app.channels[name] = _Guarded(channel, self)
        for shop in SHOPS:
            self.app.register(shop(self))
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


class _Guarded:
    """A channel as one worker sees it: the worker may freeze around each call, and the channel be out of order."""

    def __init__(self, channel: Channel, worker: Worker) -> None:
        self.name = channel.name
        self.asks_payer = channel.asks_payer
        self.holds = channel.holds
        self.query_after: Sequence[timedelta] = channel.query_after
        self._channel = channel
        self._worker = worker

    async def charge(self, charge: Charge) -> Outcome:
        if self._channel is self._worker.world.channel:
            self._worker.world.charged.append(charge.key)
        return await self._ask("charge", self._channel.charge, charge)

    async def hold(self, charge: Charge) -> Outcome:
        return await self._ask("hold", self._channel.hold, charge)

    async def capture(self, charge: Charge) -> Outcome:
        return await self._ask("capture", self._channel.capture, charge)

    async def query(self, charge: Charge) -> Outcome:
        return await self._ask("query", self._channel.query, charge)

    async def close(self, charge: Charge) -> Outcome:
        return await self._ask("close", self._channel.close, charge)

    async def refund(self, refund: RefundOrder) -> RefundOutcome:
        return await self._ask("refund", self._channel.refund, refund)

    async def query_refund(self, refund: RefundOrder) -> RefundOutcome:
        return await self._ask("query_refund", self._channel.query_refund, refund)

    def verify(self, body: bytes, headers: Mapping[str, str]) -> Notice:
        return self._channel.verify(body, headers)

    async def _ask(self, what: str, call: Callable[[Asked], Awaitable[Answer]], asked: Asked) -> Answer:
        world = self._worker.world
        await self._worker.pass_point(f"before {what}")
        if world.outages.get(self.name) is Outage.UNREACHABLE:
            raise Unavailable(f"{self.name} cannot be reached")
        world.stirred = True
        answer = await call(asked)
        await self._worker.pass_point(f"after {what}")
        if world.outages.get(self.name) is Outage.SILENT:
            raise OutcomeUnknown(f"{self.name} did not answer")
        return answer
