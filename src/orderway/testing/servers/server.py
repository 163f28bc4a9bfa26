"""A private database server for tests: a process of ours, on a free port of the loopback, in a temporary folder."""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol, Self

from orderway.testing.servers import guard
from orderway.testing.servers.binaries import ServerUnavailable

HOST = "127.0.0.1"
USER = "orderway"
_STOP_WITHIN_S = 30.0
_PAUSE_S = 0.01
# Below the ports that the kernel gives to outgoing connections. From among those, a client that knocks at a server that
# is down can get the server's own port, connect to itself, and so keep the server from coming back.
_PORTS = range(20_000, 32_000)


class Databases(Protocol):
    """A running server on which tests make databases of their own."""

    @property
    def url(self) -> str:
        """The server's URL, with user and password."""
        ...

    def new_database(self, name: str | None = None) -> str:
        """Makes an empty database, with a random name unless one is given. Returns its URL."""
        ...

    def drop(self, url: str) -> None:
        """Drops a database that `new_database` made. Idempotent."""
        ...


class _Account(NamedTuple):
    """Whom a process runs as; None as ourselves."""

    uid: int | None
    gid: int | None
    groups: list[int] | None


class Server(ABC):
    """What every private server has in common. Use it as a context: it starts on entry, and leaves nothing behind.

    It keeps its port, its password and its data from one `start` to the next. It dies with the process that owns it.

    Args:
        settings: settings of the server by their own names, over the ones that are set here.

    Attributes:
        parent: where its folder is made at the first start; None for the system's place for temporary files.
    """

    account: ClassVar[str | None]  # whom it runs as when we are root; None as root
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM  # ends it in good order
    end_signal: ClassVar[signal.Signals] = signal.SIGKILL  # ends it fast when its data is to be removed
    start_within_s: ClassVar[float] = 60.0

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        self.settings = dict(settings or {})
        self.port = free_port()
        # As people's passwords are: with characters that must be quoted in a URL.
        self.password = secrets.token_urlsafe(12) + "@/:%"
        self.parent: Path | None = None
        self._folder: Path | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def _create(self) -> None:
        """Makes the data folder and all that the first start needs."""

    @abstractmethod
    def _command(self) -> Sequence[str]:
        """The command that runs the server in the foreground."""

    @abstractmethod
    def _is_ready(self, connection: socket.socket) -> bool:
        """Whether the server at the other end takes work now."""

    @property
    @abstractmethod
    def url(self) -> str:
        """The server's URL, with user and password."""

    @property
    def folder(self) -> Path:
        """The temporary folder with everything that the server keeps."""
        if self._folder is None:
            raise RuntimeError(f"{type(self).__name__} has no folder before its first start.")
        return self._folder

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """What the server has said since its first start."""
        return self.folder / "log"

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Starts the server and returns when it takes connections. Does nothing if it runs already.

        Raises:
            ServerUnavailable: its programs are missing, or it does not start; the text has the end of its log.
        """
        if self.is_running:
            return
        if self._folder is None:
            self._prepare()
        account = self._account()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=self._environment(),
                start_new_session=True,  # Ctrl-C is for the tests, which end the server in good order
                user=account.uid,
                group=account.gid,
                extra_groups=account.groups,
            )
        self._wait_until_ready(self._process)

    def stop(self) -> None:
        """Shuts the server down in good order. Its data stays."""
        if self._process is None:
            return
        self._process.send_signal(self.stop_signal)
        try:
            self._process.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kills the server and every child of it at once, as a crash does. Its data stays as it is."""
        if self._process is None:
            return
        # The parent first: PostgreSQL's would start new children for those that died.
        self._process.kill()
        self._process.wait()
        guard.end_processes_in(self.folder)

    def remove(self) -> None:
        """Ends the server, and removes its folder with all data."""
        if self._guard is None:
            return
        # The same way as when this process dies.
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        if self._process is not None:
            self._process.wait()
        self._guard.wait()
        self._guard = self._process = self._folder = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()

    def _prepare(self) -> None:
        if not Path("/proc/self/cwd").exists():
            raise ServerUnavailable(
                "Private servers need Linux. Elsewhere start servers with `docker compose up`, and name them in "
                "ORDERWAY_TEST_POSTGRESQL_URL, ORDERWAY_TEST_MYSQL_URL, ORDERWAY_TEST_REDIS_URL and "
                "ORDERWAY_TEST_RABBITMQ_URL (see compose.yaml)."
            )
        self._folder = Path(tempfile.mkdtemp(prefix=f"orderway-{type(self).__name__}-", dir=self.parent)).resolve()
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__, str(self._folder), str(int(self.end_signal))],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,  # who reads our output to its end must not wait for the guard
            cwd="/",
            start_new_session=True,
        )
        try:
            self.log.touch()
            self._own(self._folder, self.log)
            self._create()
        except BaseException:
            self.remove()
            raise

    def _own(self, *paths: Path) -> None:
        """Gives the paths to the account that the server runs as."""
        account = self._account()
        if account.uid is not None and account.gid is not None:
            for path in paths:
                os.chown(path, account.uid, account.gid)

    def _account(self) -> _Account:
        """PostgreSQL and MariaDB refuse to run as root, so the server has an account of its own there."""
        if self.account is None or os.geteuid() != 0:
            return _Account(None, None, None)
        for name in (self.account, "nobody"):
            with contextlib.suppress(KeyError):
                account = pwd.getpwnam(name)
                return _Account(account.pw_uid, account.pw_gid, [])
        raise ServerUnavailable(f"There is neither an account {self.account} nor nobody that the server could run as.")

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.defpath, "HOME": str(self.folder), "LC_ALL": "C.UTF-8", "TZ": "UTC"}

    def _run(self, *command: str, environment: Mapping[str, str] | None = None) -> None:
        """Runs a program that prepares the data folder."""
        account = self._account()
        result = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env=self._environment() | dict(environment or {}),
            user=account.uid,
            group=account.gid,
            extra_groups=account.groups,
        )
        if result.returncode != 0:
            raise ServerUnavailable(f"{command[0]} failed ({result.returncode}):\n{result.stdout}{result.stderr}")

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + self.start_within_s
        while process.poll() is None and time.monotonic() < deadline:
            # No server tells when it is ready; asking it is the only way.
            try:
                with socket.create_connection((HOST, self.port), timeout=self.start_within_s) as connection:
                    if self._is_ready(connection):
                        return
            except OSError:
                pass
            time.sleep(_PAUSE_S)
        self.kill()
        last_words = self.log.read_text(errors="replace")[-6000:]
        raise ServerUnavailable(f"{process.args!r} did not start. The end of its log:\n{last_words}")


def random_name() -> str:
    """A name for a database that nobody else has."""
    return f"test_{secrets.token_hex(6)}"


def free_port() -> int:
    """A port of the loopback on which nobody listens now."""
    for port in random.sample(_PORTS, 100):
        with socket.socket() as attempt:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                attempt.bind((HOST, port))
            except OSError:
                continue
            return port
    raise ServerUnavailable(f"No free port between {_PORTS.start} and {_PORTS.stop} on {HOST}.")
