"""The kinds of databases that are measured: how each is started, reached and looked after. No other file knows them."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.engine import Dialect

from bench.servers.plain import Plain, connect_mysql, connect_postgresql, connect_sqlite
from orderway.testing.servers import MariadbServer, PostgresqlServer, RedisServer

__all__ = ["KINDS", "Kind", "Running", "running"]

BEST_ON_DISK = Path("/var/tmp")
"""/tmp may be memory, where a commit costs nothing; and the servers' own accounts must get there."""

# All else as the servers come, so that no contestant is favoured; both durable at each commit (see orderway.testing).
POSTGRESQL = {
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "max_connections": "400",
    "max_locks_per_transaction": "256",  # to make 1,000 shards in one transaction
}
MARIADB = {
    "innodb_buffer_pool_size": "512M",
    "innodb_log_file_size": "512M",
    "max_connections": "400",
    "table_open_cache": "10000",  # of 1,000 shards
    "table_definition_cache": "10000",
    "innodb_open_files": "10000",
    "open_files_limit": "32768",
}


class Databases(Protocol):
    """A place where databases can be made."""

    def new_database(self) -> str:
        """Make one; returns its URL."""

    def drop(self, url: str) -> None:
        """Drop it."""


class SqliteFiles:
    """SQLite has no server: a folder will do.

    Args:
        folder: on the disk that is to be measured.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    @contextmanager
    def in_folder(cls, folder: Path) -> Iterator[Self]:
        """Nothing is to be started."""
        yield cls(folder)

    def new_database(self) -> str:
        """A file that is not there yet."""
        return f"sqlite:///{self._folder / secrets.token_hex(6)}.db"

    def drop(self, url: str) -> None:
        """Remove the file and what SQLite keeps beside it."""
        path = Path(url.removeprefix("sqlite:///"))
        for each in path.parent.glob(f"{path.name}*"):
            each.unlink()


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of database.

    Args:
        start: starts a private server; in a folder that was made for it.
        connect: a plain connection.
        dialect: SQLAlchemy's, to print statements for it.
        version: a query for it.
        tidy: what an administrator's server does by itself after many rows were added; ``{table}`` is one of them.
    """

    start: Callable[[Path], AbstractContextManager[Databases]]
    connect: Callable[[str], Awaitable[Plain]]
    dialect: Dialect
    version: str
    tidy: str


KINDS = {
    "sqlite": Kind(
        start=SqliteFiles.in_folder,
        connect=connect_sqlite,
        dialect=sqlite.dialect(),
        version="SELECT 'SQLite ' || sqlite_version()",
        tidy="ANALYZE {table}",
    ),
    "mariadb": Kind(
        start=lambda _: MariadbServer(MARIADB),
        connect=connect_mysql,
        dialect=mysql.dialect(is_mariadb=True),
        version="SELECT concat('MariaDB ', version())",
        tidy="ANALYZE TABLE {table}",
    ),
    "postgresql": Kind(
        start=lambda _: PostgresqlServer(POSTGRESQL),
        connect=connect_postgresql,
        dialect=postgresql.dialect(),
        version="SELECT split_part(version(), ' (', 1)",
        tidy="VACUUM ANALYZE {table}",
    ),
}


@dataclass(frozen=True, slots=True)
class Running:
    """What was started.

    Args:
        databases: by kind.
        redis_url: of a Redis that keeps nothing on disk, as the original's.
        folder: for files.
    """

    databases: dict[str, Databases]
    redis_url: str
    folder: Path


@contextmanager
def running(kinds: Sequence[str], parent: Path | None = None) -> Iterator[Running]:
    """Start servers of these kinds, and a Redis; all are gone afterwards.

    Args:
        kinds: of ``KINDS``.
        parent: where they keep their data, on the disk that is to be measured. Other accounts must get there: as root,
            MariaDB and PostgreSQL run under accounts of their own.

    Raises:
        ServerUnavailable: one did not start; says what to install, or the end of its log.
    """
    with ExitStack() as stack:
        temporary = tempfile.TemporaryDirectory(dir=parent or BEST_ON_DISK, prefix="orderway-bench-")
        folder = Path(stack.enter_context(temporary))
        folder.chmod(0o711)
        with _temporary_files_in(folder):
            databases = {kind: stack.enter_context(KINDS[kind].start(folder)) for kind in kinds}
            redis = stack.enter_context(RedisServer(durable=False))
        yield Running(databases, redis.url, folder)


@contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    """The servers ask the standard library for their folders when they are started."""
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before
