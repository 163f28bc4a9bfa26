"""The URL of a MariaDB or MySQL database, and what the driver is told by it. Needs no driver, connects to nothing."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from orderway.errors import ConfigError
from orderway.sql.network.url import database_of, options_of, parts_of, shown, unreadable

__all__ = ["MysqlUrl", "read_url"]

_FORM = "mysql://user:password@host:port/name"
_OPTIONS = ("ssl", "ssl_ca", "ssl_cert", "ssl_key", "ssl_verify", "unix_socket")


@dataclass(frozen=True, slots=True)
class MysqlUrl:
    """What a URL says.

    Args:
        scheme: ``mysql`` or ``mariadb``.
        where: the same for messages, without the password; a socket is its file.
        arguments: of the driver: where to, and as whom.
    """

    scheme: str
    where: str
    arguments: Mapping[str, Any] = field(repr=False)


def read_url(url: str) -> MysqlUrl:
    """Read a URL; see ``MysqlServer``.

    Raises:
        ConfigError: it is not of its form, an option is wrong, or a file that one names cannot be read.
    """
    parts = parts_of(url, _FORM)
    try:
        port = parts.port or 3306
    except ValueError:  # its text may quote a part of the password
        raise unreadable(_FORM) from None
    host = parts.hostname or "localhost"
    # A `&` too many says nothing; templates leave one behind.
    parts = parts._replace(query="&".join(filter(None, parts.query.split("&"))))
    socket = dict(parse_qsl(parts.query)).get("unix_socket")  # the driver asks neither host nor port then
    place = f"{parts.scheme}://{os.path.abspath(socket) if socket else f'{host}:{port}'}"
    database = database_of(parts, place, _FORM)
    where = f"{place}/{database}"
    arguments = {
        "host": host,
        "port": port,
        "user": unquote(parts.username or "root"),
        "password": unquote(parts.password or "").encode(),
        "database": database,
        **_driver_options(options_of(parts, where, _OPTIONS), where),
    }
    return MysqlUrl(parts.scheme, where, arguments)


def _driver_options(given: dict[str, str], where: str) -> dict[str, Any]:
    """What stands behind the question mark, as the driver wants it.

    Raises:
        ConfigError: an option is of another form.
    """
    socket = {"unix_socket": given.pop("unix_socket")} if "unix_socket" in given else {}
    return {**socket, "ssl": _encryption(given, where)} if given else socket


def _encryption(given: Mapping[str, str], where: str) -> ssl.SSLContext | None:
    """The encryption that is asked for; None if none is. Who answers is verified, unless that is switched off.

    The driver gets no options of its own to make it from: it would verify nothing without ``ssl_ca``.

    Raises:
        ConfigError: a switch is neither true nor false, a file cannot be read, or options contradict each other.
    """
    wanted, verified = (_switch(given, name, where) for name in ("ssl", "ssl_verify"))
    files = [name for name in ("ssl_ca", "ssl_cert", "ssl_key") if name in given]
    if not wanted:
        if files or "ssl_verify" in given:
            raise ConfigError(f"{where}: ssl=false, and {[*files, 'ssl_verify'][0]} is given: drop one of them")
        return None
    if "ssl_key" in given and "ssl_cert" not in given:
        raise ConfigError(
            f"{where}: ssl_key is of no use without ssl_cert: give both, or one file with both as ssl_cert"
        )
    if "ssl_ca" in given and not verified:
        raise ConfigError(f"{where}: ssl_verify=false verifies nothing, and ssl_ca says by what: drop one of them")
    try:
        context = ssl.create_default_context(cafile=given.get("ssl_ca"))
        if "ssl_cert" in given:
            # Without a password here, the terminal would be asked for that of an encrypted key.
            context.load_cert_chain(given["ssl_cert"], given.get("ssl_key"), password="")
    except OSError as error:
        raise ConfigError(
            f"{where}: {' or '.join(files)} cannot be read, unencrypted files of PEM are expected: {error}"
        ) from None
    if not verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _switch(given: Mapping[str, str], name: str, where: str) -> bool:
    value = given.get(name, "true")
    if value not in ("true", "false"):
        raise ConfigError(f"{where}: {name}={shown(value)}: true or false are allowed")
    return value == "true"
