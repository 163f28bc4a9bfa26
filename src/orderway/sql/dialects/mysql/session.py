"""Opening a connection, and what every session begins with."""

from __future__ import annotations

import re
import secrets
import ssl
from collections.abc import Mapping
from typing import Any, cast

import asyncmy
from asyncmy.constants.CLIENT import FOUND_ROWS

from orderway.errors import ConfigError
from orderway.sql.dialects.mysql.dialect import MARIADB, MYSQL, MysqlDialect
from orderway.sql.dialects.mysql.errors import DRIVER_ERRORS, REFUSES_US, number_of, translated
from orderway.sql.dialects.mysql.link import MOST_IDLE_S, Connection, MysqlLink, Session, disconnect
from orderway.sql.steps import Failed

__all__ = ["open_link"]

LOCK_TIMEOUT_S = 2
"""How long a statement waits for a row that another transaction has locked."""
SCHEMA_LOCK_TIMEOUT_S = 5
"""How long a statement waits for a table whose columns are being changed."""
_SETTINGS = {
    "autocommit": "1",
    # A value that does not fit is an error and never cut off; and no other mode that a server may have by default.
    "sql_mode": "'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
    "time_zone": "'+00:00'",
    "innodb_lock_wait_timeout": str(LOCK_TIMEOUT_S),
    "lock_wait_timeout": str(SCHEMA_LOCK_TIMEOUT_S),
    "wait_timeout": str(MOST_IDLE_S),
}
_OVERHEAD_BYTES = 1024


async def open_link(
    arguments: Mapping[str, Any], where: str, epoch: int | None, idle_s: int = 0
) -> tuple[MysqlLink, MysqlDialect]:
    """Open a connection; also tells which of both databases it leads to.

    Args:
        arguments: of the driver: where to, and as whom.
        where: the same for messages, without the password.
        epoch, idle_s: see ``Server.connect``.

    Raises:
        Failed: the server does not answer.
        ConfigError: it refuses us, or is too old.
    """
    try:
        # An update that finds a row as it should be counts it, too.
        opened = await asyncmy.connect(**arguments, charset="utf8mb4", client_flag=FOUND_ROWS, autocommit=None)
    except DRIVER_ERRORS as error:
        raise _refusal(error, where) from None  # the driver's own trace shows the password
    except RuntimeError as error:  # a way to log in that needs another package
        raise ConfigError(f"{where} cannot be logged in to: {error}") from None
    connection = cast(Connection, opened)
    try:
        dialect = _dialect_of(opened.get_server_info(), where)
        session = await _begin(connection, dialect, str(arguments["database"]), idle_s)
    except DRIVER_ERRORS as error:
        disconnect(connection)
        raise _refusal(error, where) from error
    except BaseException:
        disconnect(connection)
        raise
    return MysqlLink(connection, session, epoch), dialect


async def _begin(connection: Connection, dialect: MysqlDialect, database: str, idle_s: int) -> Session:
    """Make the session ours: its settings, and the lock that it is known by. One trip."""
    name = f"orderway {secrets.token_hex(16)}"
    wanted = _SETTINGS | ({dialect.idle_setting: str(idle_s)} if idle_s and dialect.idle_setting else {})
    settings = ", ".join(f"SESSION {variable} = {value}" for variable, value in wanted.items())
    await connection.query(
        (
            f"SET NAMES utf8mb4 COLLATE {dialect.collation};"
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;"
            f"SET {settings};"
            f"SELECT GET_LOCK('{name}', 0), @@max_allowed_packet, @@innodb_rollback_on_timeout"
        ).encode()
    )
    for _ in range(3):
        await connection.next_result()
    result = connection._result
    assert result is not None
    assert result.rows is not None
    [(locked, most_bytes, timeout_ends_transaction)] = result.rows
    if locked != 1:
        raise Failed("the session's own lock was refused")
    own_idle_s = 0 if dialect.idle_setting else idle_s
    return Session(name, database, most_bytes - _OVERHEAD_BYTES, bool(timeout_ends_transaction), own_idle_s)


def _dialect_of(version: str, where: str) -> MysqlDialect:
    """Which database says that it has this version: ``8.0.36``, ``5.5.5-10.11.6-MariaDB-1:10.11.6``."""
    dialect = MARIADB if "mariadb" in version.lower() else MYSQL
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", version.removeprefix("5.5.5-"))
    if found is None or tuple(map(int, found.groups())) < dialect.oldest:
        oldest = ".".join(map(str, dialect.oldest))
        raise ConfigError(f"{where} is {dialect.title} {version}, and Orderway needs {oldest} or later: upgrade it")
    return dialect


def _refusal(error: BaseException, where: str) -> ConfigError | Failed:
    match _cause_in_tls(error):
        case ssl.SSLCertVerificationError(verify_message=problem):
            return ConfigError(
                f"{where} is not believed to be who it should be: {problem}. Give the authority that signed its"
                " certificate as ssl_ca, and the host by the name that stands in it"
            )
        case ssl.SSLError(reason="WRONG_VERSION_NUMBER"):
            return ConfigError(f"{where} speaks no TLS: switch it on there, or leave the options ssl... out of the URL")
    if number_of(error) in REFUSES_US:
        return ConfigError(
            f"{where} refuses us: {translated(error)}. Check user, password, database, and the user's rights"
        )
    return Failed(str(translated(error)))


def _cause_in_tls(error: BaseException | None) -> ssl.SSLError | None:
    """What failed in TLS, if the driver's error came from that."""
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    return error
