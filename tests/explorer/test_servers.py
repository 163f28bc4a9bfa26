"""Scenarios hold on PostgreSQL and MariaDB, over two databases of a server: a sample, and all of them in the long run.

Not at every point, as in memory: a run takes a hundred times as long here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from orderway.testing.crash import Fault
from orderway.testing.explorer import Scenario, explore
from orderway.testing.goods import Goods
from orderway.testing.report import Report
from orderway.testing.scenarios import SCENARIOS
from orderway.testing.servers import Databases
from orderway.testing.world import OnServer

LONG = bool(os.environ.get("ORDERWAY_LONG"))
pytestmark = pytest.mark.slow

LIST_TABLES = {
    "postgresql": "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
    "mariadb": "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()",
}
KEPT = ("ow_meta", "ow_alembic")
SAMPLE = (
    *("prepaid from the wallet", "own gateway", "own transaction", "steps", "paid twice", "refund of a part"),
    *("mixed: the channel refuses", "cancelled after delivery"),
)
CHOSEN = [scenario for scenario in SCENARIOS if LONG or scenario.name in SAMPLE]


class Emptied:
    """Two databases that are used for one run after another: to empty tables takes a tenth of the time to make them."""

    def __init__(self, urls: list[str], list_tables: str) -> None:
        self._urls = urls
        self._list_tables = list_tables
        self._each = [Goods([url]) for url in urls]

    def __call__(self) -> OnServer:
        """The databases, as if they were fresh."""
        for database in self._each:
            for (table,) in database.execute(self._list_tables):
                if table not in KEPT:
                    database.execute(f"{'DELETE FROM' if table.startswith('ow_') else 'DROP TABLE'} {table}")
        return OnServer(self._urls, shards=3)

    def close(self) -> None:
        """Disconnect."""
        for database in self._each:
            database.close()


@pytest.fixture(scope="module", params=LIST_TABLES)
def emptied(request: pytest.FixtureRequest) -> Iterator[Emptied]:
    server: Databases = request.getfixturevalue(f"{request.param}_server")
    urls = [server.new_database(), server.new_database()]
    databases = Emptied(urls, LIST_TABLES[request.param])
    yield databases
    databases.close()
    for url in urls:
        server.drop(url)


@pytest.mark.parametrize("scenario", CHOSEN, ids=[scenario.name for scenario in CHOSEN])
async def test_on_a_server(
    scenario: Scenario, emptied: Emptied, explored: Callable[[Report], None], request: pytest.FixtureRequest
) -> None:
    report = await explore(
        scenario,
        database=emptied,
        faults=tuple(Fault) if LONG else (Fault.CRASH, Fault.FREEZE),
        most_points=6 if LONG else 1,
        second_faults=12 if LONG else 1,
    )
    report.scenario += f" ({request.node.callspec.params['emptied']})"
    explored(report)
    assert report.crashes
