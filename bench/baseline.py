"""The baseline: the same rows written by the plain driver, one thread, one commit per step; and the bare commits.

Everything that Python would have to make is made beforehand, so that only binding, SQLite and the disk are left.
"""

from __future__ import annotations

import gc
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.ready import HOLDER, ready_order
from bench.sample import Sample, Stopwatch
from orderway.sql.dialects.sqlite import connect as sqlite
from orderway.sql.rows import ENTRY_COLUMNS, INSERT_COLUMNS, UPDATE_COLUMNS, insert_row, update_row

__all__ = ["measure_baseline", "measure_raw_commits"]

MOST_PER_S = 6_000
"""So many orders are made ready for each second; a faster disk ends the window early, which falsifies nothing."""

ROW = f"({','.join('?' * len(ENTRY_COLUMNS))})"
INSERT_ORDER = f"INSERT INTO ow_orders_0 ({', '.join(INSERT_COLUMNS)}) VALUES ({','.join('?' * len(INSERT_COLUMNS))})"
INSERT_ENTRY = f"INSERT INTO ow_journal_0 ({', '.join(ENTRY_COLUMNS)}) VALUES {ROW}"
INSERT_TWO_ENTRIES = f"{INSERT_ENTRY}, {ROW}"
FINISH_ORDER = (
    f"UPDATE ow_orders_0 SET {', '.join(f'{name} = ?' for name in UPDATE_COLUMNS)}, holder = NULL"
    " WHERE id = ? AND version = ? AND holder = ?"
)


@dataclass(frozen=True, slots=True)
class Rows:
    """One order's values: what its creation writes, and what its finish writes."""

    order: tuple[Any, ...]
    created: tuple[Any, ...]
    finish: tuple[Any, ...]
    finished: tuple[Any, ...]


def measure_baseline(path: Path, warm_up_s: float, window_s: float) -> Sample:
    """Create and finish orders, one after another, two commits each; latencies are of a whole order."""
    ready = iter([_rows(number) for number in range(int(MOST_PER_S * (warm_up_s + window_s)))])
    with closing(connect(path)) as connection:
        execute = connection.execute

        def one() -> bool:
            rows = next(ready, None)
            if rows is None:
                return False
            execute("BEGIN IMMEDIATE")
            execute(INSERT_ORDER, rows.order)
            execute(INSERT_ENTRY, rows.created)
            execute("COMMIT")
            execute("BEGIN IMMEDIATE")
            if execute(FINISH_ORDER, rows.finish).rowcount != 1:
                raise RuntimeError(f"the baseline could not finish its order {rows.order[0]}")
            execute(INSERT_TWO_ENTRIES, rows.finished)
            execute("COMMIT")
            return True

        return _repeat(one, warm_up_s, window_s)


def measure_raw_commits(path: Path, warm_up_s: float, window_s: float) -> Sample:
    """Commit one tiny row after another; latencies are of one commit."""
    with closing(connect(path)) as connection:
        connection.execute("CREATE TABLE bench_commits (n INTEGER PRIMARY KEY)")
        execute = connection.execute

        def one() -> bool:
            execute("INSERT INTO bench_commits DEFAULT VALUES")
            return True

        return _repeat(one, warm_up_s, window_s)


def connect(path: Path) -> sqlite3.Connection:
    """A connection set as Orderway's own ones are, setting by setting: durable at each commit."""
    return sqlite.connect(path, busy_timeout_s=10.0)


def _repeat(one: Callable[[], bool], warm_up_s: float, window_s: float) -> Sample:
    gc.collect()
    gc.freeze()  # what was made beforehand shall not be looked through again and again
    watch = Stopwatch()
    clock = time.perf_counter

    def run_until(end_s: float) -> None:
        began_s = clock()
        while began_s < end_s and one():
            ended_s = clock()
            watch.latencies_s.append(ended_s - began_s)
            began_s = ended_s

    run_until(clock() + warm_up_s)
    watch.open()
    run_until(clock() + window_s)
    seconds, used_s, latencies_s = watch.close()
    return Sample(seconds, used_s, latencies_s, watch.finished())


def _rows(number: int) -> Rows:
    """An order's values."""
    order = ready_order(number)
    return Rows(
        order=insert_row(order.created, order.created.slot),
        created=order.first,
        finish=(*update_row(order.finished), order.created.id, order.created.version, HOLDER),
        finished=(*order.second, *order.third),
    )
