"""Running a point: fresh processes on a fresh copy of the file, started together; afterwards the file is audited."""

from __future__ import annotations

import asyncio
import multiprocessing
import shutil
import sqlite3
import traceback
from collections.abc import Callable
from contextlib import closing
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, TypeVar

from bench.baseline import measure_baseline, measure_raw_commits
from bench.contestants import CONTESTANTS, GOODS_TABLE, POINTS, PRICE, UIDS, Shop
from bench.drive import drive
from bench.plan import BASELINE, RAW_COMMITS, Plan, Point
from bench.sample import Reading, Sample, reading
from orderway import App, Money, Status

__all__ = ["audit", "in_processes", "make_template", "measure"]

T = TypeVar("T")
START_WITHIN_S = 60
IMPORTED = ["bench.rounds", "bench.servers.rounds"]
PURSES = (Money.of("99999999.00", PRICE.currency), Money(9_999_999_900, POINTS))


def make_template(path: Path) -> None:
    """Make the file that every point begins with: empty tables, a table for goods, users with full wallets."""

    async def fill() -> None:
        app = App(f"sqlite:///{path}")
        app.register(Shop())
        async with app:
            for purse in PURSES:
                key = f"bench {purse.currency}"
                await asyncio.gather(*(app.wallet.top_up(uid, purse, key=key) for uid in UIDS))

    asyncio.run(fill())
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(GOODS_TABLE)
        connection.executemany("INSERT INTO bench_goods VALUES (?, 0)", ((uid,) for uid in UIDS))
        connection.commit()


def measure(point: Point, plan: Plan, template: Path, folder: Path) -> Reading:
    """Measure a point once.

    Raises:
        RuntimeError: a process failed, or the file does not hold what the processes say they did.
    """
    path = folder / "orders.db"
    shutil.copyfile(template, path)
    try:
        task = partial(_measure, point, path, plan.warm_up_s, plan.window_s)
        samples = in_processes(task, point.processes)
        audit(path, point, sum(sample.finished for sample in samples))
    finally:
        for each in folder.glob("orders.db*"):
            each.unlink()
    return reading(samples)


def audit(path: Path, point: Point, orders: int) -> None:
    """Look into the file: so many orders are finished, none is unfinished, and each is paid and has its goods.

    Raises:
        RuntimeError: it is otherwise.
    """
    contestant = CONTESTANTS.get(point.contestant)
    with closing(sqlite3.connect(path)) as connection:
        if point.contestant == RAW_COMMITS:
            counts = {"commits": ("SELECT count(*) FROM bench_commits", orders)}
        else:
            counts = {
                "orders": ("SELECT count(*) FROM ow_orders_0", orders),
                "finished": (f"SELECT count(*) FROM ow_orders_0 WHERE status = {int(Status.FINISHED)}", orders),
                "Finished facts": ("SELECT count(*) FROM ow_journal_0 WHERE fact = 'Finished'", orders),
                # A point counts for a hundredth, so that the sum over both currencies is the price.
                "captured": (
                    "SELECT coalesce(sum(captured_minor), 0) FROM ow_legs_0",
                    orders * PRICE.amount_minor if contestant and contestant.paid else 0,
                ),
                "goods": ("SELECT sum(coins) FROM bench_goods", orders if contestant and contestant.goods else 0),
            }
        for name, (sql, wanted) in counts.items():
            (found,) = connection.execute(sql).fetchone()
            if found != wanted:
                raise RuntimeError(f"{point}: {name}: {found} in the file, {wanted} by the processes' own count")


def in_processes(task: Callable[[Callable[[], None]], T], processes: int = 1) -> list[T]:
    """Run a task in fresh processes side by side; each is given a function that waits for the others.

    Raises:
        RuntimeError: one of them failed; its traceback is in the message.
    """
    # Each is forked from one that has done nothing but import: as fresh as a spawned one, and a second faster.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    barrier = context.Barrier(processes)
    started: list[tuple[Any, Connection]] = []
    try:
        for _ in range(processes):
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_serve, args=(task, barrier, theirs))
            process.start()
            theirs.close()
            started.append((process, ours))
        return [_answer(ours) for _, ours in started]
    finally:
        for process, ours in started:
            ours.close()
            process.join()


def _serve(task: Callable[[Callable[[], None]], Any], barrier: Barrier, answers: Connection) -> None:
    try:
        answers.send((True, task(partial(_wait, barrier))))
    except BaseException:
        barrier.abort()  # whoever waits for this process shall not
        answers.send((False, traceback.format_exc()))
        raise


def _wait(barrier: Barrier) -> None:
    barrier.wait(START_WITHIN_S)


def _answer(answers: Connection) -> Any:
    try:
        succeeded, answer = answers.recv()
    except EOFError:
        raise RuntimeError("a measuring process died without an answer") from None
    if not succeeded:
        raise RuntimeError(f"a measuring process failed:\n{answer}")
    return answer


def _measure(point: Point, path: Path, warm_up_s: float, window_s: float, ready: Callable[[], None]) -> Sample:
    if point.contestant == RAW_COMMITS:
        return measure_raw_commits(path, warm_up_s, window_s)
    if point.contestant == BASELINE:
        return measure_baseline(path, warm_up_s, window_s)
    return drive(point.contestant, path, point.callers, warm_up_s, window_s, ready)
