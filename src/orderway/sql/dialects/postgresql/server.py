"""How a PostgreSQL server is reached: the URL, and what every session begins with."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orderway.errors import ConfigError
from orderway.sql.dialects.postgresql.dialect import POSTGRESQL
from orderway.sql.dialects.postgresql.rights import rights
from orderway.sql.dialects.postgresql.url import read_url
from orderway.sql.steps import Steps

if TYPE_CHECKING:
    import asyncpg
    from sqlalchemy import Table

    from orderway.sql.dialects.postgresql.link import PostgresqlLink
    from orderway.sql.rights import Rights

__all__ = ["LOCK_TIMEOUT", "PostgresqlServer"]

LOCK_TIMEOUT = "2s"

_SETTINGS = {
    "application_name": "orderway",
    "default_transaction_isolation": "read committed",
    "timezone": "UTC",
    # Who waits longer for a row stands in the way of everybody behind: what is locked is refused alone.
    "lock_timeout": LOCK_TIMEOUT,
    # Statements are prepared once, often on empty tables: a plan made then must be right for full ones, too.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    # A process that is gone without a word must not keep its locks for hours.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}

_DURABLE = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
"""Where the server forgets commits in a crash by default. Any other value of the server's own stays as it is."""
_LOOKS = 16
"""At whether a session stays ours: a pooler gives sessions in an order of its own, and others use them meanwhile."""
_OLDEST = 12


class PostgresqlServer:
    """A database on a PostgreSQL server; see ``orderway.sql.network.link.Server``.

    Args:
        url: ``postgresql://user:password@host:port/name``, or ``postgres://``; reserved characters are percent-encoded.
            Options are the driver's, for instance ``sslmode=verify-full``, and a few settings of the session, for
            instance ``application_name=shop``. Of several servers
            (``host1:5432,host2:5432/name?target_session_attrs=read-write``) it is the one that takes writes.

    Raises:
        ConfigError: the URL is not of this form, a file that it names cannot be read, or the driver is not installed.
    """

    dialect = POSTGRESQL
    find_meta = "SELECT 1 FROM pg_class WHERE oid = to_regclass('ow_meta')"
    list_tables = (
        "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND starts_with(relname, 'ow_') AND"
        " pg_table_is_visible(oid)"
    )

    def __init__(self, url: str) -> None:
        try:
            from orderway.sql.dialects.postgresql import link  # noqa: F401 brings the driver
        except ModuleNotFoundError as error:
            raise ConfigError(f"{error.name} is missing: pip install 'orderway[postgresql]'") from error
        self._read = read_url(url)
        self.url = url
        self.where = self._read.where
        self._has_whole_sessions = False

    def rights(self, tables: Sequence[Table]) -> Steps[Rights]:
        """See what our user may not do with these tables; see ``Server.rights``."""
        return rights(tables)

    async def connect(self, epoch: int | None, idle_s: int = 0) -> PostgresqlLink:
        """Open a connection; see ``Server.connect``."""
        from orderway.sql.dialects.postgresql.errors import DRIVER_ERRORS, refusal, translated
        from orderway.sql.dialects.postgresql.link import PostgresqlLink, lock_key

        name = secrets.token_hex(15)
        idle = {"idle_in_transaction_session_timeout": f"{idle_s}s"} if idle_s else {}
        settings = _SETTINGS | self._read.own_name | idle
        try:
            connection = await self._open(settings)
        except DRIVER_ERRORS as error:
            problem = refusal(error, self._read)
            raise problem from (None if isinstance(problem, ConfigError) else error)
        try:
            await self._take_session(connection, lock_key(name), settings)
        except DRIVER_ERRORS as error:
            connection.terminate()
            raise translated(error) from error
        except BaseException:
            connection.terminate()
            raise
        version = connection.get_server_version()
        if version.major < _OLDEST:
            connection.terminate()
            raise ConfigError(
                f"{self.where} is PostgreSQL {version.major}.{version.minor}: {_OLDEST} or later is needed"
            )
        return PostgresqlLink(connection, name, epoch)

    async def _open(self, settings: Mapping[str, str]) -> asyncpg.Connection[Any]:
        import asyncpg

        cache = {"statement_cache_size": 2048, "max_cached_statement_lifetime": 0, "max_cacheable_statement_size": 0}
        try:
            return await asyncpg.connect(self.url, server_settings=dict(settings), **cache)
        except asyncpg.ProtocolViolationError:  # a pooler that takes no settings from its clients
            return await asyncpg.connect(self.url, **cache)

    async def _take_session(self, connection: asyncpg.Connection[Any], lock: int, settings: Mapping[str, str]) -> None:
        """Make a session durable, and take the lock that it is known by. Nothing is done to one that is not ours alone.

        Raises:
            ConfigError: a pooler gives this session to others, too.
        """
        is_direct = f"pg_backend_pid() = {connection.get_server_pid()}"
        take = f"{_DURABLE} AND {is_direct}; SELECT pg_advisory_lock({lock}) WHERE {is_direct}"
        if await connection.execute(take) == "SELECT 1":
            return
        if not self._has_whole_sessions and await self._is_shared(connection):
            raise ConfigError(
                f"{self.where} is a pooler that gives one session to several clients, and the sessions of Orderway hold"
                " locks for their whole life: give the address of the server itself, or of a pool of whole sessions"
                " (PgBouncer: pool_mode = session)"
            )
        self._has_whole_sessions = True
        quoted = {name: value.replace("'", "''") for name, value in settings.items()}
        await connection.execute("; ".join([f"SET {name} = '{value}'" for name, value in quoted.items()]))
        await connection.execute(f"{_DURABLE}; SELECT pg_advisory_lock({lock})")

    async def _is_shared(self, connection: asyncpg.Connection[Any]) -> bool:
        """Whether the pooler behind a connection gives its session to another one as well. Changes neither session."""
        import asyncpg

        other = await asyncpg.connect(self.url, statement_cache_size=0)
        try:
            try:
                async with other.transaction():  # which is in one session, whatever the pooler does
                    number = await other.fetchval("SELECT pg_backend_pid()")
            except asyncpg.PostgresError as error:
                if "statement pooling" not in str(error):
                    raise
                return True
            is_it = f"SELECT 1 WHERE pg_backend_pid() = {number}"
            for _ in range(_LOOKS):
                if await other.execute(is_it) != "SELECT 1" or await connection.execute(is_it) != "SELECT 0":
                    return True
            return False
        finally:
            other.terminate()
