"""Fixtures: an empty database of each kind, and a proxy in front of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from databases import Session, open_session

from orderway.adapters import Ports, open_ports
from orderway.testing.servers.proxy import Proxy

ANSWER_WITHIN_S = 0.5
"""Tests wait for it in vain."""


@pytest.fixture(params=["postgresql", "mariadb"])
def url(request: pytest.FixtureRequest) -> str:
    """An empty database."""
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


@pytest.fixture
async def proxy(url: str) -> AsyncIterator[Proxy]:
    async with Proxy(url) as proxy:
        yield proxy


@pytest.fixture
async def ports(proxy: Proxy) -> AsyncIterator[Ports]:
    """The database, opened through the proxy; so it has its tables."""
    ports = await open_ports(proxy.url, answer_within_s=ANSWER_WITHIN_S)
    yield ports
    await ports.close()


@pytest.fixture
async def session(ports: Ports, url: str) -> AsyncIterator[Session]:
    """Another client of the same database, past the proxy. There are goods without a key, so that doubles show."""
    async with open_session(url) as session:
        await session.run("CREATE TABLE goods (name VARCHAR(64) NOT NULL)")
        yield session
