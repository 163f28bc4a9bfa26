"""A private MariaDB for tests."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from orderway.testing.servers.binaries import ServerUnavailable, find_program
from orderway.testing.servers.server import HOST, USER, Server, random_name

_PACKAGE = "mariadb-server"
_HEADER_BYTES = 4
_PROTOCOL_10 = b"\n"


class MariadbDatabases:
    """A running MariaDB or MySQL, on which tests make databases of their own. Its user must be allowed to.

    Args:
        url: `mysql://user:password@host:port/database`; the database is not used.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    @property
    def url(self) -> str:
        return self._url

    def new_database(self, name: str | None = None) -> str:
        """Makes an empty database in utf8mb4; returns its URL. It takes about 20 ms.

        Raises:
            ServerUnavailable: the server cannot be reached or says no.
        """
        name = name or random_name()
        self.execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()

    def drop(self, url: str) -> None:
        """Drops the database. Idempotent. It waits for transactions that are still open in it.

        Raises:
            ServerUnavailable: the server cannot be reached or says no.
        """
        self.execute(f"DROP DATABASE IF EXISTS `{urlsplit(url).path.lstrip('/')}`")

    def execute(self, statement: str) -> str:
        """Runs one statement in the command line client, by itself; returns its rows as lines with tabs."""
        parts = urlsplit(self.url)
        result = subprocess.run(
            [
                find_program("mariadb", "mysql", package="mariadb-client"),
                *("--no-defaults", "--batch", "--skip-column-names", "--protocol=tcp", "--connect-timeout=30"),
                *("--host", parts.hostname or HOST, "--port", str(parts.port or 3306)),
                *("--user", unquote(parts.username or USER), "--execute", statement),
            ],
            env=os.environ | {"MYSQL_PWD": unquote(parts.password or "")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise ServerUnavailable(f"MariaDB at {parts.hostname}:{parts.port} refused: {result.stderr.strip()}")
        return result.stdout.strip()


class MariadbServer(MariadbDatabases, Server):
    """A private MariaDB: nothing is acknowledged before it is on disk. As root it runs under its own account.

    Args:
        settings: settings as in my.cnf, such as `{"innodb_buffer_pool_size": "256M"}`, over the ones that are set here.
    """

    account = "mysql"

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        Server.__init__(self, settings)

    @property
    def url(self) -> str:
        return f"mysql://{USER}:{quote(self.password, safe='')}@{HOST}:{self.port}/"

    def _create(self) -> None:
        self._program()  # the server, before a script that fails less clearly without it
        self._run(
            find_program("mariadb-install-db", "mysql_install_db", package=_PACKAGE),
            *("--no-defaults", f"--datadir={self.data}", "--auth-root-authentication-method=normal"),
            *("--skip-test-db", "--skip-name-resolve"),
        )
        self._accounts.touch(mode=0o600)
        self._accounts.write_text(
            f"CREATE OR REPLACE USER '{USER}'@'%' IDENTIFIED BY '{self.password}';\n"
            f"GRANT ALL ON *.* TO '{USER}'@'%' WITH GRANT OPTION;\n"
        )
        self._own(self._accounts)

    def _command(self) -> Sequence[str]:
        settings = {
            "datadir": str(self.data),
            "bind_address": HOST,
            "port": str(self.port),
            "socket": str(self.folder / "socket"),
            "pid_file": str(self.folder / "pid"),
            "tmpdir": str(self.folder),
            "init_file": str(self._accounts),
            "skip_name_resolve": "on",
            "innodb_flush_log_at_trx_commit": "1",
            "innodb_doublewrite": "on",
            "innodb_buffer_pool_size": "64M",
            "innodb_log_file_size": "48M",
            "key_buffer_size": "1M",
            "aria_pagecache_buffer_size": "1M",
            "performance_schema": "off",
            "max_connections": "200",
            "character_set_server": "utf8mb4",
            "default_time_zone": "+00:00",
            **self.settings,
        }
        return [self._program(), "--no-defaults", *(f"--{name}={value}" for name, value in settings.items())]

    @property
    def _accounts(self) -> Path:
        return self.folder / "accounts.sql"

    def _program(self) -> str:
        return find_program("mariadbd", "mysqld", package=_PACKAGE)

    def _is_ready(self, connection: socket.socket) -> bool:
        """MariaDB speaks first, as soon as it takes connections: a header, then the protocol's number."""
        return connection.recv(_HEADER_BYTES + 1, socket.MSG_WAITALL)[_HEADER_BYTES:] == _PROTOCOL_10
