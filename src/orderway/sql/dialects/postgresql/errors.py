"""Where the errors of the driver become ours."""

from __future__ import annotations

import asyncpg

from orderway.sql.steps import Busy, Conflict, Duplicate, Failed, Refused

__all__ = ["DRIVER_ERRORS", "REFUSES_US", "translated"]

DRIVER_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    ValueError,
    TypeError,
)
"""What the driver raises: the server's errors, its own, the network's, and what values that cannot be sent are."""

REFUSES_US = (
    asyncpg.InvalidAuthorizationSpecificationError,  # and a wrong password, which is one of these
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
)
"""Who we say to be, or which database we ask for, is wrong: trying again does not help."""

_CONFLICT = {"40001", "40P01"}  # serialization failure, deadlock
_BUSY = {"55P03"}  # a lock did not come in time
_FAILED_CLASSES = ("08", "53", "57", "58", "XX", "F0")
_FAILED = {"25006", "25P02", "25P03"}  # a standby, a transaction that has failed, one that stood idle for too long


def translated(error: Exception) -> Failed | Refused | Conflict:
    """What an error of the driver means to the steps of a transaction, where the connection is still open."""
    words = str(error) or type(error).__name__
    if isinstance(error, asyncpg.PostgresError):
        code = error.sqlstate or ""
        if code in _CONFLICT:
            return Conflict(words)
        if code in _BUSY:
            return Busy(words)
        if code == "23505":
            return Duplicate(words)
        if code.startswith(_FAILED_CLASSES) or code in _FAILED:
            return Failed(words)
        return Refused(words)
    if isinstance(error, asyncpg.InterfaceError | ValueError | TypeError):
        return Refused(words)  # parameters that the driver cannot send: nothing was sent
    return Failed(words)
