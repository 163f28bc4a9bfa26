"""A process that dies while it makes the tables of a new database leaves nothing that the next one stumbles over."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from orderway.adapters import open_ports
from orderway.testing.conformance.builders import make_order
from orderway.testing.servers.mariadb import MariadbDatabases
from orderway.testing.servers.postgresql import PostgresqlDatabases


@pytest.mark.parametrize("kind", ["postgresql_server", "mariadb_server"])
async def test_half_made_tables_are_completed(kind: str, request: pytest.FixtureRequest) -> None:
    server: PostgresqlDatabases | MariadbDatabases = request.getfixturevalue(kind)
    url = server.new_database()
    ports = await open_ports(url, shards=3)
    await ports.close()
    database = type(server)(urlsplit(server.url)._replace(path=urlsplit(url).path).geturl())
    schema = "public" if isinstance(server, PostgresqlDatabases) else urlsplit(url).path[1:]
    for table in ("ow_journal_1", "ow_orders_2"):
        database.execute(f"DROP TABLE {schema}.{table}")
    database.execute(f"DELETE FROM {schema}.ow_meta")  # which is filled last
    ports = await open_ports(url, shards=3)
    try:
        order = await ports.store.create(*make_order())
        assert await ports.store.get(order.id) == order
    finally:
        await ports.close()
        server.drop(url)
