"""The server as a process of its own, for tests: started on a free port, stopped, killed, started again."""

from __future__ import annotations

import atexit
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from orderway.errors import Unavailable

__all__ = ["ScriptedServer"]

_STOP_WITHIN_S = 10


class ScriptedServer:
    """A scripted channel's server in a process of its own, on this machine only.

    As a context manager it starts the process and stops it at the end::

        with ScriptedServer(path="channel.db") as server:
            channel = ScriptedHttpChannel(server.url)

    Args:
        path: the channel's SQLite file; None: nothing outlives the process.
        notify_url: where notifications are posted to.
        secret: signs them.
        holds: whether it holds money.
        silence_s: how long a request that gets no answer is kept waiting.
        port: 0: any free one.
    """

    def __init__(
        self,
        *,
        path: str | Path | None = None,
        notify_url: str | None = None,
        secret: str = "scripted",
        holds: bool = False,
        silence_s: float = 30.0,
        port: int = 0,
    ) -> None:
        self.url = ""
        options = {"--path": path, "--notify": notify_url, "--secret": secret, "--silence": silence_s, "--port": port}
        given = [f"{name}={value}" for name, value in options.items() if value is not None]
        self._command = [sys.executable, "-m", __name__.rpartition(".")[0], *given, *(["--holds"] if holds else [])]
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it; ``url`` is where it listens. Returns once it can be asked.

        Raises:
            Unavailable: it did not start; its own message is on standard error.
        """
        self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        atexit.register(self.kill)  # whoever forgets to stop it leaves nothing running
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        if not self.url:
            code = self.stop()
            raise Unavailable(f"the scripted channel's server did not start; it ended with {code}")

    def stop(self) -> int:
        """Let it finish, and wait for that; returns its exit code. Idempotent."""
        return self._end(lambda process: process.terminate())

    def kill(self) -> None:
        """End it in the middle of whatever it does, as ``kill -9`` would, and wait until it has gone."""
        self._end(lambda process: process.kill())

    def _end(self, signal: Callable[[subprocess.Popen[str]], None]) -> int:
        process = self._process
        if process is None:
            return 0
        signal(process)
        try:
            process.communicate(timeout=_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        self._process = None
        atexit.unregister(self.kill)
        return process.returncode
