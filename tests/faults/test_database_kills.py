"""The database is killed with SIGKILL and started again, over and over, under load: nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import pytest
from databases import open_session
from fault_load import audit, selling

from orderway.testing.servers import MariadbServer, PostgresqlServer, ServerUnavailable
from orderway.testing.servers.fixtures import unavailable

KILLS = 10 if os.environ.get("ORDERWAY_LONG") else 3
SOLD_BETWEEN = 100


@pytest.mark.parametrize("kind", [PostgresqlServer, MariadbServer])
async def test_clients_recover_by_themselves(
    kind: type[PostgresqlServer | MariadbServer], summarize: Callable[[str, str], None]
) -> None:
    server = kind()
    try:
        server.start()
    except ServerUnavailable as error:
        unavailable(error)
    with server:
        url = server.new_database()
        async with open_session(url) as session:
            await session.run("CREATE TABLE goods (name VARCHAR(64) NOT NULL)")
        async with selling(url) as load:
            for _ in range(KILLS):
                await load.until_sold(SOLD_BETWEEN)
                await asyncio.to_thread(server.kill)
                refused = load.refusals
                await asyncio.to_thread(server.start)
                assert load.refusals > refused, "nobody called while the database was away"
            await load.until_sold(SOLD_BETWEEN)
        async with open_session(url) as session:
            orders = await audit(session, load.told)
    assert orders >= (KILLS + 1) * SOLD_BETWEEN
    summarize(
        "databases killed under load", f"{kind.__name__}: killed {KILLS} times, {orders} orders, 0 lost, 0 doubled"
    )
