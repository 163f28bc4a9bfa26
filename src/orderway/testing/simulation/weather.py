"""The weather over one worker: what goes wrong at the points that it passes, as its seed has it."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random
from typing import Any

from orderway.testing.crash import CrashPoints
from orderway.testing.simulation.virtual_time import SimulatedClock

__all__ = ["FAULTS", "Log", "Odds", "Weather", "WorkerClock"]

FAULTS = (
    *("crash", "failed call", "lost answer", "slow hook", "freeze", "lost holder"),
    *("lost message", "doubled message", "wrong clock"),
)
"""Each kind of fault, as it is counted in what was reached."""


@dataclass(frozen=True, slots=True)
class Odds:
    """How likely each fault is.

    Args:
        delay: at a point, that the call takes a while, up to 80 ms.
        fail: at a point: it raises. Before a call nothing was done, after it the answer was lost.
        crash: at a point: the process dies.
        freeze: at a point: the process stands still for 4 to 9 s, long enough to be declared dead.
        slow: of a hook: it takes 1 to 6 s.
        lost: of a notification: it is lost on its way, and sent again much later.
        doubled: of a notification: it comes twice.
        wrong_clock: of a run: its workers' wall clocks are wrong, by up to two minutes.
    """

    delay: float = 0.3
    fail: float = 0.01
    crash: float = 0.0015
    freeze: float = 0.0015
    slow: float = 0.1
    lost: float = 0.3
    doubled: float = 0.2
    wrong_clock: float = 0.5


@dataclass(slots=True)
class Log:
    """What happened, in the order in which it did; and a hash of it, which is the same for the same seed.

    Args:
        keep: True to keep the lines.
    """

    keep: bool = False
    lines: list[str] = field(default_factory=list)
    reached: Counter[str] = field(default_factory=Counter)
    count: int = 0
    hash: Any = field(default_factory=sha256)

    def note(self, who: str, what: str) -> None:
        """One more line."""
        line = f"{asyncio.get_running_loop().time():10.4f} {who:10} {what}\n"
        self.hash.update(line.encode())
        self.count += 1
        if self.keep:
            self.lines.append(line)

    def fault(self, who: str, kind: str, where: str) -> None:
        """A fault that was reached."""
        self.reached[kind] += 1
        self.note(who, f"{kind.upper()} {where}")


class Weather(CrashPoints):
    """The points of one worker, at which anything may happen while it storms.

    Args:
        random: decides.
        name: the worker's.
        log: is told.
        odds: how likely what is.
        storms: False for fair weather.
    """

    def __init__(self, random: Random, name: str, log: Log, odds: Odds, *, storms: bool) -> None:
        super().__init__()
        self.random = random
        self.name = name
        self.log = log
        self.odds = odds
        self.storms = storms
        self._now_s = asyncio.get_running_loop().time
        self._frozen_until_s = 0.0

    async def reach(self, name: str, error: Exception) -> None:
        """Pass a point in a coroutine."""
        await self.thawed()
        self.log.note(self.name, name)
        if self.random.random() < self.odds.delay:
            await self._take(self.random.uniform(0, 0.08))
        if not self.storms:
            return
        if name.startswith("before hook") and self.random.random() < self.odds.slow:
            self.log.fault(self.name, "slow hook", name)
            await self._take(self.random.uniform(1, 6))
        self._strike(name, error)
        await self.thawed()

    def reach_plain(self, name: str, error: Exception) -> None:
        """Pass a point in plain code: nothing can be waited for there."""
        self.check_alive()
        self.log.note(self.name, name)
        if self.storms:
            self._strike(name, error)

    async def thawed(self) -> None:
        """Wait while the process stands still; then it may turn out that it is dead.

        Raises:
            Crashed: it is.
        """
        left_s = self._frozen_until_s - self._now_s()
        if left_s > 0:
            await asyncio.sleep(left_s)
        self.check_alive()

    def die(self) -> None:
        """The process dies: nothing that it does from now on has any effect."""
        self.dead = True
        self.stopped.set()

    def _strike(self, name: str, error: Exception) -> None:
        odds, drawn = self.odds, self.random.random()
        if drawn < odds.crash:
            self.log.fault(self.name, "crash", name)
            self.die()
            raise self._death()
        if drawn < odds.crash + odds.freeze and not self.open_transactions:
            self.log.fault(self.name, "freeze", name)
            self._frozen_until_s = self._now_s() + self.random.uniform(4, 9)
        elif drawn < odds.crash + odds.freeze + odds.fail:
            self.log.fault(self.name, "lost answer" if name.startswith("after") else "failed call", name)
            raise error

    async def _take(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.thawed()


class WorkerClock(SimulatedClock):
    """The clock of one worker: a dead process never goes on after a wait, a frozen one later.

    Args:
        skew_us: how far its wall clock is off, in microseconds.
        weather: over the worker.
    """

    def __init__(self, skew_us: int, weather: Weather) -> None:
        super().__init__(skew_us)
        self._weather = weather

    async def wait(self, event: asyncio.Event, timeout_s: float) -> bool:
        """Wait as any clock does, and then as long as the process stands still."""
        is_set = await super().wait(event, timeout_s)
        await self._weather.thawed()
        return is_set
