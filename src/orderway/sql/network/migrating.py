"""A database over a network whose tables are to be changed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from sqlalchemy import Connection, Table
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from orderway.errors import ConfigError, MissingRights, Unavailable
from orderway.sql.network.link import Link, Server
from orderway.sql.network.schema import SCHEMA_LOCK
from orderway.sql.steps import Busy, Conflict, Failed, Refused

__all__ = ["NetworkPlace"]

T = TypeVar("T")


class NetworkPlace:
    """See ``orderway.sql.migrating.Place``. Each change commits by itself, so that none holds up others for long.

    Args:
        server: how the database is reached.
        engine: makes SQLAlchemy's way to the same database, once the server was asked what it is.
        patience: statements after which the session gives up on a table that others do not let go of: a change that
            waits has everybody behind it wait too.
        wait_s: how long to wait for whoever else is making or changing tables.
    """

    def __init__(
        self,
        server: Server,
        engine: Callable[[], AsyncEngine],
        patience: Sequence[str],
        *,
        wait_s: float = 10.0,
    ) -> None:
        self._server = server
        self._engine = engine
        self._patience = patience
        self._wait_s = wait_s

    @property
    def where(self) -> str:
        """Where it is, for messages."""
        return self._server.where

    async def look(self, work: Callable[[Connection], T], reads: Sequence[Table] = ()) -> T:
        """Have something done that changes nothing."""
        async with self._link() as link:
            try:
                return await self._run(work)
            except DBAPIError as error:
                raise await self._unreadable(link, reads) or self._told(error) from error

    async def change(self, work: Callable[[Connection], T]) -> T:
        """Have something done under the lock of whoever changes tables."""
        async with self._link() as link:
            try:
                await link.lock(SCHEMA_LOCK, self._wait_s)
            except (Busy, Failed) as error:
                raise Unavailable(
                    f"{self.where}: somebody else is changing its tables, nothing was done, try again: {error}"
                ) from error
            try:
                return await self._run(work)
            except DBAPIError as error:
                raise self._told(error) from error
            finally:
                with suppress(Failed):  # then the lock has gone with its session
                    await link.unlock(SCHEMA_LOCK)

    @asynccontextmanager
    async def _link(self) -> AsyncIterator[Link]:
        """A connection of our own: it says what the server is, and its session holds the lock."""
        try:
            link = await self._server.connect(None)
        except Failed as error:
            raise Unavailable(f"{self.where} did not answer, nothing was done: {error}") from error
        try:
            yield link
        finally:
            await link.close()

    async def _run(self, work: Callable[[Connection], T]) -> T:
        engine = self._engine()
        try:
            async with engine.connect() as plain:
                connection = await plain.execution_options(isolation_level="AUTOCOMMIT")
                for statement in self._patience:
                    await connection.exec_driver_sql(statement)
                return await connection.run_sync(work)
        finally:
            await engine.dispose()

    async def _unreadable(self, link: Link, tables: Sequence[Table]) -> MissingRights | None:
        """Which of these tables our user may not read; None if that is not what was refused."""
        try:
            found = await link.perform(self._server.rights(tables))
        except (Failed, Refused, Conflict):
            return None
        names = ", ".join(found.missing["SELECT"])
        grants = "; ".join(f"GRANT SELECT ON {name} TO {found.user}" for name in found.missing["SELECT"])
        words = f"{self.where}: the user {found.user} may not read {names}. To grant it: {grants}"
        return MissingRights(words) if names else None

    def _told(self, error: DBAPIError) -> ConfigError | Unavailable:
        if error.connection_invalidated:
            return Unavailable(
                f"{self.where} did not answer: {error.orig}; what was done stays done, and `orderway migrate` goes on"
            )
        return ConfigError(
            f"{self.where} refused: {error.orig}; what was done stays done. Run `orderway migrate` again when it can be"
            " done, as a user who may make and change tables"
        )
