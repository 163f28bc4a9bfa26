"""A private Redis for tests."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Self
from urllib.parse import quote, unquote, urlsplit

from orderway.testing.servers.binaries import ServerUnavailable, find_program
from orderway.testing.servers.server import HOST, Server, random_name

_PACKAGE = "redis-server"
_LEASE_S = 3600
_WITHIN_S = 30.0


class RedisDatabases:
    """A running Redis, of whose numbered databases each test gets one that was empty. Database 0 keeps who has which.

    A test that flushes *all* databases (FLUSHALL) disturbs the others: such a test needs a `RedisServer` of its own.

    Args:
        url: `redis://:password@host:port/`.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    @property
    def url(self) -> str:
        return self._url

    def new_database(self, name: str | None = None) -> str:
        """Leases an empty database for an hour; returns its URL. The name says in database 0 who has it.

        Raises:
            ServerUnavailable: the server cannot be reached, or every database has something in it.
        """
        with _Session.at(self.url) as redis:
            redis.ask("SELECT", "0")
            count = int(redis.ask("CONFIG", "GET", "databases")[1])
            for number in range(1, count):
                lease = self._lease(number)
                if redis.ask("SET", lease, name or random_name(), "NX", "EX", str(_LEASE_S)) is None:
                    continue
                redis.ask("SELECT", str(number))
                # What somebody keeps there is not ours to flush.
                is_empty = redis.ask("DBSIZE") == 0
                redis.ask("SELECT", "0")
                if is_empty:
                    return urlsplit(self.url)._replace(path=f"/{number}").geturl()
                redis.ask("DEL", lease)
        raise ServerUnavailable(f"Each of the {count} databases of this Redis has something in it. Flush one.")

    def drop(self, url: str) -> None:
        """Empties a database of `new_database` and gives it back."""
        number = int(urlsplit(url).path.lstrip("/"))
        if number == 0:
            raise ValueError("Database 0 is nobody's: new_database never gives it.")
        with _Session.at(self.url) as redis:
            redis.ask("SELECT", str(number))
            redis.ask("FLUSHDB")
            redis.ask("SELECT", "0")
            redis.ask("DEL", self._lease(number))

    def execute(self, *command: str) -> str:
        """Runs one command in the URL's database and returns its answer as text."""
        with _Session.at(self.url) as redis:
            return str(redis.ask(*command))

    @staticmethod
    def _lease(number: int) -> str:
        return f"orderway:test:database:{number}"


class RedisServer(RedisDatabases, Server):
    """A private Redis. Durable unless told otherwise: each write is on disk before its answer.

    Args:
        durable: False for a Redis that keeps nothing over a restart, as a cache is run.
        settings: settings as in redis.conf, such as `{"maxmemory": "8mb"}`, over the ones that are set here.
    """

    account = "redis"

    def __init__(self, settings: Mapping[str, str] | None = None, *, durable: bool = True) -> None:
        Server.__init__(self, settings)
        self._durable = durable

    @property
    def url(self) -> str:
        return f"redis://:{quote(self.password, safe='')}@{HOST}:{self.port}/0"

    def _create(self) -> None:
        self.data.mkdir()
        # In a file, for a command line is seen by everybody on the machine.
        settings = {
            "bind": HOST,
            "port": str(self.port),
            "requirepass": f'"{self.password}"',
            "dir": str(self.data),
            "databases": "256",
            "save": '""',
            "appendonly": "yes" if self._durable else "no",
            "appendfsync": "always",
            **self.settings,
        }
        self._configuration.touch(mode=0o600)
        self._configuration.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        self._own(self.data, self._configuration)

    def _command(self) -> Sequence[str]:
        return [find_program("redis-server", "valkey-server", package=_PACKAGE), str(self._configuration)]

    @property
    def _configuration(self) -> Path:
        return self.folder / "redis.conf"

    def _is_ready(self, connection: socket.socket) -> bool:
        """While it loads its file, Redis answers everything but the password with an error."""
        with _Session(connection) as redis:
            try:
                redis.ask("AUTH", self.password)
                return bool(redis.ask("PING") == "PONG")
            except ServerUnavailable:
                return False


class _Session:
    """The few bytes of Redis' protocol that are needed here, so that making a database needs no driver."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._answers: BinaryIO = connection.makefile("rb")

    @classmethod
    def at(cls, url: str) -> Self:
        """Raises: ServerUnavailable."""
        parts = urlsplit(url)
        address = (parts.hostname or HOST, parts.port or 6379)
        try:
            session = cls(socket.create_connection(address, timeout=_WITHIN_S))
        except OSError as error:
            raise ServerUnavailable(f"Redis at {address[0]}:{address[1]} cannot be reached: {error}") from error
        try:
            if parts.password:
                session.ask("AUTH", unquote(parts.username or "default"), unquote(parts.password))
            session.ask("SELECT", parts.path.lstrip("/") or "0")
        except BaseException:
            session.close()
            raise
        return session

    def ask(self, *command: str) -> Any:
        """Sends one command and returns its answer: a text, a number, a list of them, or None."""
        words = [word.encode() for word in command]
        self._connection.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words))
        return self._answer()

    def _answer(self) -> Any:
        line = self._answers.readline()
        if not line.endswith(b"\r\n"):
            raise ServerUnavailable("Redis closed the connection in the middle of an answer.")
        kind, rest = line[:1], line[1:-2].decode()
        match kind:
            case b"-":
                raise ServerUnavailable(f"Redis refused: {rest}")
            case b":":
                return int(rest)
            case b"$":
                size = int(rest)
                return None if size < 0 else self._answers.read(size + 2)[:-2].decode()
            case b"*":
                return [self._answer() for _ in range(int(rest))]
        return rest

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        self._answers.close()
        self._connection.close()
