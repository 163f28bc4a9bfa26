"""The crash explorer: kills your shop before and after everything it does, and sees whether the orders come out right.

A :class:`Scenario` says which businesses there are and what the outside world does: users order, pay, top up.
:func:`explore` runs it once undisturbed and notes each point that the worker passes: before and after each call to the
store, the workers' table, the ledger, the sequence, the channels, and the hooks. Then it runs the scenario again for
each point, in a fresh world, and has there

- the process die, with a caller who asks again and with one who never comes back;
- the process die, and its successor die as well at each point of the recovery (or at so many of them);
- the call fail or its answer get lost, while the process lives;
- the process freeze until another one has taken over, and go on then.

In each run, only an order's holder records what follows an effect. After it, each order has come to its end, was
charged once and delivered once or not at all, its journal gives its row, what the channels took is what the orders
know of, and the books balance.

Try your own hooks (a whole example: ``tests/explorer/test_own_hooks.py``)::

    class Shop(Business[dict]):
        order_type = 1

        async def deliver(self, order, delivery):
            delivery.execute("INSERT INTO goods VALUES (:id)", {"id": order.id}, expect=1)

    async def buy(worker: Worker) -> None:  # may run more than once: names its order by a number of its own
        await worker.app.wallet.top_up("ann", Money(1000, "CNY"), key="t1")
        order = await worker.app.create(1, "ann", amount=Money(990, "CNY"), pay="wallet", own_number="1")
        await worker.app.forward(order)

    report = await explore(Scenario("my shop", lambda world: [Shop()], buy))
    print(report.table())
    report.check()
"""

from __future__ import annotations

import asyncio
import gc
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice, zip_longest
from typing import Any

from orderway.channels.scripted import RefundScript, Script
from orderway.core.order import Stage
from orderway.errors import OrderwayError
from orderway.ports.business import Business
from orderway.ports.store import Query
from orderway.testing.crash import Crashed, Fault, Passed, Plan
from orderway.testing.invariants import (
    books_balance,
    is_settled,
    journal_is_row,
    nothing_is_kept_for_nothing,
    one_delivery,
    success_stands,
)
from orderway.testing.money import Truth
from orderway.testing.report import Lives, Report
from orderway.testing.world import Database, InMemory, Worker, World

__all__ = ["Scenario", "create_goods_table", "explore", "goods_table"]

MOST_TRIES = 5


def goods_table(world: World) -> Mapping[str, int]:
    """Deliveries by order id, from the table ``goods (order_id)`` in the orders' database."""
    return Counter(order_id for (order_id,) in world.database.execute("SELECT order_id FROM goods"))


def create_goods_table(world: World) -> None:
    """The table of ``goods_table``; without a unique key, so that a second delivery shows."""
    world.database.execute("CREATE TABLE goods (order_id TEXT NOT NULL)")


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happens in a world whose workers die.

    Args:
        name: of the scenario.
        businesses: makes the businesses of each worker; given the world.
        drive: what the outside world does with the worker that is there: it creates orders, pays, tops up. It is
            run again after a failure or a crash, as a caller asks again, so it must name its orders
            (``own_number``), top-ups (``key``) and payments (``reference``) itself.
        expect: the stages in which its orders may end.
        delivered: counts effective deliveries by order id.
        prepare: sets the world up, for instance makes tables, after the store was opened once.
        script: of the world's scripted channel.
        refund_script: of the same, for refunds.
        most_charges: how often an order may be charged; more than once only where a payer really pays twice.
        orders: how many orders there are in the end.
        aftermath_s: how long the world is watched after the orders have ended, for notifications that come late.
        check: what else must hold after each run: sentences that say what is wrong.
    """

    name: str
    businesses: Callable[[World], Iterable[Business[Any]]]
    drive: Callable[[Worker], Awaitable[None]]
    expect: frozenset[Stage] = frozenset({Stage.FINISHED})
    delivered: Callable[[World], Mapping[str, int]] = goods_table
    prepare: Callable[[World], None] = create_goods_table
    script: Script = field(default_factory=dict)
    refund_script: RefundScript = field(default_factory=dict)
    most_charges: int = 1
    orders: int = 1
    aftermath_s: float = 0.0
    check: Callable[[World], Iterable[str]] | None = None


async def explore(
    scenario: Scenario,
    *,
    database: Callable[[], Database] = InMemory,
    faults: Iterable[Fault] = tuple(Fault),
    second_faults: int = 100,
    most_points: int | None = None,
    seed: int = 1,
) -> Report:
    """Run a scenario with each fault at each of its points; see the module.

    Args:
        scenario: what happens.
        database: makes a fresh database for each run.
        faults: which faults to try.
        second_faults: how many pairs of faults to try, drawn at random, evenly over the points: a crash and a crash
            of the worker that recovers, a failure and a crash after it, a worker that freezes and comes back while
            the one that took over stands still.
        most_points: at most so many points of the first run, drawn at random; None for all.
        seed: the same seed gives the same runs.

    Returns:
        What was reached and what was found; ``Report.check`` raises if anything is wrong.
    """
    exploration = _Exploration(scenario, database, seed)
    with exploration.watch_tasks():
        await exploration.run([()])
        points = exploration.passed[0]
        chosen = points if most_points is None else exploration.draw(points, most_points)
        pairs: list[tuple[Plan, Passed]] = []
        for passed in chosen:
            for fault in (fault for fault in passed.faults if fault in set(faults)):
                plan = Plan(fault, passed.point)
                await exploration.run([(plan,), ()])
                pairs += [(plan, then) for then in exploration.points_after(plan)]
                if fault is Fault.CRASH:
                    await exploration.run([(plan,), ()], caller_returns=False)
        for plan, then in exploration.draw_evenly(pairs, second_faults):
            await exploration.run(_two_faults(plan, then))
    exploration.report.require(passed.point.name for passed in chosen)
    return exploration.report


def _two_faults(plan: Plan, then: Passed) -> Lives:
    """A second fault after the first one."""
    match plan.fault:
        case Fault.CRASH:  # and the worker that recovers dies as well
            return [(plan,), (Plan(Fault.CRASH, then.point),), ()]
        case Fault.FAIL:  # and the process dies of what came of it
            return [(plan, Plan(Fault.CRASH, then.point)), ()]
        case Fault.FREEZE:  # it comes back while the worker that took over stands still
            return [(plan,), (Plan(Fault.FREEZE, then.point),)]


class _Exploration:
    """The runs of one scenario."""

    def __init__(self, scenario: Scenario, database: Callable[[], Database], seed: int) -> None:
        self.report = Report(scenario.name)
        self.passed: list[Sequence[Passed]] = []
        """The points that each worker of the last run passed."""
        self._scenario = scenario
        self._database = database
        self._seed = seed
        self._random = random.Random(seed)
        self._unhandled: list[str] = []

    def draw(self, choice: Sequence[Any], most: int) -> Sequence[Any]:
        """At most so many of these, in their order."""
        if len(choice) <= most:
            return choice
        return [choice[index] for index in sorted(self._random.sample(range(len(choice)), most))]

    def draw_evenly(self, pairs: Sequence[tuple[Plan, Passed]], most: int) -> list[tuple[Plan, Passed]]:
        """At most so many pairs, in turns from each kind of first fault and name of second point."""
        kinds: dict[tuple[Fault, str], list[tuple[Plan, Passed]]] = {}
        for pair in pairs:
            kinds.setdefault((pair[0].fault, pair[1].point.name), []).append(pair)
        for of_a_kind in kinds.values():
            self._random.shuffle(of_a_kind)
        in_turns = chain.from_iterable(zip_longest(*kinds.values()))
        return list(islice((pair for pair in in_turns if pair is not None), most))

    def points_after(self, plan: Plan) -> Iterator[Passed]:
        """The points of the last run at which a second fault may follow this one."""
        first, *others = self.passed
        if plan.fault is Fault.FAIL:
            struck = next(index for index, passed in enumerate(first) if passed.point == plan.point)
            return iter(first[struck + 1 :])
        return (passed for passed in chain.from_iterable(others) if passed.can_freeze or plan.fault is Fault.CRASH)

    async def run(self, lives: Lives, *, caller_returns: bool = True) -> None:
        """One run in a fresh world, with one worker after the other, each with its faults; judges the outcome."""
        scenario = self._scenario
        world = World(self._database(), scenario.script, scenario.businesses, self._seed, scenario.refund_script)
        try:
            await self._open(world)
            await self._live(world, lives, caller_returns)
            self.passed = [worker.points.passed for worker in world.workers]
            noted = chain.from_iterable(worker.points.problems for worker in world.workers)
            problems = [*world.problems, *noted, *self._unhandled, *await self._violations(world, caller_returns)]
            self._unhandled.clear()
            points = [worker.points for worker in world.workers]
            self.report.add(points, lives, problems, caller_returns=caller_returns)
        finally:
            world.close()

    async def _open(self, world: World) -> None:
        ports = world.database.ports()
        await ports.start()
        self._scenario.prepare(world)
        await ports.close()

    async def _live(self, world: World, lives: Lives, caller_returns: bool) -> None:
        frozen: list[tuple[Worker, asyncio.Task[None]]] = []
        try:
            for number, plans in enumerate(lives):
                worker = world.worker(plans)
                life = asyncio.create_task(self._life(worker, driven=caller_returns or number == 0))
                stopped = asyncio.create_task(worker.points.stopped.wait())
                await asyncio.wait({life, stopped}, return_when=asyncio.FIRST_COMPLETED)
                stopped.cancel()
                if worker.points.stopped.is_set() and not worker.points.dead:
                    frozen.append((worker, life))
                    continue
                await life
                if not worker.points.dead:
                    break
        finally:
            for worker, life in frozen:
                worker.points.thaw()
                await life

    async def _life(self, worker: Worker, *, driven: bool) -> None:
        """A worker's life: started, driven by its callers, settled, and closed; or cut short."""
        try:
            await self._retried(worker, worker.start)
            if driven:
                await self._retried(worker, lambda: self._scenario.drive(worker))
            await worker.settle()
            if self._scenario.aftermath_s:
                for seconds in (self._scenario.aftermath_s, 2, 2):  # and what could not be taken is sent again
                    await worker.let_pass(seconds)
                await worker.settle()
            await self._retried(worker, worker.close)
        except (Crashed, BaseExceptionGroup):
            if not worker.points.dead:
                raise
        finally:
            await worker.bury()

    async def _retried(self, worker: Worker, act: Callable[[], Awaitable[None]]) -> None:
        """Act as a caller does: ask again what may be asked again."""
        for _ in range(MOST_TRIES):
            try:
                return await act()
            except OrderwayError as error:
                if not error.retryable:
                    worker.world.problems.append(f"the caller got {type(error).__name__}: {error}")
                    return None
        worker.world.problems.append(f"the caller got no answer in {MOST_TRIES} tries")
        return None

    async def _violations(self, world: World, caller_returns: bool) -> list[str]:
        scenario = self._scenario
        ports = world.database.ports()
        await ports.start()
        try:
            orders = list((await ports.store.list(Query(limit=1000))).orders)
            found: list[str] = []
            if caller_returns and len(orders) != scenario.orders:
                found.append(f"there are {len(orders)} orders, not {scenario.orders}")
            delivered = scenario.delivered(world)
            for order in orders:
                entries = list(await ports.store.entries(order.id))
                facts = Counter(entry.fact for entry in entries)
                found += is_settled(order)
                found += journal_is_row(order, entries)
                found += success_stands(order, facts)
                found += nothing_is_kept_for_nothing(order)
                found += one_delivery(order, facts, delivered.get(order.id, 0))
                if caller_returns and order.is_final and order.stage not in scenario.expect:
                    found.append(f"{order.id} ended as {order.stage} ({order.why}), not {'/'.join(scenario.expect)}")
            truth = await Truth.of(world, ports)
            found += truth.compare(orders, scenario.most_charges)
            found += books_balance(await ports.ledger.trial_balance())
            found += scenario.check(world) if scenario.check is not None and caller_returns else ()
            return found
        finally:
            await ports.close()

    @contextmanager
    def watch_tasks(self) -> Iterator[None]:
        """Note what ends a background task, except that its process has died."""
        loop = asyncio.get_running_loop()

        def note(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            error = context.get("exception")
            if not isinstance(error, Crashed | BaseExceptionGroup):
                self._unhandled.append(f"a background task ended with {context.get('message')}: {error!r}")

        before = loop.get_exception_handler()
        loop.set_exception_handler(note)
        try:
            yield
            gc.collect()  # tasks that have died with their process tell so when they are collected
        finally:
            loop.set_exception_handler(before)
