"""The weather over one worker: what goes wrong at the points that it passes, as its seed has it."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random

from orderway.testing.clock import VirtualClock
from orderway.testing.crash import CrashPoints

__all__ = ["Log", "Odds", "Weather", "WorkerClock"]


@dataclass(frozen=True, slots=True)
class Odds:
    """How likely each fault is at each point that a worker passes.

    Args:
        delay: the call takes a while, up to 80 ms.
        fail: it raises: before a call nothing was done, after it the answer was lost.
        crash: the process dies.
        freeze: the process stands still for 4 to 9 s, long enough to be declared dead.
        slow: of hooks only: it takes 1 to 6 s.
    """

    delay: float = 0.3
    fail: float = 0.01
    crash: float = 0.0015
    freeze: float = 0.001
    slow: float = 0.05


@dataclass(slots=True)
class Log:
    """What happened, in the order in which it did; and a hash of it, which is the same for the same seed.

    Args:
        keep: True to keep the lines.
    """

    keep: bool = False
    lines: list[str] = field(default_factory=list)
    reached: Counter[str] = field(default_factory=Counter)
    digest: str = ""

    def note(self, at_s: float, who: str, what: str) -> None:
        """One more line."""
        line = f"{at_s:10.4f} {who:10} {what}"
        self.digest = sha256(f"{self.digest}{line}".encode()).hexdigest()
        if self.keep:
            self.lines.append(line)

    def fault(self, at_s: float, who: str, kind: str, where: str) -> None:
        """A fault that was reached."""
        self.reached[kind] += 1
        self.note(at_s, who, f"{kind.upper()} {where}")


class Weather(CrashPoints):
    """The points of one worker, at which anything may happen while it storms.

    Args:
        clock: the world's.
        random: decides.
        name: the worker's.
        log: is told.
        odds: how likely what is.
    """

    def __init__(self, clock: VirtualClock, random: Random, name: str, log: Log, odds: Odds) -> None:
        super().__init__()
        self.clock = clock
        self.random = random
        self.name = name
        self.log = log
        self.odds = odds
        self.storms = True
        self._frozen_until_s = 0.0
        self._never = asyncio.Event()

    async def reach(self, name: str, error: Exception) -> None:
        """Pass a point in a coroutine."""
        await self.thawed()
        self.log.note(self.clock.monotonic_s(), self.name, name)
        if self.random.random() < self.odds.delay:
            await self._take(self.random.uniform(0, 0.08))
        if not self.storms:
            return
        if name.startswith("before hook") and self.random.random() < self.odds.slow:
            self._fault("slow hook", name)
            await self._take(self.random.uniform(1, 6))
        self._strike(name, error)
        await self.thawed()

    def reach_plain(self, name: str, error: Exception) -> None:
        """Pass a point in plain code: nothing can be waited for there."""
        self.check_alive()
        self.log.note(self.clock.monotonic_s(), self.name, name)
        if self.storms:
            self._strike(name, error)

    async def thawed(self) -> None:
        """Wait while the process stands still; then it may turn out that it is dead."""
        while (left_s := self._frozen_until_s - self.clock.monotonic_s()) > 0 and not self.dead:
            await self.clock.wait(self._never, left_s + 1e-6)  # the clock counts whole microseconds
        self.check_alive()

    def calm_down(self) -> None:
        """No more faults."""
        self.storms = False

    def die(self, where: str) -> None:
        """The process dies: nothing that it does from now on has any effect."""
        self._fault("crash", where)
        self.dead = True
        self.stopped.set()

    def _strike(self, name: str, error: Exception) -> None:
        drawn = self.random.random()
        if drawn < self.odds.crash:
            self.die(name)
            raise self._death()
        if drawn < self.odds.crash + self.odds.freeze and not self.open_transactions:
            self._fault("freeze", name)
            self._frozen_until_s = self.clock.monotonic_s() + self.random.uniform(4, 9)
        elif drawn < self.odds.crash + self.odds.freeze + self.odds.fail:
            self._fault("lost answer" if name.startswith("after") else "failed call", name)
            raise error

    def _fault(self, kind: str, where: str) -> None:
        self.log.fault(self.clock.monotonic_s(), self.name, kind, where)

    async def _take(self, seconds: float) -> None:
        await self.clock.wait(self._never, seconds)
        await self.thawed()


class WorkerClock:
    """The world's clock as one worker has it: its wall clock may be wrong, and death ends its waiting.

    Args:
        clock: the world's.
        skew_us: how far its wall clock is off, in microseconds.
        weather: over the worker.
    """

    def __init__(self, clock: VirtualClock, skew_us: int, weather: Weather) -> None:
        self._clock = clock
        self._skew_us = skew_us
        self._weather = weather
        self.monotonic_s = clock.monotonic_s

    def now_us(self) -> int:
        """What this worker takes for the time."""
        return self._clock.now_us() + self._skew_us

    async def wait(self, event: asyncio.Event, timeout_s: float) -> bool:
        """Wait as the world's clock does; a dead process never goes on."""
        is_set = await self._clock.wait(event, timeout_s)
        await self._weather.thawed()
        return is_set
