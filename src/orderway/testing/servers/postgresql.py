"""A private PostgreSQL for tests, and its synchronous standby."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from orderway.testing.servers.binaries import ServerUnavailable, find_folder, find_program
from orderway.testing.servers.server import HOST, USER, Server, random_name

_PACKAGE = "postgresql"
_PROTOCOL_3_0 = 196608
_AUTHENTICATION_REQUEST = b"R"
_INTERLOCK_LINE = 6  # of postmaster.pid: key and identity of its System V shared memory
_STANDBY_WITHIN_S = 30.0
_PAUSE_S = 0.02


class PostgresqlDatabases:
    """A running PostgreSQL, on which tests make databases of their own. Its user must be allowed to.

    Args:
        url: `postgresql://user:password@host:port/database`; the database is the one to connect to for making others.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    @property
    def url(self) -> str:
        return self._url

    def new_database(self, name: str | None = None) -> str:
        """Makes an empty database; returns its URL. It takes 30 to 60 ms.

        Raises:
            ServerUnavailable: the server cannot be reached or says no.
        """
        name = name or random_name()
        # template0: nobody is ever connected to it. A copy through the WAL needs no checkpoint, so no storm of fsync.
        self.execute(f"CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING 'UTF8' STRATEGY wal_log")
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()

    def drop(self, url: str) -> None:
        """Drops the database and whoever is connected to it. Idempotent.

        Raises:
            ServerUnavailable: the server cannot be reached or says no.
        """
        self.execute(f'DROP DATABASE IF EXISTS "{urlsplit(url).path.lstrip("/")}" WITH (FORCE)')

    def execute(self, statement: str) -> str:
        """Runs one statement in psql, by itself, as the user that may do all; returns its rows as `a|b` lines."""
        parts = urlsplit(self.url)
        result = subprocess.run(
            [
                find_program("psql", package="postgresql-client"),
                *("--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1"),
                *("--host", parts.hostname or HOST, "--port", str(parts.port or 5432)),
                *("--username", unquote(parts.username or USER), "--dbname", parts.path.lstrip("/") or "postgres"),
                *("--command", statement),
            ],
            env=os.environ | {"PGPASSWORD": unquote(parts.password or ""), "PGCONNECT_TIMEOUT": "30"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise ServerUnavailable(f"PostgreSQL at {parts.hostname}:{parts.port} refused: {result.stderr.strip()}")
        return result.stdout.strip()


class PostgresqlServer(PostgresqlDatabases, Server):
    """A private PostgreSQL: nothing is acknowledged before it is on disk. As root it runs under its own account.

    Args:
        settings: settings as in postgresql.conf, such as `{"wal_level": "logical"}`, over the ones that are set here.
    """

    account = "postgres"
    stop_signal = signal.SIGINT  # the fast shutdown: waits for no client
    end_signal = signal.SIGQUIT  # at once, but it gives its shared memory back

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        Server.__init__(self, settings)
        self._primary: PostgresqlServer | None = None
        self._name = ""

    @property
    def url(self) -> str:
        return f"postgresql://{USER}:{quote(self.password, safe='')}@{HOST}:{self.port}/postgres"

    def standby(self, name: str = "standby") -> PostgresqlServer:
        """Starts a synchronous standby: from now on no commit is acknowledged before the standby has it on disk too.

        Returns:
            The standby, which takes reads only until it is promoted. Remove it as any server, or use it as a context.

        Raises:
            ServerUnavailable: it did not start, or did not become synchronous.
        """
        standby = PostgresqlServer(self.settings)
        standby.password, standby._primary, standby._name = self.password, self, name
        standby.start()
        try:
            self.execute(f"ALTER SYSTEM SET synchronous_standby_names = '\"{name}\"'")
            self.execute("SELECT pg_reload_conf()")
            self._wait_for_synchronous(name)
        except BaseException:
            standby.remove()
            raise
        return standby

    def promote(self) -> None:
        """Makes this standby a primary of its own, and returns when it takes writes. It waits for no other standby."""
        self.execute("ALTER SYSTEM RESET synchronous_standby_names")
        self.execute("SELECT pg_reload_conf()")
        if self.execute("SELECT pg_promote()") != "t":
            raise ServerUnavailable("PostgreSQL did not promote the standby within 60 s.")
        self._primary = None

    def remove(self) -> None:
        """Ends the server, and removes its folder with all data."""
        if self._folder is not None and not self.is_running:
            self._remove_interlock()
        super().remove()

    def _remove_interlock(self) -> None:
        """Removes the shared memory by which a killed server is known. The next start would do it, but none comes."""
        with contextlib.suppress(FileNotFoundError):
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            if len(lines) > _INTERLOCK_LINE:
                identity = lines[_INTERLOCK_LINE].split()[-1]
                subprocess.run(["ipcrm", "--shmem-id", identity], capture_output=True, check=False)

    def _wait_for_synchronous(self, name: str) -> None:
        deadline = time.monotonic() + _STANDBY_WITHIN_S
        query = f"SELECT sync_state FROM pg_stat_replication WHERE application_name = '{name}'"
        while (state := self.execute(query)) != "sync":
            if time.monotonic() > deadline:
                raise ServerUnavailable(f"The standby {name} is not synchronous, but {state or 'not connected'!r}.")
            time.sleep(_PAUSE_S)

    def _create(self) -> None:
        if self._primary is not None:
            self._copy(self._primary)
            return
        password = self.folder / "password"
        password.touch(mode=0o600)
        password.write_text(self.password)
        self._own(password)
        self._run(
            self._program("initdb"),
            *("--pgdata", str(self.data), "--username", USER, "--pwfile", str(password), "--auth", "scram-sha-256"),
            # The template is made in a hurry. What comes later is synchronised.
            *("--no-sync", "--no-instructions", "--encoding", "UTF8", "--locale", "C.UTF-8"),
        )
        password.unlink()

    def _copy(self, primary: PostgresqlServer) -> None:
        self._run(
            self._program("pg_basebackup"),
            *(
                "--pgdata",
                str(self.data),
                "--write-recovery-conf",
                "--checkpoint=fast",
                "--wal-method=stream",
                "--no-sync",
            ),
            *("--dbname", f"host={HOST} port={primary.port} user={USER} application_name={self._name}"),
            environment={"PGPASSWORD": self.password},
        )

    def _command(self) -> Sequence[str]:
        settings = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "on",
            "full_page_writes": "on",
            "synchronous_commit": "on",
            "max_connections": "200",
            "shared_buffers": "64MB",
            "wal_level": "replica",
            "max_wal_senders": "4",
            "dynamic_shared_memory_type": "mmap",  # in its folder: it goes with it, even after SIGKILL
            "jit": "off",
            "timezone": "UTC",
            **self.settings,
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [self._program("postgres"), "-D", str(self.data), *options]

    def _program(self, name: str) -> str:
        return str(_installation() / name)

    def _is_ready(self, connection: socket.socket) -> bool:
        """While it starts or recovers, PostgreSQL answers the first message with an error."""
        parameters = b"user\0" + USER.encode() + b"\0database\0postgres\0\0"
        connection.sendall(struct.pack("!ii", len(parameters) + 8, _PROTOCOL_3_0) + parameters)
        return connection.recv(1) == _AUTHENTICATION_REQUEST


def _installation() -> Path:
    return find_folder(["initdb", "postgres", "pg_basebackup"], package=_PACKAGE)
