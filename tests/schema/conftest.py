"""Empty databases to make tables in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from schema_clients import Client

from orderway.testing.servers.mariadb import MariadbDatabases
from orderway.testing.servers.postgresql import PostgresqlDatabases


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def clients(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[Client]]:
    """Two empty databases of one kind."""
    dialect = request.param
    if dialect == "sqlite":
        yield [Client(dialect, f"sqlite:///{tmp_path}/{name}.db") for name in ("first", "second")]
        return
    server: PostgresqlDatabases | MariadbDatabases
    server = request.getfixturevalue("postgresql_server" if dialect == "postgresql" else "mariadb_server")
    urls = [server.new_database() for _ in range(2)]
    yield [Client(dialect, url) for url in urls]
    for url in urls:
        server.drop(url)


@pytest.fixture
def client(clients: list[Client]) -> Client:
    """An empty database."""
    return clients[0]
