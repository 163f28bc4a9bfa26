"""What the databases allow: the bare statements of orders beside the protocol and Orderway, in one interleaved run.

    python -m bench.ceiling [--on mariadb,postgresql] [--rounds N] [--json FILE]

*Bare* sends what Orderway would send, one transaction after the other over one connection: the same rows in the same
statements, with the fence and the guards, made ahead. No journey, no group commit, nobody to be told; what is left of
the client is the connection's own code and the driver, little with 512 orders a transaction and a good part of the time
with one. A process with one writing connection can hardly be faster, whatever the rest of it costs; one with several
could. Of two processes the rates are added up, each over its own time. Nothing else may run on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import platform
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from bench.drive import run_on_loop
from bench.ready import HOLDER, ready_order
from bench.rounds import in_processes
from bench.sample import Reading, Sample, Stopwatch, reading, spread
from bench.servers import ours
from bench.servers.kinds import running
from bench.servers.original import connect
from bench.servers.place import ORDERWAY, PROTOCOL, Place
from bench.servers.plan import FULL, Plan, Point
from bench.servers.rounds import Places, audit, best_pool, measure
from orderway.adapters import databases_for
from orderway.ports.store import Change
from orderway.sql.dialect import Dialect
from orderway.sql.dialects.mysql.dialect import MARIADB
from orderway.sql.dialects.postgresql.dialect import POSTGRESQL
from orderway.sql.network.database import NetworkDatabase
from orderway.sql.operations import Create, Record
from orderway.sql.steps import Step
from orderway.sql.writes import Writes

__all__ = ["run"]

DIALECTS: dict[str, Dialect] = {"mariadb": MARIADB, "postgresql": POSTGRESQL}
BARE = "bare"
BATCH = 512
ORDERS = {1: 2_000, BATCH: 50 * BATCH}
"""So many are made ahead by each process, by the orders of a transaction: for one to three seconds."""
PLAN = replace(FULL, warm_up_s=0.5, window_s=2.0)
CROWD = 64
"""Callers of the protocol, with the best size of its pool. Not always its best: see the whole benchmark for that."""

Transaction = list[Step]


def run(kinds: Sequence[str], rounds: int, plan: Plan = PLAN, orders: dict[int, int] | None = None) -> dict[str, Any]:
    """Measure, and compare round by round.

    Args:
        kinds: of ``DIALECTS``.
        rounds: how often.
        plan: for the protocol and Orderway.
        orders: see ``ORDERS``.
    """
    made = orders or ORDERS
    rows: list[dict[str, Any]] = []
    with running(kinds) as servers:
        places = Places(servers)
        for kind in kinds:
            pool = next(iter(best_pool(kind, plan, places, _say)))
            alone, crowd = Point(kind, PROTOCOL, 1), Point(kind, PROTOCOL, CROWD)
            rivals = {
                alone: [Point(kind, BARE, 1), Point(kind, ORDERWAY, 1)],
                crowd: [
                    Point(kind, BARE, BATCH),
                    Point(kind, ORDERWAY, 1024),
                    *(Point(kind, BARE, BATCH, processes=2), Point(kind, ORDERWAY, 1024, processes=2)),
                ],
            }
            readings: dict[Point, list[Reading]] = {}
            for number in range(rounds):
                for point in [point for base, others in rivals.items() for point in (base, *others)]:
                    _say(f"round {number + 1}: {point.contestant}, {kind}, {point.processes} x {point.callers}")
                    got = _bare(point, places, made) if point.contestant == BARE else measure(point, plan, pool, places)
                    readings.setdefault(point, []).append(got)
            for base, others in rivals.items():
                rows += [_row(point, base, readings) for point in (base, *others)]
    load = round(os.getloadavg()[0], 1)
    return {"rows": rows, "rounds": rounds, "load_1min": load, "python": platform.python_version()}


def _row(point: Point, base: Point, readings: dict[Point, list[Reading]]) -> dict[str, Any]:
    rates = [each.orders_per_s for each in readings[point]]
    of_base = [each.orders_per_s for each in readings[base]]
    return {
        "kind": point.kind,
        "contestant": point.contestant,
        "processes": point.processes,
        "orders_a_transaction" if point.contestant == BARE else "callers": point.callers,
        "orders_per_s": spread(rates),
        "of_the_protocol": spread([rate / other for rate, other in zip(rates, of_base, strict=True)]),
        "client_cpu_us": spread([each.cpu_us for each in readings[point]]),
    }


def _bare(point: Point, places: Places, orders: dict[int, int]) -> Reading:
    place = places.take(replace(point, contestant=ORDERWAY), pool=1)
    try:
        samples = in_processes(partial(_send, place, point.callers, orders[point.callers]), point.processes)
        audit(point, asyncio.run(ours.count_finished(place)), sum(sample.finished for sample in samples))
    finally:
        places.give_back(place)
    return reading(samples)


def _send(place: Place, batch: int, orders: int, ready: Callable[[], None]) -> Sample:
    async def send() -> Sample:
        [database] = databases_for([place.url])
        assert isinstance(database, NetworkDatabase)
        await database.start()
        writes = Writes(DIALECTS[place.kind], database.shards, range(len(database.shards)))
        pairs = list(_pairs(writes, batch, orders))
        gc.collect()
        gc.freeze()  # what was made ahead shall not be looked through again and again
        plain = await connect(place)
        [[epoch]] = await plain.fetch("SELECT epoch FROM ow_meta")
        await plain.close()
        link = await database.line(epoch).get()
        watch = Stopwatch()
        ready()
        watch.open()
        for create, finish in pairs:
            began_s = time.perf_counter()
            await link.send(create, begin=True, commit=True)
            await link.send(finish, begin=True, commit=True)
            watch.latencies_s.extend([time.perf_counter() - began_s] * batch)
        seconds, used_s, latencies_s = watch.close()
        await link.close()
        await database.close()
        return Sample(seconds, used_s, latencies_s, watch.finished())

    return run_on_loop(send())


def _pairs(writes: Writes, batch: int, orders: int) -> Iterator[tuple[Transaction, Transaction]]:
    """The transactions of so many orders: one that creates a batch, one that finishes it."""
    numbers = iter(range(first := secrets.randbelow(2**40), first + orders))
    while made := [ready_order(number) for number in islice(numbers, batch)]:
        creates = [Create(order.created, order.first) for order in made]
        changes = [Change(order.finished, [order.second, order.third], guard=HOLDER) for order in made]
        yield list(writes.together(creates)), list(writes.together([Record(change) for change in changes]))


def _say(what: str) -> None:
    print(what, flush=True)


def _show(rows: Sequence[dict[str, Any]]) -> None:
    for row in rows:
        at_once = row.get("callers") or row["orders_a_transaction"]
        words = f"{row['kind']}: {row['contestant']}, {row['processes']} x {at_once:,}"
        rate, ratio, cpu = row["orders_per_s"], row["of_the_protocol"], row["client_cpu_us"]
        least_and_greatest = f"({ratio['min']:.2f}-{ratio['max']:.2f})"
        print(
            f"{words:40} {rate['median']:8,.0f}/s  {ratio['median']:.2f}x {least_and_greatest:12}"
            f" of the protocol, client CPU {cpu['median']:.0f} us an order"
        )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="What the databases allow, beside the protocol and Orderway.")
    parser.add_argument("--on", default=",".join(DIALECTS), help="kinds of databases, with commas between them")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    kinds = arguments.on.split(",")
    if unknown := sorted(set(kinds) - set(DIALECTS)):
        parser.error(f"--on {unknown[0]}: {', '.join(DIALECTS)} are allowed")
    result = run(kinds, arguments.rounds)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    _show(result["rows"])


if __name__ == "__main__":
    main()
