"""Fixtures: a database with the tables of Orderway, and links to it, closed after the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from postgresql_links import Connect, Connection

from orderway.sql.dialects.postgresql import PostgresqlServer
from orderway.sql.dialects.postgresql.dialect import POSTGRESQL
from orderway.sql.dialects.postgresql.link import PostgresqlLink
from orderway.sql.network.database import NetworkDatabase
from orderway.sql.shards import ShardMap
from orderway.sql.writes import Writes


@pytest.fixture
def writes() -> Writes:
    return Writes(POSTGRESQL, ShardMap.even(1), range(1))


@pytest.fixture
async def database(postgresql_url: str) -> AsyncIterator[NetworkDatabase]:
    """The database, opened; so it has its tables."""
    database = NetworkDatabase(PostgresqlServer(postgresql_url))
    await database.start()
    yield database
    await database.close()


@pytest.fixture
async def connect(database: NetworkDatabase, postgresql_url: str) -> AsyncIterator[Connect]:
    """Opens links to the database that know its epoch, as the writer does."""
    opened: list[PostgresqlLink] = []

    async def connect() -> PostgresqlLink:
        link = await PostgresqlServer(postgresql_url).connect(1)
        opened.append(link)
        return link

    yield connect
    for link in opened:
        await link.close()


@pytest.fixture
async def other(database: NetworkDatabase, postgresql_url: str) -> AsyncIterator[Connection]:
    """Another client of the database, which knows nothing of Orderway."""
    connection = await asyncpg.connect(postgresql_url)
    yield connection
    async with asyncio.timeout(60):
        await connection.close()
