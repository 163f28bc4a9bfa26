"""Where a machine runs: the database that its workers share, in memory or as a SQLite file."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from orderway.adapters import Ports, memory_ports, ports_for
from orderway.memory import MemoryDatabase

__all__ = ["Grounds", "MemoryGrounds", "SqliteGrounds"]

GOODS = "CREATE TABLE IF NOT EXISTS goods (order_id TEXT NOT NULL)"
"""Without a unique key: what is delivered twice shall show, not fail."""


class Grounds(Protocol):
    """One database. Each call of ``ports`` is another connection to it."""

    def ports(self) -> Ports:
        """Ports that are not started yet."""

    def prepare(self) -> None:
        """Make the table ``goods``, once the database exists."""

    def delivered(self) -> list[str]:
        """The order ids in ``goods``, one for each delivery."""

    def close(self) -> None:
        """Throw everything away."""


class MemoryGrounds:
    """A database in memory."""

    def __init__(self, shards: int = 1) -> None:
        self._database = MemoryDatabase(shards)

    def ports(self) -> Ports:
        """A further set of adapters on the same data."""
        return memory_ports(self._database)

    def prepare(self) -> None:
        """Make the table."""
        self._database.goods.execute(GOODS)

    def delivered(self) -> list[str]:
        """The order ids in ``goods``."""
        return [order_id for (order_id,) in self._database.goods.execute("SELECT order_id FROM goods")]

    def close(self) -> None:
        """Throw everything away."""
        self._database.goods.close()


class SqliteGrounds:
    """A SQLite file in a folder of its own."""

    def __init__(self, shards: int = 1) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="orderway-machine-")
        self._path = Path(self._folder.name) / "orders.db"
        self._shards = shards
        self._goods: sqlite3.Connection | None = None

    def ports(self) -> Ports:
        """Another set of adapters, with a writer thread of its own."""
        return ports_for(f"sqlite:///{self._path}", shards=self._shards)

    def prepare(self) -> None:
        """Make the table."""
        self._goods = sqlite3.connect(self._path, timeout=30, isolation_level=None)
        self._goods.execute(GOODS)

    def delivered(self) -> list[str]:
        """The order ids in ``goods``."""
        assert self._goods is not None, "prepare() comes first"
        return [order_id for (order_id,) in self._goods.execute("SELECT order_id FROM goods")]

    def close(self) -> None:
        """Throw everything away."""
        if self._goods is not None:
            self._goods.close()
        with contextlib.suppress(OSError):
            self._folder.cleanup()


OpenGrounds = Callable[[], Grounds]
