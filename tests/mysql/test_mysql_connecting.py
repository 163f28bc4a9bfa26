"""How a server is reached: URLs, refusals, and what every session begins with."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlsplit

import pytest
from asyncmy import errors
from mysql_links import Connect, value_of

from orderway.adapters import open_ports
from orderway.errors import ConfigError, Unavailable
from orderway.sql.dialects.mysql import MysqlServer
from orderway.sql.dialects.mysql.dialect import MysqlDialect
from orderway.sql.dialects.mysql.errors import translated
from orderway.sql.dialects.mysql.session import _dialect_of
from orderway.sql.steps import Busy, Conflict, Duplicate, Failed, Mismatch, Read, Refused
from orderway.sql.writes import Writes

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"mysql://me:{SECRET}@host", "names no database"),
        (f"mysql://me:{SECRET}@host/a/b", "names no database"),
        (f"mysql://me:{SECRET}@host:port/name", "wrong host or port"),
        (
            f"mysql://me:{SECRET}@host/name?charset=latin1",
            "ssl, ssl_ca, ssl_cert, ssl_key, ssl_verify, unix_socket are allowed",
        ),
    ],
)
def test_a_url_that_cannot_be_is_refused_without_its_password(url: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as raised:
        MysqlServer(url)
    assert SECRET not in str(raised.value)


def test_a_url_may_hold_any_character() -> None:
    server = MysqlServer(
        f"mariadb://{quote('m@e', safe='')}:{quote('p@/:%é', safe='')}@[::1]:3307/na%20me?ssl_verify=false"
    )
    arguments = server._arguments
    assert (arguments["user"], arguments["password"]) == ("m@e", "p@/:%é".encode())
    assert (arguments["host"], arguments["port"], arguments["database"]) == ("::1", 3307, "na me")
    assert arguments["ssl"].verify_mode is ssl.CERT_NONE
    assert server.where == "mariadb://::1:3307/na me"


async def test_a_socket_is_named_where_nobody_listens_on_it(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=rf"mysql://{tmp_path}/a.sock/name did not answer"):
        await open_ports(f"mysql://me:{SECRET}@db:3307/name?unix_socket={tmp_path}/a.sock&")


@pytest.mark.parametrize(("part", "words"), [("password", "Access denied"), ("database", "nowhere")])
async def test_a_server_that_refuses_us_is_a_mistake_of_the_set_up(mariadb_url: str, part: str, words: str) -> None:
    parts = urlsplit(mariadb_url)
    if part == "password":
        url = f"mysql://{parts.username}:{SECRET}@{parts.hostname}:{parts.port}{parts.path}"
    else:
        url = parts._replace(path="/nowhere").geturl()
    with pytest.raises(ConfigError, match=words) as raised:
        await MysqlServer(url).connect(None)
    assert SECRET not in str(raised.value)
    assert (parts.password or "") not in str(raised.value)


async def test_a_server_that_is_not_there_has_failed() -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(Failed):  # it hangs up
        await MysqlServer(f"mysql://me@127.0.0.1:{port}/name").connect(None)
    server.close()
    await server.wait_closed()
    with pytest.raises(Failed):
        await MysqlServer(f"mysql://me@127.0.0.1:{port}/name").connect(None)


async def test_every_session_is_set_up_the_same(connect: Connect, writes: Writes) -> None:
    one, two = await connect(), await connect()
    expected = {
        "autocommit": "ON",
        "innodb_lock_wait_timeout": "2",
        "sql_mode": "STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION",
        "time_zone": "+00:00",
        "collation_connection": cast(MysqlDialect, writes._dialect).collation,
    }
    names = ", ".join(map(repr, [*expected, "tx_isolation", "transaction_isolation"]))
    found = dict(await one.send([Read(f"SHOW SESSION VARIABLES WHERE Variable_name IN ({names})")]))
    isolation = {found.pop(name) for name in ("tx_isolation", "transaction_isolation") if name in found}
    assert (found, isolation) == (expected, {"READ-COMMITTED"})
    assert one.name != two.name
    assert await value_of(one, f"SELECT IS_USED_LOCK('{two.name}')") == await value_of(two, "SELECT CONNECTION_ID()")


@pytest.mark.parametrize(
    ("version", "title"),
    [
        ("8.0.36", "MySQL"),
        ("8.4.0-log", "MySQL"),
        ("9.1.0", "MySQL"),
        ("5.5.5-10.11.19-MariaDB-0+deb12u1", "MariaDB"),
        ("11.4.2-MariaDB", "MariaDB"),
        ("8.0.18", None),
        ("5.7.44-log", None),
        ("5.5.5-10.5.23-MariaDB", None),
        ("unknown", None),
    ],
)
def test_a_server_that_is_too_old_is_refused(version: str, title: str | None) -> None:
    if title is None:
        with pytest.raises(ConfigError, match=r"needs (10\.6\.0|8\.0\.19) or later"):
            _dialect_of(version, "mysql://host/name")
    else:
        assert _dialect_of(version, "mysql://host/name").title == title


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.IntegrityError(1062, "Duplicate entry"), Duplicate),
        (errors.OperationalError(1213, "Deadlock found"), Conflict),
        (errors.OperationalError(1205, "Lock wait timeout exceeded"), Busy),
        (errors.DataError(1406, "Data too long"), Refused),
        (errors.ProgrammingError(1064, "You have an error"), Refused),
        (errors.OperationalError(4025, "CONSTRAINT failed"), Refused),
        (errors.OperationalError(3819, "Check constraint is violated"), Refused),
        (errors.OperationalError(2013, "Lost connection"), Failed),
        (errors.OperationalError(1053, "Server shutdown in progress"), Failed),
        (errors.OperationalError(1290, "running with the --read-only option"), Failed),
        (errors.InterfaceError(0, "Not connected"), Failed),
        (errors.InternalError("Packet sequence number wrong"), Failed),
        (ConnectionResetError("reset"), Failed),
    ],
)
def test_each_error_has_its_meaning(error: Exception, kind: type[Exception]) -> None:
    assert type(translated(error)) is kind
    assert not isinstance(translated(error), Mismatch)


def test_a_server_may_end_transactions_whose_lock_comes_too_late() -> None:
    error: Any = errors.OperationalError(1205, "Lock wait timeout exceeded")
    assert type(translated(error, timeout_ends_transaction=True)) is Conflict
