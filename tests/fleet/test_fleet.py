"""Four real workers on one database, killed and frozen at random: nothing is lost, nothing doubled, and soon taken up.

The auditor runs as a process of its own, and knows nothing of the package.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from fleet_plan import make_folder, make_goods, orders_for, top_ups_for
from order_database import open_database

from fleet import REBORN, REFUSED, Buyers, Fleet, HookLog, Worker, environment_for, until

LONG = bool(os.environ.get("ORDERWAY_LONG"))
ORDERS, KILLS, FREEZES = (2000, 200, 50) if LONG else (150, 12, 3)
WORKERS = 4
SEED = int(os.environ.get("ORDERWAY_SEED", random.randrange(2**32)))
AUDITOR = Path(__file__).parents[1] / "kill" / "auditor.py"
TAKEN_UP_WITHIN_S = 5.0

pytestmark = pytest.mark.slow


@pytest.fixture(params=["sqlite", "mariadb", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'orders.db'}"
    else:
        yield request.getfixturevalue(f"{request.param}_url")


def audit(folder: Path) -> list[str]:
    """What the auditor finds wrong."""
    done = subprocess.run([sys.executable, AUDITOR, folder], capture_output=True, text=True, check=False)
    assert done.returncode in {0, 1}, done.stderr
    return done.stdout.splitlines() if done.returncode else []


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share of all values does not exceed."""
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]


async def live(fleet: Fleet, buyers: Buyers, log: HookLog, orders: list[dict[str, Any]], chance: random.Random) -> None:
    """Buy, pay late, kill and freeze, all at random, as often as planned."""
    ends = ["kill"] * KILLS + ["freeze"] * FREEZES
    chance.shuffle(ends)
    a_step = math.ceil(len(orders) / len(ends))
    unbought, unpaid = list(orders), list[dict[str, Any]]()
    async with asyncio.TaskGroup() as freezing:
        frozen: asyncio.Task[None] | None = None
        for end in ends:
            late, unpaid = unpaid, []
            for order in late:
                buyers.ask({"pay": order})
            for order in unbought[:a_step]:
                buyers.ask({"create": order})
                unpaid += [order] * (order["kind"] == "cards")
            del unbought[:a_step]
            await log.until_delivering(chance.randint(1, 2 * a_step), within_s=chance.uniform(0.5, 3))
            if end == "freeze" and frozen is not None:
                await frozen  # one at a time: somebody must be there to notice
            await until("two workers are up", lambda: _are_up(fleet, 2))
            if end == "kill":
                await fleet.kill(chance.choice(at_work(fleet, log) or fleet.alive()))
            else:
                await until("a worker is in the middle of a delivery", lambda: _is_at_work(fleet, log))
                victim = chance.choice(at_work(fleet, log))
                frozen = freezing.create_task(fleet.freeze(victim))
    for order in unpaid:
        buyers.ask({"pay": order})


def at_work(fleet: Fleet, log: HookLog) -> list[Worker]:
    """The workers that are in the middle of a delivery."""
    pids = log.at_work()
    return [worker for worker in fleet.alive() if worker.process.pid in pids]


async def _is_at_work(fleet: Fleet, log: HookLog) -> bool:
    return bool(at_work(fleet, log))


async def _are_up(fleet: Fleet, count: int) -> bool:
    return len(fleet.alive()) >= count


async def test_nothing_is_lost_and_nothing_doubled(
    url: str, tmp_path: Path, summarize: Callable[[str, str], None]
) -> None:
    chance, began_at_s = random.Random(SEED), time.monotonic()
    print(f"ORDERWAY_SEED={SEED}")  # noqa: T201 - shown when it fails
    orders = orders_for(ORDERS)
    make_folder(tmp_path, url, orders)
    log = HookLog(tmp_path / "hooks.log")
    environment = environment_for(url, tmp_path / "hooks.log")
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(url))
        await make_goods(database)
        fleet = Fleet(tmp_path, environment, database)
        stack.push_async_callback(fleet.end)
        buyers = await stack.enter_async_context(Buyers.started(2, environment))
        for top_up in top_ups_for(orders):
            buyers.ask({"top_up": top_up["uid"], "amount_minor": top_up["amount_minor"], "key": top_up["key"]})
        for _ in range(WORKERS):
            await fleet.start()
        await live(fleet, buyers, log, orders, chance)
        await buyers.done()

        async def all_ended() -> bool:
            due = await fleet.fetch("SELECT count(*) AS due FROM ow_orders_0 WHERE due_at_us IS NOT NULL")
            return bool(due[0]["due"] == 0)

        await until("all orders come to their end", all_ended)
        await fleet.stop()

    waits = list(fleet.waits(log))
    hit = sum(bool(death.orders) for death in fleet.kills)
    reborn, refused = fleet.count_said(REBORN), fleet.count_said(REFUSED)
    name = url.partition(":")[0]
    summarize(
        "fleet",
        f"{name}: {ORDERS} orders, {len(fleet.kills)} kills ({hit} of workers that held orders),"
        f" {len(fleet.freezes)} freezes ({reborn} found themselves dead, {refused} late writes refused,"
        f" {fleet.thawed_in_transactions} tried in a transaction on the file), {time.monotonic() - began_at_s:.0f} s,"
        f" seed {SEED}",
    )
    summarize(
        "fleet: from a worker's death to its orders being taken up",
        f"{name}: {len(waits)} orders, p50 {percentile(waits, 0.5):.2f} s, p90 {percentile(waits, 0.9):.2f} s,"
        f" p99 {percentile(waits, 0.99):.2f} s, at most {max(waits):.2f} s; load {os.getloadavg()[0]:.1f}",
    )
    assert audit(tmp_path) == []
    assert (len(fleet.kills), len(fleet.freezes)) == (KILLS, FREEZES)
    assert hit >= KILLS // 2, "too few of the killed workers held orders: this shows little"
    assert reborn >= FREEZES
    assert refused > 0, "no frozen worker came back to an order of another one: this shows little"
    if LONG:
        assert percentile(waits, 0.99) <= TAKEN_UP_WITHIN_S
