"""A file with orders and wallets, and exports kept in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from filling import Taken

from orderway.adapters import Ports, open_ports


@pytest.fixture
def taken() -> Taken:
    return Taken()


@pytest.fixture(params=["memory", "sqlite"])
async def ports(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ports]:
    """An empty database, in three shards."""
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/orders.db"
    ports = await open_ports(url, shards=3)
    yield ports
    await ports.close()
