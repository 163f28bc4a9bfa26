"""What a conformance suite needs to know of the database under test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import pytest

from orderway.ports.ledger import Ledger
from orderway.ports.parking import Parking
from orderway.ports.sequence import Sequence
from orderway.ports.store import Store
from orderway.ports.workers import Workers

__all__ = ["PROCESSES", "Backend", "Connection", "require"]

PROCESSES = "processes"
"""Capability: other processes can open the same database by its URL."""


@dataclass(frozen=True, slots=True)
class Connection:
    """The five ports on one connection, started. No two connections share a lock, a cache or a writer."""

    store: Store
    workers: Workers
    ledger: Ledger
    sequence: Sequence
    parking: Parking


class Backend(Protocol):
    """A database under test, empty at first; the fixture that made it closes all of its connections."""

    url: str
    """By which ``open_ports`` opens the same database in another process."""

    shards: int
    """Into how many shards it is split."""

    capabilities: frozenset[str]
    """What it can do beyond the ports; a capability that is claimed and fails is a failed test."""

    async def connect(self) -> Connection:
        """Open one more connection, independent of the others."""

    async def execute(self, sql: str) -> None:
        """Run a statement in the user's own tables, outside of the store, and commit it."""

    async def fetch(self, sql: str) -> list[tuple[Any, ...]]:
        """Read the user's own tables as committed last."""


def require(backend: Backend, capability: str) -> None:
    """Skip the test on a backend that does not claim this capability."""
    if capability not in backend.capabilities:
        pytest.skip(f"this backend does not claim the capability {capability!r}")
