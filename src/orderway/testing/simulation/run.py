"""One run of the simulation: a storm over people and workers, then calm, then the judgement."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Any

from orderway.adapters import memory_ports
from orderway.core.order import Order
from orderway.testing.invariants import (
    books_balance,
    is_settled,
    journal_is_row,
    nothing_is_kept_for_nothing,
    one_delivery,
    success_stands,
)
from orderway.testing.money import Truth
from orderway.testing.simulation.people import Accountant, Post, User
from orderway.testing.simulation.weather import Log, Odds
from orderway.testing.simulation.world import SimulatedWorld

__all__ = ["Result", "simulate"]

STORM_S = 45.0
MOST_CALM_S = 900.0
MOST_CHARGES = 1_000


@dataclass(frozen=True, slots=True)
class Result:
    """What a run came to.

    Args:
        seed: of the run.
        problems: what was wrong at its end, in sentences; none when all is well.
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
    trace: tuple[str, ...]

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
    """Run the simulation once.

    Args:
        seed: of everything: the same one gives the same run.
        users: how many users order.
        workers: how many processes serve them.
        odds: how likely each fault is.
        trace: keep all that happens.
    """
    log = Log(keep=trace)
    logger = logging.getLogger("orderway")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)  # thousands of lines about faults that are meant to happen
    try:
        return asyncio.run(_simulate(seed, users, workers, log, odds or Odds()))
    finally:
        logger.setLevel(level)


async def _simulate(seed: int, users: int, workers: int, log: Log, odds: Odds) -> Result:
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # the dead leave tasks behind
    world = SimulatedWorld(Random(seed), log, odds)
    try:
        for _ in range(workers):
            world.hire()
        world.spawn(Post(world).run(), "post")
        people = [world.spawn(User(world, number).live(), f"user-{number}") for number in range(users)]
        await world.clock.advance(STORM_S)
        world.calm_down()
        await _come_to_rest(world, people)
        problems, ends = await _judge(world)
    finally:
        await world.close()
    return Result(seed, (*world.problems, *problems), log.reached, ends, log.digest, tuple(log.lines))


async def _come_to_rest(world: SimulatedWorld, people: list[asyncio.Task[Any]]) -> None:
    """Let time pass until nobody wants anything any more and nothing is due."""
    accountant = Accountant(world)
    quiet_s = 0.0
    while world.clock.monotonic_s() < STORM_S + MOST_CALM_S and quiet_s < 30:
        working = world.spawn(accountant.work(), "accountant")
        await world.clock.advance(5)
        orders = await world.orders()
        is_quiet = all(task.done() for task in [*people, working]) and all(order.due_at_us is None for order in orders)
        quiet_s = quiet_s + 5 if is_quiet else 0.0


async def _judge(world: SimulatedWorld) -> tuple[list[str], Counter[str]]:
    ports = memory_ports(world.database)
    orders: list[Order[Any]] = await world.orders()
    delivered = Counter(order_id for (order_id,) in world.goods.execute("SELECT order_id FROM goods"))
    found: list[str] = []
    for worker in world.workers:
        found += worker.weather.problems
        world.log.reached["lost holder"] += worker.app.membership.rebirths
    for order in orders:
        entries = list(await ports.store.entries(order.id))
        facts = Counter(entry.fact for entry in entries)
        found += is_settled(order)
        found += journal_is_row(order, entries)
        found += success_stands(order, facts)
        found += one_delivery(order, facts, delivered[order.id])
        found += nothing_is_kept_for_nothing(order)
    truth = await Truth.of(world, ports)
    found += truth.compare(orders, MOST_CHARGES)
    found += books_balance(await ports.ledger.trial_balance())
    return found, Counter(str(order.stage) for order in orders)
