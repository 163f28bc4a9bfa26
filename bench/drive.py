"""Driving a contestant: a closed loop of callers, each with one order in hand at a time."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from typing import Any, TypeVar

from bench.channel import AtOnce
from bench.contestants import CONTESTANTS, UIDS, WALLETS, Contestant
from bench.sample import Sample, Stopwatch
from orderway import App, Order, Stage, blocking

__all__ = [
    "MOST_WINDOWS",
    "app_over",
    "check_finished",
    "closed_loop",
    "drive",
    "loop_name",
    "run_on_loop",
    "settle_garbage_collection",
]

T = TypeVar("T")

MOST_WINDOWS = 20
"""A window in which nothing was finished goes on, at most so long: crowds finish in waves."""
GC_THRESHOLD = (50_000, 20, 100)
"""Python's own is (700, 10, 10): far too low where hundreds of orders are in flight."""


def drive(name: str, path: Path, callers: int, warm_up_s: float, window_s: float, ready: Callable[[], None]) -> Sample:
    """Measure a contestant over a prepared file.

    Args:
        name: the contestant's.
        path: the file.
        callers: how many.
        warm_up_s, window_s: how long it runs unmeasured, and measured.
        ready: waits until all processes of this point are ready.
    """
    contestant = CONTESTANTS[name]
    settle_garbage_collection()
    if contestant.carry_blocking is not None:
        return _drive_threads(contestant, path, callers, warm_up_s, window_s, ready)
    return run_on_loop(_drive_tasks(contestant, path, callers, warm_up_s, window_s, ready))


def app_over(path: Path, contestant: Contestant) -> App:
    """An App with the contestant's business, not started."""
    app = App(f"sqlite:///{path}", sweep=contestant.sweep, wallets=WALLETS, channels=[AtOnce()])
    app.register(contestant.shop())
    return app


def loop_name() -> str:
    """Which event loop the contestants run on."""
    return "uvloop" if importlib.util.find_spec("uvloop") else "asyncio"


def settle_garbage_collection() -> None:
    """What docs/production.md advises for a process that carries many orders at once; without it each costs more."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLD)


def run_on_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run on uvloop where it is installed, else on asyncio's own loop."""
    if loop_name() == "asyncio":
        return asyncio.run(main)
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


async def closed_loop(
    carry: Callable[[str], Awaitable[None]], callers: int, warm_up_s: float, window_s: float, ready: Callable[[], None]
) -> Sample:
    """So many callers, each with one order in hand at a time.

    Args:
        carry: makes one order of this user, and returns when it is finished.
        callers: how many.
        warm_up_s, window_s: how long it runs unmeasured, and measured.
        ready: waits until all processes of this point are ready.
    """
    watch = Stopwatch()

    async def caller(uids: Iterator[str]) -> None:
        clock = time.perf_counter
        while watch.running:
            began_s = clock()
            await carry(next(uids))
            watch.latencies_s.append(clock() - began_s)

    await asyncio.to_thread(ready)
    async with asyncio.TaskGroup() as group:
        for number in range(callers):
            group.create_task(caller(_uids(number)))
        await asyncio.sleep(warm_up_s)
        watch.open()
        for _ in range(MOST_WINDOWS):
            await asyncio.sleep(window_s)
            if watch.latencies_s:
                break
        seconds, used_s, latencies_s = watch.close()
    return Sample(seconds, used_s, latencies_s, watch.finished())


async def _drive_tasks(
    contestant: Contestant, path: Path, callers: int, warm_up_s: float, window_s: float, ready: Callable[[], None]
) -> Sample:
    make = contestant.carry
    assert make is not None
    async with app_over(path, contestant) as app:

        async def carry(uid: str) -> None:
            check_finished(await make(app, uid))

        return await closed_loop(carry, callers, warm_up_s, window_s, ready)


def _drive_threads(
    contestant: Contestant, path: Path, callers: int, warm_up_s: float, window_s: float, ready: Callable[[], None]
) -> Sample:
    watch = Stopwatch()
    carry = contestant.carry_blocking
    assert carry is not None
    ended = threading.Event()

    def caller(uids: Iterator[str], app: blocking.App) -> None:
        clock = time.perf_counter
        try:
            while watch.running:
                began_s = clock()
                order = carry(app, next(uids))
                check_finished(order)
                watch.latencies_s.append(clock() - began_s)
        finally:
            ended.set()  # before its time only if it failed: then nobody need wait for the window

    app = blocking.App(f"sqlite:///{path}", sweep=contestant.sweep)
    app.register(contestant.shop())
    with app, ThreadPoolExecutor(callers) as pool:
        ready()
        calls = [pool.submit(caller, _uids(number), app) for number in range(callers)]
        ended.wait(warm_up_s)
        watch.open()
        ended.wait(window_s)
        seconds, used_s, latencies_s = watch.close()
        for call in calls:
            call.result()
    return Sample(seconds, used_s, latencies_s, watch.finished())


def _uids(caller: int) -> Iterator[str]:
    """All users in turn, each caller beginning at another one."""
    return islice(cycle(UIDS), caller * 37 % len(UIDS), None)


def check_finished(order: Order[Any]) -> None:
    """Only finished orders count.

    Raises:
        RuntimeError: this one is not.
    """
    if order.stage is not Stage.FINISHED:
        raise RuntimeError(f"order {order.id} is {order.stage} ({order.last_error or order.why}), and not finished")
