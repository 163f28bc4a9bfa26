"""Empty databases to make tables in."""

from __future__ import annotations

from pathlib import Path

import pytest
from schema_clients import Client

from orderway.testing.servers.mariadb import MariadbDatabases
from orderway.testing.servers.postgresql import PostgresqlDatabases


def client_of(request: pytest.FixtureRequest, dialect: str) -> Client:
    """A client of a new, empty database; what it makes is dropped after the test."""
    if dialect == "sqlite":
        folder: Path = request.getfixturevalue("tmp_path")
        return Client(dialect, f"sqlite:///{folder}/{len(list(folder.iterdir()))}.db")
    server: PostgresqlDatabases | MariadbDatabases
    server = request.getfixturevalue("postgresql_server" if dialect == "postgresql" else "mariadb_server")
    if dialect == "mysql" and "MariaDB" in server.execute("SELECT VERSION()"):
        dialect = "mariadb"
    url = server.new_database()
    request.addfinalizer(lambda: server.drop(url))
    return Client(dialect, url)


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def client(request: pytest.FixtureRequest) -> Client:
    """An empty database."""
    return client_of(request, request.param)


@pytest.fixture
def second_client(request: pytest.FixtureRequest, client: Client) -> Client:
    """Another one of the same kind."""
    if client.dialect == "sqlite":
        return Client("sqlite", client.url.replace(".db", "-second.db"))
    return client_of(request, "mysql" if client.dialect == "mariadb" else client.dialect)


@pytest.fixture(params=["postgresql", "mysql"])
def server_client(request: pytest.FixtureRequest) -> Client:
    """An empty database on a server that knows users and rights."""
    return client_of(request, request.param)
