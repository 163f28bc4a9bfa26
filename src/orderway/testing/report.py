"""What an exploration has reached and found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from orderway.testing.crash import CrashPoints, Fault, Plan

__all__ = ["Lives", "Report", "Violation"]

Lives = Sequence[tuple[Plan, ...]]
"""What is planned for a run: the faults of one worker after the other."""


@dataclass(frozen=True, slots=True)
class Violation:
    """What went wrong in which run."""

    run: str
    problem: str

    def __str__(self) -> str:
        return f"[{self.run}] {self.problem}"


@dataclass
class Report:
    """The runs of one scenario.

    Args:
        scenario: its name.

    Attributes:
        reached: how often each point was passed, by name, over all runs.
        struck: how often each fault struck there.
        runs: how many runs there were.
        violations: what went wrong; a scenario is well without any.
        required: the points that a fault must have struck.
        missed: faults that were planned and whose point was not reached: the run was another one than before.
    """

    scenario: str
    reached: Counter[str] = field(default_factory=Counter)
    struck: dict[Fault, Counter[str]] = field(default_factory=lambda: {fault: Counter() for fault in Fault})
    runs: int = 0
    violations: list[Violation] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    required: set[str] = field(default_factory=set)

    def add(
        self, lives: Sequence[CrashPoints], planned: Lives, problems: Sequence[str], *, caller_returns: bool
    ) -> None:
        """Count one run."""
        run = ", then ".join(str(plan) for life in planned for plan in life) or "undisturbed"
        if not caller_returns:
            run += ", caller gone"
        self.runs += 1
        for life in lives:
            self.reached.update(passed.point.name for passed in life.passed)
            for plan in life.struck:
                self.struck[plan.fault][plan.point.name] += 1
        if sum(map(len, planned)) != sum(len(life.struck) for life in lives):
            self.missed.append(run)
        self.violations += [Violation(run, problem) for problem in problems]

    def require(self, names: Iterable[str]) -> None:
        """Have ``check`` insist that a fault has struck each of these points."""
        self.required.update(names)

    @property
    def crashes(self) -> int:
        """How many processes died."""
        return self.struck[Fault.CRASH].total()

    def check(self) -> None:
        """Make sure that nothing went wrong, and that every point was struck.

        Raises:
            AssertionError: says what went wrong, and in which runs.
        """
        untried = sorted(name for name in self.required if not any(struck[name] for struck in self.struck.values()))
        lines = [
            *map(str, self.violations[:20]),
            *([f"... and {len(self.violations) - 20} more"] if len(self.violations) > 20 else []),
            *(f"[{run}] was planned, but its point was not reached" for run in self.missed[:20]),
            *(f"no fault struck {name}" for name in untried),
        ]
        if lines:
            raise AssertionError(f"{self.summary()}\n" + "\n".join(lines))

    def summary(self) -> str:
        """One line: what was tried, and how many runs went wrong."""
        counts = ", ".join(f"{self.struck[fault].total()} {fault}" for fault in Fault)
        wrong = len({violation.run for violation in self.violations})
        return f"{self.scenario}: {len(self.reached)} points, {self.runs} runs ({counts}), {wrong} went wrong"

    def table(self) -> str:
        """How often each point was reached, and how often each fault struck there."""
        width = max(map(len, self.reached), default=5)
        head = f"{'point':{width}} {'reached':>8}" + "".join(f"{fault:>8}" for fault in Fault)
        rows = [
            f"{name:{width}} {count:8}" + "".join(f"{self.struck[fault][name]:8}" for fault in Fault)
            for name, count in sorted(self.reached.items())
        ]
        return "\n".join((f"{self.scenario}, {self.runs} runs", head, *rows))
