"""How a MariaDB or MySQL server is reached: the URL, and what every session begins with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from orderway.errors import ConfigError
from orderway.sql.dialects.mysql.dialect import MARIADB, MYSQL, MysqlDialect

if TYPE_CHECKING:
    from orderway.sql.dialects.mysql.link import MysqlLink

__all__ = ["MysqlServer"]

_OPTIONS = ("ssl", "ssl_ca", "unix_socket")


class MysqlServer:
    """A database on a MariaDB or MySQL server; see ``orderway.sql.network.link.Server``.

    Args:
        url: ``mysql://user:password@host:port/name``, or ``mariadb://``: which of both it is, the server says. Reserved
            characters are percent-encoded. Options: ``ssl=true``, ``ssl_ca=/path``, ``unix_socket=/path``.

    Raises:
        ConfigError: the URL is not of this form, or the driver is not installed.
    """

    find_meta = "SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'ow_meta'"

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
    """What stands behind the question mark, as the driver wants it."""
    given = dict(parse_qsl(query, keep_blank_values=True))
    unknown = sorted(set(given) - set(_OPTIONS))
    if unknown:
        raise ConfigError(f"{where}: {unknown[0]!r} is no option of the URL: {', '.join(_OPTIONS)} are allowed")
    found: dict[str, Any] = {}
    if given.get("ssl", "false") not in ("true", "false"):
        raise ConfigError(f"{where}: ssl={given['ssl']}: true or false are allowed")
    if "ssl_ca" in given:
        found["ssl"] = {"ca": given["ssl_ca"]}
    elif given.get("ssl") == "true":
        found["ssl"] = True
    if "unix_socket" in given:
        found["unix_socket"] = given["unix_socket"]
    return found
