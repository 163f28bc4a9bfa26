"""How a MariaDB or MySQL server is reached: the URL, and what every session begins with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from orderway.errors import ConfigError
from orderway.sql.dialects.mysql.dialect import MARIADB, MYSQL, MysqlDialect
from orderway.sql.dialects.mysql.rights import rights
from orderway.sql.dialects.mysql.url import read_url
from orderway.sql.steps import Steps

if TYPE_CHECKING:
    from sqlalchemy import Table

    from orderway.sql.dialects.mysql.link import MysqlLink
    from orderway.sql.rights import Rights

__all__ = ["MysqlServer"]


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
        read = read_url(url)
        self.where = read.where
        self.dialect: MysqlDialect = MARIADB if read.scheme == "mariadb" else MYSQL
        self._arguments = read.arguments

    def rights(self, tables: Sequence[Table]) -> Steps[Rights]:
        """See what our user may not do with these tables; see ``Server.rights``."""
        return rights(tables)

    async def connect(self, epoch: int | None, idle_s: int = 0) -> MysqlLink:
        """Open a connection; see ``Server.connect``."""
        from orderway.sql.dialects.mysql.session import open_link

        link, self.dialect = await open_link(self._arguments, self.where, epoch, idle_s)
        return link
