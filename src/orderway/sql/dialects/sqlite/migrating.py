"""A SQLite file whose tables are to be changed."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Table, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from orderway.errors import ConfigError, Unavailable
from orderway.sql.dialects.sqlite.connect import connect
from orderway.sql.dialects.sqlite.lock import FileLock, LockTimeout
from orderway.sql.schema import NoTables

__all__ = ["SqlitePlace"]

T = TypeVar("T")


class SqlitePlace:
    """See ``orderway.sql.migrating.Place``. A change is one transaction: all of it is done, or nothing.

    Args:
        path: the file.
        wait_s: how long to wait for whoever writes.
    """

    def __init__(self, path: str | Path, *, wait_s: float = 10.0) -> None:
        self._path = Path(path).absolute()
        self._wait_s = wait_s

    @property
    def where(self) -> str:
        """Where it is, for messages."""
        return str(self._path)

    async def look(self, work: Callable[[Connection], T], reads: Sequence[Table] = ()) -> T:
        """Have something done that changes nothing."""
        if not self._path.exists():
            raise NoTables(f"there is no database {self._path}: is the path right? `orderway migrate` makes it")
        return await asyncio.to_thread(self._run, self._open_to_read, work, "BEGIN", "ROLLBACK")

    async def change(self, work: Callable[[Connection], T]) -> T:
        """Have something done under the lock of whoever writes."""
        return await asyncio.to_thread(self._locked, work)

    def _locked(self, work: Callable[[Connection], T]) -> T:
        if not self._path.parent.is_dir():
            raise ConfigError(f"there is no folder {self._path.parent}: make it first")
        lock = FileLock(self._path.with_name(self._path.name + "-lock"))
        try:
            lock.acquire(self._wait_s)
            try:
                return self._run(self._open, work, "BEGIN IMMEDIATE", "COMMIT")
            finally:
                lock.release()
        except LockTimeout as error:
            raise Unavailable(f"{error}: nothing was done, try again") from error
        finally:
            lock.close()

    def _run(
        self, opened: Callable[[], sqlite3.Connection], work: Callable[[Connection], T], begin: str, end: str
    ) -> T:
        engine = create_engine("sqlite://", creator=opened, poolclass=NullPool)
        try:
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql(begin)
                try:
                    result = work(connection)
                except BaseException:
                    connection.exec_driver_sql("ROLLBACK")
                    raise
                connection.exec_driver_sql(end)
                return result
        except (DBAPIError, sqlite3.Error) as error:
            problem = error.orig if isinstance(error, DBAPIError) else error
            raise ConfigError(f"{self._path}: {problem}; nothing was changed") from error
        finally:
            engine.dispose()

    def _open(self) -> sqlite3.Connection:
        return connect(self._path, busy_timeout_s=self._wait_s)

    def _open_to_read(self) -> sqlite3.Connection:
        return sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True, check_same_thread=False)
