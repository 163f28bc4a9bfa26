"""Making the tables of a new database, and checking those of an old one."""

from __future__ import annotations

import asyncio

from orderway.errors import ConfigError, Unavailable
from orderway.sql.database import Tables
from orderway.sql.network.link import Link, Server
from orderway.sql.refusals import missing_rights
from orderway.sql.schema import READ_META, Expected, NoTables, Stored, check, check_begun, meta_insert, table_statements
from orderway.sql.steps import Busy, Conflict, Failed, Forbidden, Read, Refused, first_value

__all__ = ["SCHEMA_LOCK", "prepare"]

SCHEMA_LOCK = "orderway schema"
"""Of whoever makes or changes tables: in some databases each statement that does so commits by itself."""

_TOGETHER = 50
"""So many statements in one trip; each table is locked until the end of it, and a server has only so many locks."""


async def prepare(server: Server, expected: Expected, create: bool, wait_s: float) -> Stored:
    """Make the tables if there are none, else check that this package and set-up fit them.

    Safe when several processes start at once; and again after it was ended half way, since ``ow_meta`` is filled last.

    Raises:
        NoTables: there are none, and none are to be made.
        ConfigError: the database refuses us, or is not as it should be; SchemaTooNew, MissingRights.
        Unavailable: it does not answer.
    """
    try:
        async with asyncio.timeout(wait_s):
            link = await server.connect(None)
    except TimeoutError as error:
        raise Unavailable(f"{server.where} did not answer within {wait_s} s, nothing was done") from error
    except Failed as error:
        raise Unavailable(f"{server.where} did not answer, nothing was done: {error}") from error
    try:
        row = await _read(link, server)
        if row is None:
            if not create:
                raise NoTables(
                    f"{server.where} is no Orderway database: it has no tables of Orderway;"
                    f" {expected.migrate} makes them"
                )
            row = await _make(link, server, expected, wait_s)
        return check(row, expected, server.where)
    except (Failed, Conflict, Busy) as error:
        raise Unavailable(f"{server.where} did not answer: {error}") from error
    except Refused as error:
        raise ConfigError(
            f"{server.where}: its tables could not be made or read: {error}. Run {expected.migrate} as a user who may"
            " make tables"
        ) from error
    finally:
        await link.close()


async def _read(link: Link, server: Server) -> tuple[int, int, str] | None:
    if not await link.perform(first_value(Read(server.find_meta))):
        return None
    try:
        rows = await link.send([Read(READ_META)])
    except Forbidden as error:  # the tables are there, so nobody need make them
        raise missing_rights(error) from error
    return tuple(rows[0]) if rows else None


async def _make(link: Link, server: Server, expected: Expected, wait_s: float) -> tuple[int, int, str]:
    await link.lock(SCHEMA_LOCK, wait_s)
    try:
        row = await _read(link, server)  # another process may have been faster
        if row is None:
            shards = expected.to_make
            names = await link.send([Read(server.list_tables)])
            check_begun((name for (name,) in names), shards, expected.number, server.where)
            tables = Tables(shards.of_database(expected.number))
            statements = table_statements(tables, server.dialect.sqlalchemy)
            for first in range(0, len(statements), _TOGETHER):
                await link.script(";\n".join(statements[first : first + _TOGETHER]))
            await link.script(meta_insert(shards, expected.number))
            row = await _read(link, server)
        assert row is not None
        return row
    finally:
        await link.unlock(SCHEMA_LOCK)
