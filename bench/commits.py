"""Commits: how many an order costs, which ones, and why each must be one. Counted at the driver, not estimated."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from bench.channel import AtOnce
from bench.contestants import CONTESTANTS, UIDS, WALLETS
from bench.drive import run_on_loop
from bench.plan import CROWD
from bench.rounds import in_processes
from orderway import App
from orderway.adapters import sql_ports
from orderway.ports.ledger import HELD, SALES, Posting
from orderway.sql.dialects.sqlite import SqliteDatabase
from orderway.sql.operations import Beat, Create, Hold, Join, Operation, Post, Record

__all__ = ["WHY", "measure_commits"]

ORDERS_OF_ONE = 50
ORDERS_OF_EACH = 4
NEVER_S = 3600.0

WHY: dict[str, str] = {
    "create": "whoever dies from here on leaves an order that others carry on",
    "charge": "taken under a key that is used once: the ledger is reached as any channel is",
    "hold": "put aside before anybody outside is charged, under a key that is used once",
    "record Held": "what is held decides how much is asked of the next channel; fixed amounts could be held together",
    "record PartPaid": "money that a channel took is never only in memory",
    "record Paid": "money that came is never only in memory; from here on the goods are due",
    "capture": "only when the last payment is in",
    "capture & capture": "only when the last payment is in; all of them in one commit",
    "record PartPaid+Paid": "what was captured, all of it recorded together; from here on the goods are due",
    "take over": "the payment came from outside: whoever delivers takes hold of the order first",
    "record Delivered+Finished": "the goods and both facts together, for no closing hook waits between them",
}
"""Why a step is a commit of its own, when one order is carried alone; orders side by side share all of them."""


class _Connection(sqlite3.Connection):
    """A connection that counts its commits."""

    commits = 0

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        """As ``sqlite3.Connection.execute``."""
        if sql == "COMMIT":
            _Connection.commits += 1
        return super().execute(sql, *parameters)


class _Database(SqliteDatabase):
    """A database that notes down what it is asked to write, and how many commits there were before."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, factory=_Connection)
        self.written: list[tuple[int, str]] = []

    def write(self, operation: Operation[Any]) -> asyncio.Future[Any]:
        """As ``SqliteDatabase.write``."""
        if not isinstance(operation, Beat | Join):  # the worker's own, whatever orders there are
            self.written.append((_Connection.commits, _words(operation)))
        return super().write(operation)


def measure_commits(template: Path, folder: Path) -> list[dict[str, Any]]:
    """Count what an order of each contestant costs: alone, and in a crowd.

    Returns:
        For each contestant the commits of an order at one caller; the operations that these are, in their order (those
        that share a commit are joined by ``&``); and commits and operations of an order at ``CROWD`` callers.
    """
    rows = []
    for name, contestant in CONTESTANTS.items():
        if contestant.carry is None:
            continue
        path = folder / "commits.db"
        shutil.copyfile(template, path)
        try:
            (row,) = in_processes(partial(_count, name, path))
        finally:
            for each in folder.glob("commits.db*"):
                each.unlink()
        rows.append(row)
    return rows


def _count(name: str, path: Path, ready: Callable[[], None]) -> dict[str, Any]:
    ready()
    return run_on_loop(_run(name, path))


async def _run(name: str, path: Path) -> dict[str, Any]:
    contestant = CONTESTANTS[name]
    carry = contestant.carry
    assert carry is not None
    database = _Database(path)
    ports = sql_ports([database])
    # No heartbeats, no sweeps: only what orders themselves cost.
    app = App(ports, sweep=False, wallets=WALLETS, channels=[AtOnce()], beat_every_s=NEVER_S, dead_after_s=NEVER_S * 2)
    app.register(contestant.shop())
    async with app:
        app.holds.swept = contestant.sweep  # whoever creates an order holds it, as beside a sweeper
        await carry(app, UIDS[0])  # beside it the worker's first heartbeat, which no order costs
        one = await _counted(database, lambda: _in_turn(lambda uid: carry(app, uid), UIDS[:ORDERS_OF_ONE]))
        steps = await _steps(database, lambda: carry(app, UIDS[0]))
        users = [UIDS[number % len(UIDS)] for number in range(CROWD * ORDERS_OF_EACH)]
        callers = [users[start::CROWD] for start in range(CROWD)]
        crowd = await _counted(
            database,
            lambda: asyncio.gather(*(_in_turn(lambda uid: carry(app, uid), uids) for uids in callers)),
        )
    return {
        "contestant": name,
        "commits": one[0] / ORDERS_OF_ONE,
        "operations": one[1] / ORDERS_OF_ONE,
        "steps": steps,
        "commits_in_crowd": round(crowd[0] / len(users), 4),
        "operations_in_crowd": crowd[1] / len(users),
    }


async def _in_turn(carry: Callable[[str], Awaitable[Any]], uids: Sequence[str]) -> None:
    for uid in uids:
        await carry(uid)


async def _counted(database: _Database, work: Callable[[], Awaitable[Any]]) -> tuple[int, int]:
    commits, written = _Connection.commits, len(database.written)
    await work()
    return _Connection.commits - commits, len(database.written) - written


async def _steps(database: _Database, work: Callable[[], Awaitable[Any]]) -> list[str]:
    """What one order writes, one text a commit."""
    at = len(database.written)
    await work()
    return [" & ".join(words for _, words in group) for _, group in groupby(database.written[at:], itemgetter(0))]


def _words(operation: Operation[Any]) -> str:
    match operation:
        case Create():
            return "create"
        case Record(change=change):
            return f"record {'+'.join(entry.fact for entry in change.entries)}"
        case Post(posting=posting):
            return _posted(posting)
        case Hold():
            return "take over"
        case _:
            return type(operation).__name__.lower()


def _posted(posting: Posting) -> str:
    moved = {line.account: line.amount_minor for line in posting.lines}
    if HELD in moved:
        return "hold" if moved[HELD] > 0 else "capture"
    return "charge" if SALES in moved else "top up"
