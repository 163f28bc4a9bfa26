"""How a MariaDB or MySQL server is reached: the URL, and what every session begins with."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from orderway.errors import ConfigError
from orderway.sql.dialects.mysql.dialect import MARIADB, MYSQL, MysqlDialect

if TYPE_CHECKING:
    from orderway.sql.dialects.mysql.link import MysqlLink

__all__ = ["MysqlServer"]

_OPTIONS = ("ssl", "ssl_ca", "ssl_cert", "ssl_key", "ssl_verify", "unix_socket")


class MysqlServer:
    """A database on a MariaDB or MySQL server; see ``orderway.sql.network.link.Server``.

    Args:
        url: ``mysql://user:password@host:port/name``, or ``mariadb://``: which of both it is, the server says. Reserved
            characters are percent-encoded. Options: ``ssl=true`` for TLS, verified by the system's certificates or by
            those of ``ssl_ca=/path``, or not at all with ``ssl_verify=false``; ``ssl_cert=/path`` and ``ssl_key=/path``
            for a certificate of our own; ``unix_socket=/path``.

    Raises:
        ConfigError: the URL is not of this form, or the driver is not installed.
    """

    find_meta = "SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'ow_meta'"
    list_tables = "SHOW TABLES LIKE 'ow\\_%'"

    def __init__(self, url: str) -> None:
        try:
            from orderway.sql.dialects.mysql import link  # noqa: F401 brings the driver
        except ModuleNotFoundError as error:
            raise ConfigError(f"{error.name} is missing: pip install 'orderway[mysql]'") from error
        try:
            parts = urlsplit(url)
            port = parts.port or 3306
        except ValueError:  # its text may quote a part of the password
            raise ConfigError(
                "a mysql:// URL has a wrong host or port: what is special in a password is percent-encoded"
            ) from None
        self._database = unquote(parts.path[1:])
        host = parts.hostname or "localhost"
        self.where = f"{parts.scheme}://{host}:{port}/{self._database}"
        if not self._database or "/" in self._database:
            raise ConfigError(f"{self.where} names no database: mysql://user:password@host:port/name is the form")
        self.dialect: MysqlDialect = MARIADB if parts.scheme == "mariadb" else MYSQL
        self._arguments: dict[str, Any] = {
            "host": host,
            "port": port,
            "user": unquote(parts.username or "root"),
            "password": unquote(parts.password or "").encode(),
            "database": self._database,
            **_options(parts.query, self.where),
        }

    async def connect(self, epoch: int | None, idle_s: int = 0) -> MysqlLink:
        """Open a connection; see ``Server.connect``."""
        from orderway.sql.dialects.mysql.session import open_link

        link, self.dialect = await open_link(self._arguments, self.where, epoch, idle_s)
        return link


def _options(query: str, where: str) -> dict[str, Any]:
    """What stands behind the question mark, as the driver wants it.

    Raises:
        ConfigError: an option is unknown, or of another form.
    """
    given = dict(parse_qsl(query, keep_blank_values=True))
    unknown = sorted(set(given) - set(_OPTIONS))
    if unknown:
        raise ConfigError(f"{where}: {unknown[0]!r} is no option of the URL: {', '.join(_OPTIONS)} are allowed")
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
        raise ConfigError(f"{where}: {name}={value}: true or false are allowed")
    return value == "true"
