"""A pytest plugin, real databases for tests: `pytest_plugins = ["orderway.testing.servers.fixtures"]` in a conftest.py.

`postgresql_url`, `mariadb_url` and `redis_url` are the URLs of an empty database each, which is dropped after the test.
They live on one private server of each kind for the whole run, started when the first test needs it and shared with all
workers of pytest-xdist; `postgresql_server`, `mariadb_server` and `redis_server` make more databases there, and
`pulsar_server` topics. Nobody may kill these: a test that wants to kill a server starts one of its own, with
`own_server`.

`ORDERWAY_TEST_POSTGRESQL_URL`, `ORDERWAY_TEST_MYSQL_URL`, `ORDERWAY_TEST_REDIS_URL`, `ORDERWAY_TEST_PULSAR_URL` and
`ORDERWAY_TEST_RABBITMQ_URL` name running servers to use instead. Without a server the test is skipped, and fails where
`CI` is set: a suite that ran on nothing is not green.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn, Protocol, TypeVar

import pytest

from orderway.testing.servers.binaries import ServerUnavailable
from orderway.testing.servers.mariadb import MariadbDatabases, MariadbServer
from orderway.testing.servers.postgresql import PostgresqlDatabases, PostgresqlServer
from orderway.testing.servers.pulsar import PulsarTopics, best_pulsar
from orderway.testing.servers.rabbitmq import RabbitmqQueues, RabbitmqServer
from orderway.testing.servers.redis import RedisDatabases, RedisServer
from orderway.testing.servers.server import Databases, Server
from orderway.testing.servers.shared import shared_server

_Databases = TypeVar("_Databases", bound=Databases)
_Server = TypeVar("_Server", bound=Server)


class StartServer(Protocol):
    """What the fixture `own_server` is."""

    def __call__(self, server: _Server) -> _Server:
        """Starts the server and returns it. If it cannot, the test ends: skipped, or failed where `CI` is set."""
        ...


@pytest.fixture(scope="session")
def postgresql_server(request: pytest.FixtureRequest) -> Iterator[PostgresqlDatabases]:
    """The PostgreSQL of this run. Make databases on it; do not stop it."""
    yield from _databases(request, PostgresqlServer, PostgresqlDatabases, "ORDERWAY_TEST_POSTGRESQL_URL")


@pytest.fixture(scope="session")
def mariadb_server(request: pytest.FixtureRequest) -> Iterator[MariadbDatabases]:
    """The MariaDB (or MySQL) of this run. Make databases on it; do not stop it."""
    yield from _databases(request, MariadbServer, MariadbDatabases, "ORDERWAY_TEST_MYSQL_URL")


@pytest.fixture(scope="session")
def redis_server(request: pytest.FixtureRequest) -> Iterator[RedisDatabases]:
    """The Redis of this run. Lease databases on it; do not stop it, and do not flush more than your own."""
    yield from _databases(request, RedisServer, RedisDatabases, "ORDERWAY_TEST_REDIS_URL")


@pytest.fixture(scope="session")
def pulsar_server(request: pytest.FixtureRequest) -> Iterator[PulsarTopics]:
    """The Pulsar of this run: Apache's own where `make pulsar` has fetched it, else pulsar-lite. Use topics on it."""
    yield from _databases(request, best_pulsar(), PulsarTopics, "ORDERWAY_TEST_PULSAR_URL")


@pytest.fixture(scope="session")
def rabbitmq_server(request: pytest.FixtureRequest) -> Iterator[RabbitmqQueues]:
    """The RabbitMQ of this run. Make queues on it; do not stop it."""
    yield from _databases(request, RabbitmqServer, RabbitmqQueues, "ORDERWAY_TEST_RABBITMQ_URL")


@pytest.fixture
def postgresql_url(postgresql_server: PostgresqlDatabases) -> Iterator[str]:
    """`postgresql://user:password@host:port/name`: an empty database for this test."""
    yield from _database(postgresql_server)


@pytest.fixture
def mariadb_url(mariadb_server: MariadbDatabases) -> Iterator[str]:
    """`mysql://user:password@host:port/name`: an empty database for this test."""
    yield from _database(mariadb_server)


@pytest.fixture
def redis_url(redis_server: RedisDatabases) -> Iterator[str]:
    """`redis://:password@host:port/number`: an empty database for this test."""
    yield from _database(redis_server)


@pytest.fixture
def own_server() -> Iterator[StartServer]:
    """Starts a server of the test's own, to be killed at will; it is removed after the test.

    def test_a_crash(own_server):
        server = own_server(PostgresqlServer())
    """
    with ExitStack() as servers:

        def start(server: _Server) -> _Server:
            try:
                servers.enter_context(server)
            except ServerUnavailable as error:
                unavailable(error)
            return server

        yield start


def unavailable(error: ServerUnavailable) -> NoReturn:
    """Ends the test: skipped with the reason, failed with it where `CI` is set."""
    if os.environ.get("CI"):
        pytest.fail(f"{error}\nIt fails because CI is set; elsewhere this test is skipped.", pytrace=False)
    pytest.skip(str(error))


def _databases(
    request: pytest.FixtureRequest, server: type[Server], databases: Callable[[str], _Databases], variable: str
) -> Iterator[_Databases]:
    if url := os.environ.get(variable):
        yield databases(url)
        return
    try:
        with shared_server(server, _run_folder(request)) as url:
            yield databases(url)
    except ServerUnavailable as error:
        unavailable(error)


def _database(server: Databases) -> Iterator[str]:
    url = server.new_database()
    yield url
    server.drop(url)


def _run_folder(request: pytest.FixtureRequest) -> Path:
    """A folder that the workers of one run have in common: with pytest-xdist each one's own folder lies in it."""
    folder: Path = request.getfixturevalue("tmp_path_factory").getbasetemp()
    return folder.parent if hasattr(request.config, "workerinput") else folder
