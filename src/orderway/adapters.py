"""Adapters by URL: the only place that knows them. Each is imported when it is asked for."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orderway.anchored_clock import AnchoredClock
from orderway.errors import ConfigError
from orderway.ports.ledger import Ledger
from orderway.ports.mailbox import Mailbox
from orderway.ports.observer import Commits
from orderway.ports.parking import Parking
from orderway.ports.queue import Queue
from orderway.ports.sequence import Sequence as SequencePort
from orderway.ports.store import Store
from orderway.ports.workers import Workers
from orderway.system_clock import SystemClock

if TYPE_CHECKING:
    from orderway.memory import MemoryDatabase
    from orderway.sql.database import Database
    from orderway.sql.migrating import Place

__all__ = [
    "Ports",
    "databases_for",
    "is_in_database",
    "memory_ports",
    "open_ports",
    "places_for",
    "ports_for",
    "queue_for",
    "sql_ports",
    "started_queue",
    "where_of",
]


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports over one database."""

    store: Store
    workers: Workers
    ledger: Ledger
    sequence: SequencePort
    parking: Parking
    mailbox: Mailbox
    commits: Sequence[Commits] = ()
    """Where each database's group commits can be watched; none where there are none."""

    async def start(self) -> None:
        """Open the database; see ``Store.start``."""
        await self.store.start()

    async def close(self) -> None:
        """Finish what was accepted, and close it. Idempotent."""
        await self.store.close()

    async def now_us(self) -> int:
        """The time in microseconds since 1970 as the database has it: this machine's clock may be set wrong.

        Raises:
            Unavailable: the database does not answer.
        """
        return await self.workers.now_us() or SystemClock().now_us()

    async def clock(self) -> AnchoredClock:
        """A clock that has asked the database for its time once; this machine's own if the database does not answer."""
        clock = AnchoredClock(SystemClock())
        await clock.measure(self.workers.now_us)
        return clock


async def open_ports(urls: str | Sequence[str], *, shards: int | None = None, **options: Any) -> Ports:
    """The ports for a URL, or for several; started. See ``ports_for``."""
    ports = ports_for(urls, shards=shards, **options)
    await ports.start()
    return ports


def ports_for(urls: str | Sequence[str], *, shards: int | None = None, **options: Any) -> Ports:
    """The ports for a database, or for several that the orders are spread over; not started yet.

    Args:
        urls: ``sqlite:///relative.db``, ``sqlite:////absolute.db``, ``postgresql://user:password@host/name``,
            ``mysql://...`` (or ``mariadb://...``), or ``memory://`` (a fresh one each time). Several in the order in
            which they were first given: the shard map, stored in each, names them by number.
        shards: into how many tables the orders are spread, over all databases; None for as many as there are, and one
            in each new database.
        options: of each database, for instance ``lock_timeout_s``.

    Raises:
        ConfigError: no database goes by this URL, or the shards cannot be spread over so many.
    """
    each = [urls] if isinstance(urls, str) else list(urls)
    parsed = _schemes_of(each)
    if any(scheme == "memory" for scheme, _ in parsed):
        return _memory(each, shards, options)
    return sql_ports(databases_for(each, shards=shards, **options))


def databases_for(urls: Sequence[str], *, shards: int | None = None, **options: Any) -> list[Database]:
    """The databases with these URLs, which together hold the orders; not started yet. As ``ports_for``, but memory."""
    from orderway.sql.schema import Expected
    from orderway.sql.shards import ShardMap

    wanted = None if shards is None else ShardMap.even(shards, len(urls))
    return [
        _DATABASES[scheme](url, rest, expected=Expected(wanted, number, len(urls)), **options)
        for number, (url, (scheme, rest)) in enumerate(zip(urls, _schemes_of(urls), strict=True))
    ]


def where_of(url: str) -> str:
    """Where the database of a URL is, without its user and password. Connects to nothing, and needs no extra.

    Raises:
        ConfigError: the URL is not of its form, or an option is wrong; says what, without the password.
    """
    scheme, _ = _scheme_of(url)
    return _WHERE[scheme](url)


def sql_ports(databases: Sequence[Database]) -> Ports:
    """The ports over these databases, which together hold the orders; not started yet."""
    from orderway.sql.cluster import Cluster
    from orderway.sql.ledger import SqlLedger
    from orderway.sql.mailbox import SqlMailbox
    from orderway.sql.parking import SqlParking
    from orderway.sql.sequence import SqlSequence
    from orderway.sql.store import SqlStore
    from orderway.sql.workers import SqlWorkers

    cluster = Cluster(databases)
    return Ports(
        SqlStore(cluster),
        SqlWorkers(cluster),
        SqlLedger(cluster),
        SqlSequence(cluster),
        SqlParking(cluster),
        SqlMailbox(cluster),
        commits=cluster.databases,
    )


def _schemes_of(urls: Sequence[str]) -> list[tuple[str, str]]:
    """What stands before :// in each URL, and what behind."""
    if not urls:
        raise ConfigError("no database was given: at least one URL is needed")
    found = [_scheme_of(url) for url in urls]
    if len(set(urls)) != len(urls):
        raise ConfigError("a database was given twice: each has its own part of the orders")
    return found


def _scheme_of(url: str) -> tuple[str, str]:
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in _DATABASES:
        allowed = ", ".join(f"{name}://" for name in sorted(_DATABASES))
        shown = _shown(scheme) if separator else _HIDDEN
        raise ConfigError(
            f"{shown} is no database that Orderway knows: {allowed} are allowed, with what is special in a password"
            " percent-encoded, a space as %20"
        )
    return scheme, rest


def _shown(scheme: str) -> str:
    """What should be a scheme, for messages: hidden where it is no word, for it may be a part of a password."""
    return repr(scheme) if re.fullmatch(r"[a-z][a-z+]{0,19}", scheme) else _HIDDEN


def _sqlite(url: str, rest: str, **options: Any) -> Database:
    from orderway.sql.dialects.sqlite import SqliteDatabase

    return SqliteDatabase(_path_of(url), **options)


def _path_of(url: str) -> str:
    from orderway.sql.dialects.sqlite.url import read_url

    return read_url(url)


def _postgresql(url: str, rest: str, **options: Any) -> Database:
    from orderway.sql.dialects.postgresql import PostgresqlServer
    from orderway.sql.network.database import NetworkDatabase

    return NetworkDatabase(PostgresqlServer(url), **options)


def _mysql(url: str, rest: str, **options: Any) -> Database:
    from orderway.sql.dialects.mysql import MysqlServer
    from orderway.sql.network.database import NetworkDatabase

    return NetworkDatabase(MysqlServer(url), **options)


def _memory(urls: Sequence[str], shards: int | None, options: dict[str, Any]) -> Ports:
    from orderway.memory import MemoryDatabase

    if list(urls) != ["memory://"] or options:
        raise ConfigError("only memory:// is allowed, without a name, other databases or options")
    return memory_ports(MemoryDatabase(shards=1 if shards is None else shards))


def _no_database(url: str, rest: str, **options: Any) -> Database:
    raise ConfigError("memory:// is gone with its process: give the URL of a database that is kept")


def _sqlite_where(url: str) -> str:
    return str(Path(_path_of(url)).absolute())


def _postgresql_where(url: str) -> str:
    from orderway.sql.dialects.postgresql.url import read_url

    return read_url(url).where


def _mysql_where(url: str) -> str:
    from orderway.sql.dialects.mysql.url import read_url

    return read_url(url).where


def _memory_where(url: str) -> str:
    if url != "memory://":
        raise ConfigError("only memory:// is allowed, without a name")
    return url


def places_for(urls: Sequence[str], **options: Any) -> list[Place]:
    """The databases with these URLs, as places whose tables are to be changed; see ``orderway.sql.migrating``.

    Args:
        urls: as for ``ports_for``.
        options: of each, for instance ``wait_s``, how long to wait for whoever else is changing its tables.

    Raises:
        ConfigError: there is no such database, or no tables in it; an extra is missing.
    """
    return [_PLACES[scheme](url, rest, **options) for url, (scheme, rest) in zip(urls, _schemes_of(urls), strict=True)]


def _sqlite_place(url: str, rest: str, **options: Any) -> Place:
    from orderway.sql.dialects.sqlite.migrating import SqlitePlace

    return SqlitePlace(_path_of(url), **options)


def _postgresql_place(url: str, rest: str, **options: Any) -> Place:
    from orderway.sql.dialects.postgresql.migrating import postgresql_place

    return postgresql_place(url, **options)


def _mysql_place(url: str, rest: str, **options: Any) -> Place:
    from orderway.sql.dialects.mysql.migrating import mysql_place

    return mysql_place(url, **options)


def _no_place(url: str, rest: str, **options: Any) -> Place:
    raise ConfigError("memory:// has no tables: nothing is to be made or changed")


def queue_for(queue: str | Queue, ports: Ports) -> Queue:
    """The queue for a URL; not started yet.

    Args:
        queue: ``store`` for the one in the orders' own database, ``pulsar://host:6650/tenant/namespace/topic``,
            ``amqp://user:password@host/vhost?queue=name``, or a ``Queue`` that is given back as it is.
        ports: of that database.

    Raises:
        ConfigError: no queue goes by this URL, or its extra is missing.
    """
    if not isinstance(queue, str):
        return queue
    scheme, separator, _ = queue.partition("://")
    if scheme not in _QUEUES or bool(separator) == (scheme == _IN_DATABASE):
        allowed = ", ".join(name if name == _IN_DATABASE else f"{name}://" for name in sorted(_QUEUES))
        raise ConfigError(f"{_shown(scheme)} is no queue that Orderway knows: {allowed} are allowed")
    return _QUEUES[scheme](queue, ports)


def is_in_database(queue: str | Queue) -> bool:
    """Whether the queue is in the orders' own database, so that this must be open."""
    return queue == _IN_DATABASE


@asynccontextmanager
async def started_queue(queue: str | Queue, ports: Ports) -> AsyncIterator[Queue]:
    """The queue for a URL, started, to be looked at, and closed in the end; by the database's time if it is in one.

    Arguments and errors as ``queue_for``.
    """
    opened = queue_for(queue, ports)
    await opened.start(await ports.clock())
    try:
        yield opened
    finally:
        await opened.close()


def _store_queue(url: str, ports: Ports) -> Queue:
    from orderway.queues.store import StoreQueue

    return StoreQueue(ports.mailbox, "the orders' own database")


def _pulsar(url: str, ports: Ports) -> Queue:
    from orderway.queues.pulsar import PulsarQueue

    return PulsarQueue.from_url(url)


def _rabbitmq(url: str, ports: Ports) -> Queue:
    from orderway.queues.rabbitmq import RabbitmqQueue

    return RabbitmqQueue.from_url(url)


def memory_ports(database: MemoryDatabase) -> Ports:
    """The ports over a database in memory: for tests, where several Apps share one, or look at its ``goods``."""
    from orderway.memory import MemoryLedger, MemoryMailbox, MemoryParking, MemorySequence, MemoryStore, MemoryWorkers

    return Ports(
        MemoryStore(database),
        MemoryWorkers(database),
        MemoryLedger(database),
        MemorySequence(database),
        MemoryParking(database),
        MemoryMailbox(database),
    )


_DATABASES: dict[str, Callable[..., Database]] = {
    "mariadb": _mysql,
    "memory": _no_database,
    "mysql": _mysql,
    "postgres": _postgresql,
    "postgresql": _postgresql,
    "sqlite": _sqlite,
}
_QUEUES: dict[str, Callable[[str, Ports], Queue]] = {
    "amqp": _rabbitmq,
    "amqps": _rabbitmq,
    "pulsar": _pulsar,
    "pulsar+ssl": _pulsar,
    "store": _store_queue,
}
_IN_DATABASE = "store"
_HIDDEN = "what was given"
_WHERE: dict[str, Callable[[str], str]] = {
    "mariadb": _mysql_where,
    "memory": _memory_where,
    "mysql": _mysql_where,
    "postgres": _postgresql_where,
    "postgresql": _postgresql_where,
    "sqlite": _sqlite_where,
}
_PLACES: dict[str, Callable[..., Place]] = {
    "mariadb": _mysql_place,
    "memory": _no_place,
    "mysql": _mysql_place,
    "postgres": _postgresql_place,
    "postgresql": _postgresql_place,
    "sqlite": _sqlite_place,
}
