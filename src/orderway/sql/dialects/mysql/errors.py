"""Where the errors of the driver become ours."""

from __future__ import annotations

from asyncmy import errors

from orderway.sql.steps import Busy, Conflict, Duplicate, Failed, Forbidden, Refused

__all__ = ["DRIVER_ERRORS", "LOCK_TIMEOUT", "NEVER_SENT", "OUT_OF_RANGE", "REFUSES_US", "number_of", "translated"]

DRIVER_ERRORS = (errors.MySQLError, OSError)
"""What the driver raises."""

OUT_OF_RANGE = 1690
LOCK_TIMEOUT = 1205
NEVER_SENT = 2006
"""The connection was found closed before the packet had left."""

REFUSES_US = frozenset({1044, 1045, 1049, 1130, 1227, 1251, 1698, 1820, 1862, 2059, 3118, 3955, 4151})
"""At the start of a session: user, password, host, database, a way to log in that is not known."""

_GRANT = "GRANT SELECT, INSERT, UPDATE, DELETE ON the_database.* TO that user"
_FORBIDDEN = frozenset({1044, 1142, 1143, 1227, 1370})
"""In the middle of a session: a right on the database, a table, a column, the server, a routine."""
_DUPLICATE = frozenset({1022, 1062, 1169, 1586})
_CONFLICT = frozenset({1213, 1020, 1614})
"""A deadlock; a row that changed under a snapshot."""
_ENVIRONMENT = frozenset(
    {
        *(1021, 1037, 1038, 1041, 1114, 1135),  # disk, memory or table space is full
        *(1030, 1034, 1180, 1181, 1182, 1194, 1296),  # the storage engine failed
        *(1040, 1203, 1226),  # too many connections
        *(1047, 1053, 1077, 1079, 1317, 1927, 1969, 3024, 3169, 4031),  # shutting down, or this session was ended
        *(1152, 1153, 1154, 1155, 1156, 1157, 1158, 1159, 1160, 1161, 1184),  # the packet or the network
        *(1290, 1792, 1836),  # read-only: no longer the primary
    }
)
"""Numbers of errors that say nothing about the statement, only about the server, its disk or this session."""
_FIRST_OF_CLIENT, _LAST_OF_CLIENT = 2000, 2999


def number_of(error: BaseException) -> int:
    """The error's number; 0 where the driver gives none."""
    number = error.args[0] if isinstance(error, errors.MySQLError) and error.args else 0
    return number if isinstance(number, int) else 0


def translated(error: BaseException, *, timeout_ends_transaction: bool = False) -> Conflict | Failed | Refused:
    """What an error of the driver means to the steps of a transaction.

    Args:
        error: a driver's error.
        timeout_ends_transaction: the server rolls back everything where a lock comes too late.
    """
    number = number_of(error)
    text = _text_of(error)
    if number in _DUPLICATE:
        return Duplicate(text)
    if number in _CONFLICT or (number == LOCK_TIMEOUT and timeout_ends_transaction):
        return Conflict(text)
    if number == LOCK_TIMEOUT:
        return Busy(text)
    if number in _FORBIDDEN:
        return Forbidden(text, _GRANT)
    if number == 0 or number in _ENVIRONMENT or _FIRST_OF_CLIENT <= number <= _LAST_OF_CLIENT:
        return Failed(text)
    return Refused(text)


def _text_of(error: BaseException) -> str:
    if isinstance(error, errors.MySQLError) and len(error.args) > 1:
        return f"{error.args[1]} ({error.args[0]})"
    return str(error) or type(error).__name__
