"""Where a worker can die: a named point before and after each call that leaves the engine.

``CrashPoints`` counts the points that one worker passes and does what its plan says at one of them: the process dies,
the call fails, or the process freezes. ``orderway.testing.watched`` puts the points around ports, channels and hooks.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["CrashPoints", "Crashed", "Fault", "Passed", "Plan", "Point"]


class Crashed(BaseException):
    """The process has died. Not an ``Exception``: no code that survives its own errors survives this."""


class Fault(StrEnum):
    """What can happen at a point."""

    CRASH = "crash"
    """The process dies here: nothing that it does from now on has any effect."""

    FAIL = "fail"
    """The call raises and the process lives: before a call nothing was done, after it the answer was lost."""

    FREEZE = "freeze"
    """The process stands still, is declared dead, and goes on when others have taken its orders over."""


@dataclass(frozen=True, slots=True)
class Point:
    """The nth time that a worker passes the point of this name, for instance ``after channel wallet.charge``."""

    name: str
    nth: int

    def __str__(self) -> str:
        return f"{self.name} #{self.nth}"


@dataclass(frozen=True, slots=True)
class Plan:
    """One fault at one point of one worker's life."""

    fault: Fault
    point: Point

    def __str__(self) -> str:
        return f"{self.fault} {self.point}"


@dataclass(frozen=True, slots=True)
class Passed:
    """A point that was passed, and whether the process could have been frozen there.

    It could not while it held a transaction of the user's own open, which a real database would have rolled back in
    the meantime, nor in plain code on the event loop's thread.
    """

    point: Point
    can_freeze: bool

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What can happen here."""
        return tuple(Fault) if self.can_freeze else (Fault.CRASH, Fault.FAIL)


@dataclass(eq=False)
class CrashPoints:
    """The points of one worker's life, and the faults that are planned for some of them.

    Args:
        plans: what happens where; with none the points are only counted.
    """

    plans: tuple[Plan, ...] = ()
    passed: list[Passed] = field(default_factory=list)
    struck: list[Plan] = field(default_factory=list)
    dead: bool = False
    open_transactions: int = 0
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stopped = asyncio.Event()
        """Set when the process has died or stands still."""
        self._counts: Counter[str] = Counter()
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._thawed = threading.Event()
        self._thawed_here = asyncio.Event()

    async def reach(self, name: str, error: Exception) -> None:
        """Pass a point in a coroutine; ``error`` is what a failing call raises here."""
        if self._arrive(name, error, can_freeze=True):
            await self._thawed_here.wait()

    def reach_plain(self, name: str, error: Exception) -> None:
        """Pass a point in plain code, in a hook's thread or on the event loop."""
        if self._arrive(name, error, can_freeze=threading.get_ident() != self._loop_thread):
            self._thawed.wait()

    def check_alive(self) -> None:
        """Refuse to go on after death.

        Raises:
            Crashed: the process has died.
        """
        if self.dead:
            raise self._death()

    def thaw(self) -> None:
        """Let a frozen process go on."""
        self._thawed.set()
        self._thawed_here.set()

    def _arrive(self, name: str, error: Exception, *, can_freeze: bool) -> bool:
        self.check_alive()
        self._counts[name] += 1
        point = Point(name, self._counts[name])
        can_freeze = can_freeze and not self.open_transactions
        self.passed.append(Passed(point, can_freeze))
        plan = next((plan for plan in self.plans if plan.point == point), None)
        if plan is None or (plan.fault is Fault.FREEZE and not can_freeze):
            return False
        self.struck.append(plan)
        if plan.fault is Fault.FAIL:
            raise error
        self._loop.call_soon_threadsafe(self.stopped.set)
        if plan.fault is Fault.CRASH:
            self.dead = True
            raise self._death()
        return True

    def _death(self) -> Crashed:
        """What ends a task of a dead process; asyncio shall not complain that nobody asked how it ended."""
        with suppress(RuntimeError):  # a hook's thread runs no task
            if (task := asyncio.current_task()) is not None:
                task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        return Crashed()
