"""Growth: do the due query and a user's list stay as fast when a hundred times more orders are stored?"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

from bench.drive import run_on_loop
from bench.stored import ORDERS_OF_A_USER, add_orders, make_file, uid_of
from orderway import Query
from orderway.adapters import Ports, open_ports
from orderway.sql.dialects.sqlite.statements import OrderStatements

__all__ = ["CLAIMED", "DUE", "measure_growth"]

DUE = 300
"""So many orders are due, however many are stored."""
CLAIMED = 64
HOLDER = 7
WARM_UP = 20


def measure_growth(
    folder: Path, sizes: tuple[int, ...], repeats: int, advance: Callable[[int], None]
) -> list[dict[str, Any]]:
    """Time the queries at each size of one growing file.

    Args:
        folder: where the file may be.
        sizes: ascending numbers of stored orders, in thousands.
        repeats: how often each query is timed.
        advance: told how many orders were added.

    Returns:
        For each size the medians in microseconds: ``due_read_us`` (the bare statement), ``claim_us`` (``Store.claim``,
        committed) and ``list_us`` (``Store.list`` of a user's 20 orders).
    """
    path = folder / "growth.db"
    make_file(path)
    results = []
    stored = 0
    for size in sizes:
        add_orders(path, stored, size, due=0 if stored else DUE, advance=advance)
        stored = size
        results.append(run_on_loop(_measure(path, size, repeats)))
    return results


async def _measure(path: Path, size: int, repeats: int) -> dict[str, Any]:
    ports = await open_ports(f"sqlite:///{path}")
    try:
        await ports.workers.join(HOLDER, "bench")
        due_read_us = await asyncio.to_thread(_time_due_read, path, repeats)
        claim_us = await _time(lambda: _claim(ports), repeats)
        numbers = random.Random(size)
        list_us = await _time(lambda: _list(ports, uid_of(numbers.randrange(size))), repeats)
    finally:
        await ports.close()
    return {
        "stored": size,
        "due_read_us": round(due_read_us, 1),
        "claim_us": round(claim_us, 1),
        "list_us": round(list_us, 1),
    }


async def _claim(ports: Ports) -> None:
    now_us = time.time_ns() // 1_000
    # Their new time is over already, so that the next claim finds as many.
    claimed = await ports.store.claim([1], HOLDER, now_us, now_us - 1, CLAIMED)
    if len(claimed) != CLAIMED:
        raise RuntimeError(f"{len(claimed)} orders were claimed, {CLAIMED} of {DUE} should be")


async def _list(ports: Ports, uid: str) -> None:
    page = await ports.store.list(Query(uid=uid, descending=True, limit=50))
    if len(page.orders) != ORDERS_OF_A_USER:
        raise RuntimeError(f"{uid} has {len(page.orders)} orders, {ORDERS_OF_A_USER} were stored")


def _time_due_read(path: Path, repeats: int) -> float:
    sql = OrderStatements(0).due(1, 0, 0, 1).sql
    times_us = []
    with closing(sqlite3.connect(path)) as connection:
        for _ in range(WARM_UP + repeats):
            now_us = time.time_ns() // 1_000
            began_ns = time.perf_counter_ns()
            found = connection.execute(sql, (1, now_us, HOLDER, CLAIMED)).fetchall()
            times_us.append((time.perf_counter_ns() - began_ns) / 1e3)
            if len(found) != CLAIMED:
                raise RuntimeError(f"{len(found)} due orders were found, {CLAIMED} of {DUE} should be")
    return median(times_us[WARM_UP:])


async def _time(act: Callable[[], Awaitable[None]], repeats: int) -> float:
    times_us = []
    for _ in range(WARM_UP + repeats):
        began_ns = time.perf_counter_ns()
        await act()
        times_us.append((time.perf_counter_ns() - began_ns) / 1e3)
    return median(times_us[WARM_UP:])
