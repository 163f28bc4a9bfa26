"""What a conformance suite needs to know of the database under test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pytest

from orderway.ports.ledger import Ledger
from orderway.ports.mailbox import Mailbox
from orderway.ports.parking import Parking
from orderway.ports.sequence import Sequence as SequencePort
from orderway.ports.store import Store
from orderway.ports.workers import Workers

__all__ = ["PROCESSES", "ROWS", "Backend", "Connection", "require"]

PROCESSES = "processes"
"""Capability: other processes can open the same database by its URL."""
ROWS = "rows"
"""Capability: its orders are rows of tables, which SQL can change behind the store's back."""


@dataclass(frozen=True, slots=True)
class Connection:
    """The six ports on one connection, started. No two connections share a lock, a cache or a writer."""

    store: Store
    workers: Workers
    ledger: Ledger
    sequence: SequencePort
    parking: Parking
    mailbox: Mailbox


class Backend(Protocol):
    """A database under test, empty at first; the fixture that made it closes all of its connections."""

    url: str | Sequence[str]
    """By which ``open_ports`` opens the same database, or databases, in another process."""

    shards: int
    """Into how many shards it is split, over all its databases."""

    capabilities: frozenset[str]
    """What it can do beyond the ports; a capability that is claimed and fails is a failed test."""

    async def connect(self) -> Connection:
        """Open one more connection, independent of the others."""

    async def execute(self, sql: str) -> None:
        """Run a statement in the user's own tables, outside of the store, and commit it; in each of the databases."""

    async def fetch(self, sql: str) -> list[tuple[Any, ...]]:
        """Read the user's own tables as committed last, in the database where the orders of user ``u`` are."""


def require(backend: Backend, capability: str) -> None:
    """Skip the test on a backend that does not claim this capability."""
    if capability not in backend.capabilities:
        pytest.skip(f"this backend does not claim the capability {capability!r}")
