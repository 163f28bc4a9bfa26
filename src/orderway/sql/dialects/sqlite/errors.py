"""Where the errors of the driver become ours."""

from __future__ import annotations

import sqlite3

from orderway.errors import DeliveryFailed, MissingRights, OrderwayError, Unavailable
from orderway.sql.steps import Duplicate, Failed, Refused

__all__ = [
    "BAD_VALUE",
    "is_environment",
    "is_read_only",
    "may_not_write",
    "refused_statement",
    "translated",
    "unavailable",
]

BAD_VALUE = (OverflowError, UnicodeError, TypeError, sqlite3.InterfaceError, sqlite3.DataError)
"""What the driver raises for values that SQLite cannot hold: too long, beyond 64 bits, lone surrogates."""

# Primary result codes that say nothing about the statement, only about the file, the disk or the memory.
_ENVIRONMENT = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_NOTADB,
}

_DUPLICATE = {sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_UNIQUE}


def is_environment(error: BaseException | None) -> bool:
    """True if the database as a whole did not answer, whatever the statement was."""
    if not isinstance(error, sqlite3.Error):
        return False
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # raised by the driver itself, for instance for a closed connection
        return not isinstance(error, BAD_VALUE)
    return code & 0xFF in _ENVIRONMENT


def translated(error: BaseException) -> Failed | Refused:
    """What an error of the driver means to the steps of a transaction."""
    if is_environment(error):
        failed = Failed(str(error))
        failed.__cause__ = error
        return failed
    if getattr(error, "sqlite_errorcode", None) in _DUPLICATE:
        return Duplicate(str(error))
    return Refused(str(error))


def is_read_only(error: BaseException) -> bool:
    """True if we may not write to the file: not if another one was put in its place."""
    code = getattr(error.__cause__ or error, "sqlite_errorcode", 0)
    return code & 0xFF == sqlite3.SQLITE_READONLY and code != sqlite3.SQLITE_READONLY_DBMOVED


def may_not_write(error: BaseException, where: str = "SQLite", order_id: str | None = None) -> MissingRights:
    """The user that this process runs as lacks a right, and nothing was done."""
    return MissingRights(
        f"{where} may not be written to, nothing was done: {error}. Let the user of this process write to the file, to"
        " its folder, and to the files beside it (-wal, -shm, -lock)",
        order_id=order_id,
    )


def unavailable(error: BaseException, order_id: str | None = None) -> Unavailable:
    """The database did not answer, and nothing was done."""
    if is_read_only(error):
        return may_not_write(error, order_id=order_id)
    return Unavailable(f"SQLite did not answer, nothing was done: {error}", order_id=order_id)


def refused_statement(sql: str, error: BaseException) -> OrderwayError:
    """A statement of the user's own failed."""
    return unavailable(error) if is_environment(error) else DeliveryFailed(f"{error}, in: {sql}")
