"""One run of the simulation: a storm over people and workers, then calm, then the judgement."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass
from random import Random

from orderway.testing.simulation.judgement import judge
from orderway.testing.simulation.people import Accountant, Operator, Post, User
from orderway.testing.simulation.virtual_time import SimulatedLoop
from orderway.testing.simulation.weather import Log, Odds
from orderway.testing.simulation.world import SimulatedWorld

__all__ = ["Result", "simulate"]

STORM_S = 45
NEWS_COME_WITHIN_S = 15
MOST_CALM_S = 600
MOST_LINES = 40_000
"""Several times as much as happens in any run."""


class CutShort(Exception):
    """Something is wrong already: the run need not come to its end."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a run came to.

    Args:
        seed: of the run.
        problems: what was wrong, in sentences; none when all is well.
        reached: how often each kind of fault and act was reached.
        ends: how many orders ended in which stage.
        digest: a hash over all that happened: the same for the same seed.
        trace: all that happened, if it was asked for.
    """

    seed: int
    problems: tuple[str, ...]
    reached: Counter[str]
    ends: Counter[str]
    digest: str
    trace: str

    def check(self) -> None:
        """Refuse a run in which anything was wrong.

        Raises:
            AssertionError: says what, and how to repeat the run.
        """
        if self.problems:
            wrong = "\n  ".join(self.problems)
            raise AssertionError(
                f"seed {self.seed}:\n  {wrong}\nrepeat it: python -m orderway.testing.simulation {self.seed}"
            )


def simulate(seed: int, *, users: int = 8, workers: int = 3, odds: Odds | None = None, trace: bool = False) -> Result:
    """Run the simulation once. Blocks for some 0.2 s; not for use inside an event loop.

    Args:
        seed: of everything: the same one gives the same run, in each process.
        users: how many orders there are; two of them are of one user each.
        workers: how many processes serve them at once.
        odds: how likely each fault is.
        trace: keep all that happens.
    """
    log = Log(keep=trace)
    logger = logging.getLogger("orderway")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)  # thousands of lines about faults that are meant to happen
    try:
        with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
            return runner.run(_simulate(seed, users, workers, log, odds or Odds()))
    finally:
        logger.setLevel(level)


async def _simulate(seed: int, users: int, workers: int, log: Log, odds: Odds) -> Result:
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # the dead leave tasks behind
    world = SimulatedWorld(Random(seed), log, odds)
    try:
        for _ in range(workers):
            world.hire()
        world.serve(Post(world).run(), "post")
        world.serve(Accountant(world).run(), "accountant")
        for number in range(users):
            world.spawn(User(world, number).live(), f"user {number}")
        await _let_pass(world, STORM_S)
        world.calm_down()
        await _come_to_rest(world, NEWS_COME_WITHIN_S)
        await Operator(world).send_on()
        await _come_to_rest(world, NEWS_COME_WITHIN_S)
        orders = await world.orders()
        world.problems += await judge(world, orders)
    except CutShort:
        orders = []
    finally:
        await world.close()
    ends = Counter(str(order.stage) for order in orders)
    return Result(seed, tuple(world.problems), log.reached, ends, log.hash.hexdigest(), "".join(log.lines))


async def _let_pass(world: SimulatedWorld, seconds: int) -> None:
    """Let time pass, as long as nothing is wrong.

    Raises:
        CutShort: something is.
    """
    for _ in range(seconds):
        await asyncio.sleep(1)
        if world.log.count > MOST_LINES:
            now_s = world.clock.monotonic_s()
            world.problems.append(f"{world.log.count} calls in {now_s:.0f} s: somebody asks and asks, and never waits")
        if world.problems:
            raise CutShort


async def _come_to_rest(world: SimulatedWorld, quiet_s: int) -> None:
    """Let time pass until nobody wants anything any more, nothing is due, and no late news comes."""
    been_quiet_s = calm_s = 0
    while been_quiet_s < quiet_s and calm_s < MOST_CALM_S:
        await _let_pass(world, 1)
        is_quiet = not world.is_busy and all(order.due_at_us is None for order in await world.orders())
        been_quiet_s = been_quiet_s + 1 if is_quiet else 0
        calm_s += 1
    if world.is_busy:
        world.problems.append(f"somebody still waits for an answer {MOST_CALM_S} s after the last fault")
