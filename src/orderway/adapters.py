"""Adapters by URL: the only place that knows them. Each is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orderway.errors import ConfigError
from orderway.ports.ledger import Ledger
from orderway.ports.parking import Parking
from orderway.ports.sequence import Sequence
from orderway.ports.store import Store
from orderway.ports.workers import Workers

if TYPE_CHECKING:
    from orderway.memory import MemoryDatabase

__all__ = ["Ports", "memory_ports", "open_ports", "ports_for"]


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports over one database."""

    store: Store
    workers: Workers
    ledger: Ledger
    sequence: Sequence
    parking: Parking

    async def start(self) -> None:
        """Open the database; see ``Store.start``."""
        await self.store.start()

    async def close(self) -> None:
        """Finish what was accepted, and close it. Idempotent."""
        await self.store.close()


async def open_ports(url: str, *, shards: int | None = 1, **options: Any) -> Ports:
    """The ports for a URL, started. See ``ports_for``."""
    ports = ports_for(url, shards=shards, **options)
    await ports.start()
    return ports


def ports_for(url: str, *, shards: int | None = 1, **options: Any) -> Ports:
    """The ports for a URL, not started yet.

    Args:
        url: ``sqlite:///relative.db``, ``sqlite:////absolute.db``, or ``memory://`` (a fresh one each time).
        shards: how many shards a database has; None for as many as there are in it.
        options: of the database, for instance ``lock_timeout_s``.

    Raises:
        ConfigError: no database goes by this URL.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in _SCHEMES:
        allowed = ", ".join(f"{name}://" for name in sorted(_SCHEMES))
        raise ConfigError(f"{url!r} is no database that Orderway knows: {allowed} are allowed")
    return _SCHEMES[scheme](url, rest, shards, options)


def _sqlite(url: str, rest: str, shards: int | None, options: dict[str, Any]) -> Ports:
    from orderway.sql.dialects.sqlite import SqliteDatabase
    from orderway.sql.ledger import SqlLedger
    from orderway.sql.parking import SqlParking
    from orderway.sql.sequence import SqlSequence
    from orderway.sql.store import SqlStore
    from orderway.sql.workers import SqlWorkers

    path = rest.removeprefix("/")
    if not rest.startswith("/") or not path or path == ":memory:":
        raise ConfigError(
            f"{url!r} names no file: sqlite:///relative.db or sqlite:////absolute.db are allowed, and memory://"
            " where nothing needs to be kept"
        )
    database = SqliteDatabase(path, shards=shards, **options)
    return Ports(
        SqlStore(database), SqlWorkers(database), SqlLedger(database), SqlSequence(database), SqlParking(database)
    )


def _memory(url: str, rest: str, shards: int | None, options: dict[str, Any]) -> Ports:
    from orderway.memory import MemoryDatabase

    if rest or options:
        raise ConfigError(f"{url!r}: only memory:// is allowed, without a name and without options")
    return memory_ports(MemoryDatabase(shards=1 if shards is None else shards))


def memory_ports(database: MemoryDatabase) -> Ports:
    """The ports over a database in memory: for tests, where several Apps share one, or look at its ``goods``."""
    from orderway.memory import MemoryLedger, MemoryParking, MemorySequence, MemoryStore, MemoryWorkers

    return Ports(
        MemoryStore(database),
        MemoryWorkers(database),
        MemoryLedger(database),
        MemorySequence(database),
        MemoryParking(database),
    )


_SCHEMES: dict[str, Callable[[str, str, int | None, dict[str, Any]], Ports]] = {"memory": _memory, "sqlite": _sqlite}
