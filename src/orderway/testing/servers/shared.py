"""One private server for all processes of a test run, such as pytest-xdist's workers. It goes when the last one goes.

The first process that needs the server starts a *keeper* for it, a process of its own. Each process that uses it has a
shared lock on a file. The keeper waits for the exclusive lock, which the kernel grants it when nobody uses the server
any more, however they ended. Then it removes the server.

Its data is in memory where there is room. Its settings are as durable as any server's, and a process that is killed
loses nothing that it has handed to the system; waiting for a disk was half the time of the tests. A test of what a disk
keeps starts a server of its own.

The keeper: `python -m orderway.testing.servers.shared SERVER FOLDER`.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orderway.testing.servers.binaries import ServerUnavailable
from orderway.testing.servers.mariadb import MariadbServer
from orderway.testing.servers.postgresql import PostgresqlServer
from orderway.testing.servers.pulsar import PulsarLiteServer, PulsarServer
from orderway.testing.servers.rabbitmq import RabbitmqServer
from orderway.testing.servers.redis import RedisServer
from orderway.testing.servers.server import Server

SERVERS: dict[str, type[Server]] = {
    server.__name__: server
    for server in (PostgresqlServer, MariadbServer, RedisServer, PulsarServer, PulsarLiteServer, RabbitmqServer)
}
_READY = "ready"
_MEMORY = Path("/dev/shm")
# A server keeps a few hundred megabytes there. Docker gives 64 MB unless told otherwise.
_ROOM_BYTES = 4 << 30


@contextmanager
def shared_server(server: type[Server], folder: Path) -> Iterator[str]:
    """The URL of the run's one server of this kind; it is started if need be, and runs at least until the context ends.

    Args:
        folder: known to all processes of the run and to no other run.

    Raises:
        ServerUnavailable: it could not be started.
    """
    places = _Places(folder, server.__name__)
    with places.use.open("w") as use, places.start.open("w") as start:
        # Waits while the keeper of an earlier server removes it.
        fcntl.flock(use, fcntl.LOCK_SH)
        fcntl.flock(start, fcntl.LOCK_EX)
        if not places.url.exists():
            _start_keeper(server, folder)
        fcntl.flock(start, fcntl.LOCK_UN)
        yield places.url.read_text()


def _start_keeper(server: type[Server], folder: Path) -> None:
    # The shell leaves the keeper behind at once: it outlives this process where others still use the server.
    detached = subprocess.Popen(
        ["/bin/sh", "-c", '"$0" "$@" &', sys.executable, "-m", __name__, server.__name__, str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C ends the tests, and so the server, in this order
        text=True,
    )
    with detached:
        assert detached.stdout is not None
        # One line, not to the end: the keeper has the other end of the pipe as long as it lives.
        line = detached.stdout.readline()
    answer = json.loads(line) if line else ""
    if answer != _READY:
        raise ServerUnavailable(answer or f"The keeper of {server.__name__} ended without a word.")


class _Places:
    def __init__(self, folder: Path, name: str) -> None:
        self.use = folder / f"{name}.use"
        self.start = folder / f"{name}.start"
        self.url = folder / f"{name}.url"


def _keep(server: type[Server], folder: Path) -> None:
    """Runs in the keeper. Who started it reads a line of its standard output: one word, or what went wrong, as JSON."""
    places = _Places(folder, server.__name__)
    try:
        running = server()
        running.parent = _memory()
        with running:
            places.url.touch(mode=0o600)
            places.url.write_text(running.url)
            _answer(_READY)
            with places.use.open() as use:
                fcntl.flock(use, fcntl.LOCK_EX)
                places.url.unlink()
                running.remove()  # before the lock goes, so that none is started beside it
    except ServerUnavailable as error:
        _answer(str(error))


def _memory() -> Path | None:
    """The folder that is in memory; None where there is none, or not enough room."""
    if not os.access(_MEMORY, os.W_OK) or shutil.disk_usage(_MEMORY).free < _ROOM_BYTES:
        return None
    return _MEMORY


def _answer(text: str) -> None:
    sys.stdout.write(json.dumps(text) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the terminal may be closed; the lock says when to end
    _keep(SERVERS[sys.argv[1]], Path(sys.argv[2]))
