"""Where the errors of the driver become ours."""

from __future__ import annotations

import sqlite3

from orderway.errors import DeliveryFailed, InvalidValue, OrderwayError, Unavailable

__all__ = ["BAD_VALUE", "Mismatch", "is_environment", "refused_statement", "refused_value", "unavailable"]

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


class Mismatch(Exception):
    """A group of operations did not touch the rows that it should: at least one of them is refused."""


def is_environment(error: BaseException | None) -> bool:
    """True if the database as a whole did not answer, whatever the statement was."""
    if not isinstance(error, sqlite3.Error):
        return False
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # raised by the driver itself, for instance for a closed connection
        return not isinstance(error, BAD_VALUE)
    return code & 0xFF in _ENVIRONMENT


def unavailable(error: BaseException, order_id: str | None = None) -> Unavailable:
    """The database did not answer, and nothing was done."""
    return Unavailable(f"SQLite did not answer, nothing was done: {error}", order_id=order_id)


def refused_value(error: BaseException, order_id: str | None = None) -> OrderwayError:
    """One operation's own fault: a value that does not fit."""
    return InvalidValue(f"SQLite refused a value: {error}", order_id=order_id)


def refused_statement(sql: str, error: BaseException) -> OrderwayError:
    """A statement of the user's own failed."""
    return unavailable(error) if is_environment(error) else DeliveryFailed(f"{error}, in: {sql}")
