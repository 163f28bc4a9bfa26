"""Kill -9 with the orders on PostgreSQL and on MariaDB: also while a trip to the server is under way.

The server lives on, and with it what was under way there. The auditor reads it through its driver.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from auditor import audit
from manifest import orders_url
from order_database import open_database
from shop_processes import Shops, kill_and_take_up, make_folder
from test_kill import TAMPERINGS

from orderway.testing.servers import Databases

LONG = bool(os.environ.get("ORDERWAY_LONG"))
pytestmark = pytest.mark.slow

TRIPS = {
    "postgresql": (
        *("BEGIN", "COMMIT", "write ow_workers", "lock ow_orders", "write ow_orders", "lock ow_accounts"),
        *("write ow_accounts", "write ow_postings", "write goods", "write came_back"),
    ),
    # Where nothing has to be looked at on the way, a whole transaction is one trip here.
    "mariadb": (
        *("BEGIN", "COMMIT", "write ow_workers", "write ow_workers and commit", "lock ow_orders", "write ow_orders"),
        *("write ow_orders and commit", "lock ow_accounts", "write ow_postings and commit"),
        *("write goods", "write came_back"),
    ),
}
CALLS = (
    *("channel bank.charge", "channel bank.refund", "channel wallet.charge", "channel wallet.capture"),
    *("delivery.receipt", "hook deliver", "hook finished", "store.create", "store.record"),
    *("store.transaction.execute", "store.transaction.commit_with", "ledger.post"),
)
OFTEN = ("COMMIT", "write ow_orders", "lock ow_orders", "store.record")
"""Passed so often that a later pass is another situation."""
LATER = (1, 4, 9, 16) if LONG else (1, 9)


def kills_on(name: str) -> list[tuple[str, int]]:
    """The points at which shops die on this server, and in which pass."""
    points = [f"{when} trip {trip}" for trip in TRIPS[name] for when in ("before", "during", "after")]
    points += [f"{when} {call}" for call in CALLS for when in ("before", "after")]
    return [(point, nth) for point in points for nth in (LATER if point.endswith(OFTEN) else (1,))]


@pytest.fixture(scope="module")
def shops() -> Iterator[Shops]:
    shops = Shops(4)
    yield shops
    shops.close()


@pytest.fixture(params=TRIPS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(name: str, request: pytest.FixtureRequest) -> Databases:
    databases: Databases = request.getfixturevalue(f"{name}_server")
    return databases


@pytest.fixture
def folder(tmp_path: Path, server: Databases, shops: Shops) -> Iterator[Path]:
    """What a shop leaves behind that was never killed."""
    url = server.new_database()
    folder = make_folder(tmp_path / "folder", url)
    assert shops.run(str(folder)) == 0
    yield folder
    server.drop(url)


def test_nothing_is_lost_and_nothing_doubled(
    name: str, server: Databases, shops: Shops, tmp_path: Path, summarize: Callable[[str, str], None]
) -> None:
    def verdict(number: int, point: str, nth: int) -> list[str]:
        url = server.new_database()
        try:
            return kill_and_take_up(shops, tmp_path / str(number), point, nth, orders_url=url)
        except AssertionError as error:
            return [str(error)]
        finally:
            server.drop(url)

    kills, began_at = kills_on(name), time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        verdicts = list(pool.map(lambda kill: verdict(kill[0], *kill[1]), enumerate(kills)))
    wrong = {kill: problems for kill, problems in zip(kills, verdicts, strict=True) if problems}
    points = len({point for point, _ in kills})
    took_s = time.monotonic() - began_at
    summarize("kill -9", f"{name}: {len(kills)} kills at {points} points, {len(wrong)} violations, {took_s:.0f} s")
    assert points >= 32
    assert wrong == {}


def test_the_auditor_sees(folder: Path) -> None:
    """What is wrong on purpose, with the same tampering as on SQLite; each is undone for the next one."""
    assert audit(folder) == []
    tamperings = {what: sql for what, (place, sql) in TAMPERINGS.items() if place == "orders.db"}
    missed = [what for what, sql in tamperings.items() if not asyncio.run(tampered(folder, sql))]
    assert missed == []
    assert audit(folder) == [], "the tamperings were undone"


async def tampered(folder: Path, sql: str) -> list[str]:
    """What the auditor says of a tampering, which is undone then."""
    table = re.findall(r"(?:FROM|INTO|UPDATE) (\w+)", sql)[0]
    async with open_database(orders_url(folder)) as orders:
        await orders.execute(f"CREATE TABLE kept AS SELECT * FROM {table}")
        assert await orders.execute(sql) > 0
        problems = await asyncio.to_thread(audit, folder)
        await orders.execute(f"DELETE FROM {table}")
        await orders.execute(f"INSERT INTO {table} SELECT * FROM kept")
        await orders.execute("DROP TABLE kept")
        return problems


def test_all_points_are_passed(folder: Path, name: str) -> None:
    passed = json.loads((folder / "passed.json").read_text())
    assert {kill: passed.get(kill[0], 0) for kill in kills_on(name) if passed.get(kill[0], 0) < kill[1]} == {}
