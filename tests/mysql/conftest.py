"""Fixtures: a database with the tables of Orderway, and links to it, closed after the test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from mysql_links import Connect

from orderway.sql.dialects.mysql import MysqlServer
from orderway.sql.dialects.mysql.link import MysqlLink
from orderway.sql.network.database import NetworkDatabase
from orderway.sql.writes import Writes


@pytest.fixture
async def database(mariadb_url: str) -> AsyncIterator[NetworkDatabase]:
    """The database, opened; so it has its tables."""
    database = NetworkDatabase(MysqlServer(mariadb_url))
    await database.start()
    yield database
    await database.close()


@pytest.fixture
def writes(database: NetworkDatabase) -> Writes:
    return Writes(database._server.dialect, database.shards, range(1))


@pytest.fixture
async def connect(database: NetworkDatabase, mariadb_url: str) -> AsyncIterator[Connect]:
    """Opens links to the database that know its epoch, as the writer does."""
    opened: list[MysqlLink] = []

    async def connect(epoch: int | None = 1) -> MysqlLink:
        link = await MysqlServer(mariadb_url).connect(epoch)
        opened.append(link)
        return link

    yield connect
    for link in opened:
        await link.close()


@pytest.fixture
async def link(connect: Connect) -> MysqlLink:
    return await connect()


@pytest.fixture
async def other(connect: Connect) -> MysqlLink:
    """Another client of the database, which knows nothing of shard maps."""
    return await connect(None)
