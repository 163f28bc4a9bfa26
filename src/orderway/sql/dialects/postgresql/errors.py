"""Where the errors of the driver become ours."""

from __future__ import annotations

import os

import asyncpg

from orderway.errors import ConfigError
from orderway.sql.dialects.postgresql.url import PostgresqlUrl
from orderway.sql.steps import Busy, Conflict, Duplicate, Failed, Forbidden, Refused

__all__ = ["DRIVER_ERRORS", "refusal", "translated"]

DRIVER_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    ValueError,
    TypeError,
)
"""What the driver raises: the server's errors, its own, the network's, and what values that cannot be sent are."""

_REFUSES_US = (
    asyncpg.InvalidAuthorizationSpecificationError,  # and a wrong password, which is one of these
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
)
"""Who we say to be, or which database we ask for, is wrong: trying again does not help."""

_GRANT = "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO that user"
_FORBIDDEN = {"42501"}  # insufficient privilege
_CONFLICT = {"40001", "40P01"}  # serialization failure, deadlock
_BUSY = {"55P03"}  # a lock did not come in time
_FAILED_CLASSES = ("08", "53", "57", "58", "XX", "F0")
_FAILED = {"25006", "25P02", "25P03"}  # a standby, a transaction that has failed, one that stood idle for too long

_VARIABLES = ("PGSSLROOTCERT", "PGSSLCRL", "PGSSLCERT", "PGSSLKEY")
"""Of the environment: the files that the driver takes where the URL names none."""


def refusal(error: Exception, url: PostgresqlUrl) -> ConfigError | Failed | Conflict:
    """Why there is no connection: what was configured is wrong, or else the server does not answer."""
    if isinstance(error, _REFUSES_US):
        return ConfigError(f"{url.where} refuses us: {error}. Check user, password, database, and the user's rights")
    problem = translated(error)
    if isinstance(problem, Refused):
        return ConfigError(f"{url.where} cannot be reached as the URL says: {problem}")
    if "rejected SSL upgrade" in str(error):
        return ConfigError(f"{url.where} speaks no TLS: switch it on there, or do not insist on it (sslmode=prefer)")
    if isinstance(error, OSError) and not isinstance(error, ConnectionError):
        return _unreadable_file(url) or problem
    return problem


def _unreadable_file(url: PostgresqlUrl) -> ConfigError | None:
    """What is wrong with the files for TLS, which the driver reads anew for each connection; None for nothing."""
    try:
        url.check_files()
    except ConfigError as error:
        return error
    missing = [name for name in _VARIABLES if os.environ.get(name) and not os.access(os.environ[name], os.R_OK)]
    return ConfigError(f"{url.where}: the file that {missing[0]} names cannot be read") if missing else None


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
        if code in _FORBIDDEN:
            return Forbidden(words, _GRANT)
        if code.startswith(_FAILED_CLASSES) or code in _FAILED:
            return Failed(words)
        return Refused(words)
    if isinstance(error, asyncpg.InterfaceError | ValueError | TypeError):
        return Refused(words)  # parameters that the driver cannot send: nothing was sent
    return Failed(words)
