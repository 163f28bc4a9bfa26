"""Growth: the due query and a user's list with a hundred times more orders; an idle sweeper's look with more tables."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import pairwise
from statistics import median
from typing import Any

from sqlalchemy import ColumnElement, Insert, Table, insert, literal, literal_column, select, union_all

from bench.drive import run_on_loop
from bench.sample import cpu_s
from bench.servers.kinds import KINDS, Running
from bench.servers.place import Place
from bench.servers.plain import Plain
from orderway import GATEWAY, App, Business, Money, Query, Status
from orderway.adapters import Ports, open_ports
from orderway.sql.database import Tables
from orderway.sql.rows import INSERT_COLUMNS, LEG_COLUMNS

__all__ = ["measure_idle", "measure_rows"]

ORDERS_OF_A_USER = 20
DUE = 300
"""So many orders are due, however many are stored."""
CLAIMED = 64
HOLDER = 7
WARM_UP = 20
AT_ONCE = 256
PRICE = Money.of("9.90", "CNY")
STEPS = "abcdefgh"


class Shop(Business[dict[str, Any]]):
    """Delivers by doing nothing."""

    order_type = 1

    async def deliver(self, order: Any, delivery: Any) -> None:
        """Nothing."""


def measure_rows(
    kind: str, running: Running, sizes: Sequence[int], repeats: int, started: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Time the queries at each size of one growing table.

    The first orders are made by Orderway, the others by the database: each step copies the finished ones, with users
    of their own. So whatever columns there are, they are filled as Orderway fills them.

    Returns:
        For each size the medians in microseconds: ``look_us`` (a claim that finds nothing due), ``claim_us`` (one that
        takes hold of 64 orders, committed) and ``list_us`` (a user's 20 orders).
    """
    url = running.databases[kind].new_database()
    try:
        return run_on_loop(_rows(kind, url, sizes, repeats, started))
    finally:
        running.databases[kind].drop(url)


async def _rows(
    kind: str, url: str, sizes: Sequence[int], repeats: int, started: Callable[[str], None]
) -> list[dict[str, Any]]:
    started(f"{kind}: {sizes[0]:,} orders")
    await _first_orders(url, sizes[0])
    found = [await _measure(kind, url, sizes[0], repeats)]
    for step, (before, size) in enumerate(pairwise(sizes)):
        started(f"{kind}: {size:,} orders")
        plain = await KINDS[kind].connect(url)
        await _multiply(kind, plain, STEPS[step], size // before)
        await plain.close()
        found.append(await _measure(kind, url, size, repeats))
    return found


async def _first_orders(url: str, count: int) -> None:
    """So many finished orders, of users with ``ORDERS_OF_A_USER`` each; and ``DUE`` that are paid and due."""
    users = count // ORDERS_OF_A_USER
    app = App(url, sweep=False)
    app.register(Shop())
    numbers = iter(range(count + DUE))

    async def make() -> None:
        for number in numbers:
            is_due = number >= count
            uid = f"due-{number}" if is_due else f"user-{number % users:07}"
            order = await app.create(1, uid, amount=PRICE, pay=GATEWAY)
            await app.record_payment(order.id, PRICE, reference=order.id)
            if not is_due:
                await app.forward(order.id)

    async with app:
        await asyncio.gather(*(make() for _ in range(AT_ONCE)))


async def _multiply(kind: str, plain: Plain, step: str, factor: int) -> None:
    """Copy all finished orders and their payments, until there are so many times as many."""
    tables = Tables([0]).shards[0]
    for statement in _copies(tables.orders, tables.legs, step, factor):
        compiled = statement.compile(dialect=KINDS[kind].dialect, compile_kwargs={"literal_binds": True})
        await plain.run(str(compiled))
    for table in (tables.orders, tables.legs):
        await plain.run(KINDS[kind].tidy.format(table=table.name))


def _copies(orders: Table, legs: Table, step: str, factor: int) -> Iterator[Insert]:
    """Each copy's id and user end in a mark, so that no two are the same."""
    marks = union_all(*(select(literal_column(f"'{step}{copy}'").label("mark")) for copy in range(1, factor)))
    mark = marks.subquery("marks")
    finished = orders.c.status == int(Status.FINISHED)
    # Payments first: which orders are to be copied is seen from the orders, before there are more.
    columns = {name: legs.c[name] for name in LEG_COLUMNS}
    rows = select(legs.c.order_id + mark.c.mark, *columns.values())
    rows = rows.select_from(legs).join(orders, orders.c.id == legs.c.order_id).join(mark, literal(1) == 1)
    yield insert(legs).from_select(["order_id", *columns], rows.where(finished))
    copied: dict[str, ColumnElement[Any]] = {name: orders.c[name] for name in INSERT_COLUMNS}
    copied |= {"id": orders.c.id + mark.c.mark, "uid": orders.c.uid + mark.c.mark}
    rows = select(*copied.values()).select_from(orders).join(mark, literal(1) == 1)
    yield insert(orders).from_select([*copied], rows.where(finished))


async def _measure(kind: str, url: str, size: int, repeats: int) -> dict[str, Any]:
    plain = await KINDS[kind].connect(url)
    stored = (await plain.fetch("SELECT count(*) FROM ow_orders_0"))[0][0]
    if stored != size + DUE:
        raise RuntimeError(f"{stored} orders are stored on {kind}, {size} and {DUE} should be")
    uids = await plain.fetch(f"SELECT DISTINCT uid FROM ow_orders_0 WHERE status = {int(Status.FINISHED)} LIMIT 1000")
    await plain.close()
    ports = await open_ports(url)
    some = random.Random(size)
    try:
        await ports.workers.join(HOLDER, "bench")
        look_us = await _time(lambda: _claim(ports, at_us=0, wanted=0), repeats)
        claim_us = await _time(lambda: _claim(ports, time.time_ns() // 1_000, CLAIMED), repeats)
        list_us = await _time(lambda: _list(ports, some.choice(uids)[0]), repeats)
    finally:
        await ports.close()
    figures = {"look_us": look_us, "claim_us": claim_us, "list_us": list_us}
    return {"kind": kind, "stored": size, **{name: round(each, 1) for name, each in figures.items()}}


async def _claim(ports: Ports, at_us: int, wanted: int) -> None:
    # Their new time is over already, so that the next claim finds as many.
    claimed = await ports.store.claim([1], HOLDER, at_us, at_us - 1, CLAIMED)
    if len(claimed) != wanted:
        raise RuntimeError(f"{len(claimed)} orders were claimed, {wanted} should be")


async def _list(ports: Ports, uid: str) -> None:
    page = await ports.store.list(Query(uid=uid, descending=True, limit=50))
    if len(page.orders) != ORDERS_OF_A_USER:
        raise RuntimeError(f"{uid} has {len(page.orders)} orders, {ORDERS_OF_A_USER} were stored")


async def _time(act: Callable[[], Awaitable[None]], repeats: int) -> float:
    times_us = []
    for _ in range(WARM_UP + repeats):
        began_ns = time.perf_counter_ns()
        await act()
        times_us.append((time.perf_counter_ns() - began_ns) / 1e3)
    return median(times_us[WARM_UP:])


def measure_idle(place: Place, looks: int) -> dict[str, Any]:
    """What a look for due orders costs when there are none.

    Returns:
        ``look_ms`` (median) and ``cpu_ms`` (this process's, a look).
    """
    return run_on_loop(_idle(place, looks))


async def _idle(place: Place, looks: int) -> dict[str, Any]:
    ports = await open_ports(place.url, shards=place.tables)
    try:
        await ports.workers.join(HOLDER, "bench")
        began_s = cpu_s()
        look_us = await _time(lambda: _claim(ports, time.time_ns() // 1_000, 0), looks)
        used_s = cpu_s() - began_s
    finally:
        await ports.close()
    figures = {"look_ms": look_us / 1e3, "cpu_ms": used_s * 1e3 / (WARM_UP + looks)}
    return {"kind": place.kind, "tables": place.tables, **{name: round(each, 3) for name, each in figures.items()}}
