"""Where a machine runs: the databases that its workers share, in memory, as a SQLite file, or behind servers."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from orderway.adapters import Ports, memory_ports, ports_for
from orderway.core.order import Order
from orderway.memory import MemoryDatabase
from orderway.ports.ledger import Posting
from orderway.ports.store import Query
from orderway.testing.goods import Goods

__all__ = ["DatabaseGrounds", "Grounds", "MemoryGrounds", "SqliteGrounds"]

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

    async def rows(self, observer: Ports) -> Iterable[Order[Any]]:
        """All orders as stored; where it can be, one that has not changed is the same object as before."""

    async def new_postings(self, observer: Ports) -> list[Posting]:
        """The ledger's postings that this has not given before."""

    def close(self) -> None:
        """Throw everything away."""


class MemoryGrounds:
    """A database in memory."""

    def __init__(self, shards: int = 1) -> None:
        self._database = MemoryDatabase(shards)
        self._posted = 0

    def ports(self) -> Ports:
        """A further set of adapters on the same data."""
        return memory_ports(self._database)

    def prepare(self) -> None:
        """Make the table."""
        self._database.goods.execute(GOODS)

    def delivered(self) -> list[str]:
        """The order ids in ``goods``."""
        return [order_id for (order_id,) in self._database.goods.execute("SELECT order_id FROM goods")]

    async def rows(self, observer: Ports) -> Iterable[Order[Any]]:
        """The stored rows themselves: each change puts another one in its place."""
        return [row for shard in self._database.shards for row in shard.orders.values()]

    async def new_postings(self, observer: Ports) -> list[Posting]:
        """What was posted since."""
        new = [each.posting for each in self._database.posted[self._posted :]]
        self._posted += len(new)
        return new

    def close(self) -> None:
        """Throw everything away."""
        self._database.goods.close()


class _SqlGrounds:
    """What databases have in common: everything is read anew through the ports."""

    def __init__(self) -> None:
        self._given: set[tuple[str, str]] = set()

    async def rows(self, observer: Ports) -> Iterable[Order[Any]]:
        """The orders, read anew."""
        return (await observer.store.list(Query(limit=1000))).orders

    async def new_postings(self, observer: Ports) -> list[Posting]:
        """Read all, in the ledger's own order, which is not that of time."""
        new: list[Posting] = []
        cursor: str | None = None
        while True:
            page, cursor = await observer.ledger.postings(cursor, 1000)
            new += [each.posting for each in page if (each.posting.uid, each.posting.key) not in self._given]
            if cursor is None:
                break
        self._given |= {(posting.uid, posting.key) for posting in new}
        return new


class SqliteGrounds(_SqlGrounds):
    """A SQLite file in a folder of its own."""

    def __init__(self, shards: int = 1) -> None:
        super().__init__()
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


class DatabaseGrounds(_SqlGrounds):
    """Empty databases behind a server, which together hold the orders.

    Args:
        urls: where they are; whoever made them drops them.
        shards: into how many tables the orders are spread, over all of them.
    """

    def __init__(self, urls: Sequence[str], shards: int = 1) -> None:
        super().__init__()
        self._urls = urls
        self._shards = shards
        self._goods = Goods(urls)

    def ports(self) -> Ports:
        """Another set of adapters, with connections of its own."""
        return ports_for(self._urls, shards=self._shards)

    def prepare(self) -> None:
        """Make the table, in each of them."""
        self._goods.execute("CREATE TABLE IF NOT EXISTS goods (order_id VARCHAR(40) NOT NULL)")

    def delivered(self) -> list[str]:
        """The order ids in ``goods``."""
        return [order_id for (order_id,) in self._goods.execute("SELECT order_id FROM goods")]

    def close(self) -> None:
        """Disconnect."""
        self._goods.close()


OpenGrounds = Callable[[], Grounds]
