"""An example in a folder of its own: its readme's commands are run as they stand, its servers are real processes."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.docs.pages import ROOT, Command, blocks_of, commands_of

__all__ = ["ExampleRun", "example", "until"]

WITHIN_S = 60
SERVERS = {"uvicorn", "gunicorn", "runserver", "worker"}
"""A command with one of these words goes on until it is killed."""


class ExampleRun:
    """A copy of one example.

    Args:
        name: its folder below ``examples``.
        folder: where the copy is made.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.folder = folder / name
        self.port = free_port()
        left_out = shutil.ignore_patterns("__pycache__", "*.db", "*.db-*")
        shutil.copytree(ROOT / "examples" / name, self.folder, ignore=left_out)
        shutil.copy(ROOT / "examples" / "gateway.py", folder)
        blocks = [block for block in blocks_of((self.folder / "README.md").read_text()) if block.language == "console"]
        self.commands = [command for block in blocks for command in commands_of(block)]
        self._environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONUNBUFFERED": "1",
            "HOME": str(folder),  # gunicorn keeps a socket there
        }
        self._servers: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Everything up to and with the readme's server; returns when it answers."""
        for command in self.commands:
            self.run(command)
            if is_server(command):
                return
        raise AssertionError("the readme starts no server")

    def walk(self) -> int:
        """Run every command of the readme and compare what it prints; returns how many there are."""
        for command in self.commands:
            self.run(command)
        return len(self.commands)

    def run(self, command: Command) -> None:
        """Run one command; a server stays, and answers when this returns."""
        text = command.text.replace("8000", str(self.port))
        if is_server(command):
            self._serve(text)
            return

        def as_shown() -> bool:
            done = subprocess.run(
                ["/bin/sh", "-c", text],
                cwd=self.folder,
                env=self._environment,
                capture_output=True,
                text=True,
                timeout=WITHIN_S,
                check=False,
            )
            told.append(f"{text}\n{done.stdout}{done.stderr}")
            pattern = re.escape(command.shown.strip()).replace(r"\.\.\.", ".*")
            return done.returncode == 0 and re.fullmatch(pattern, done.stdout.strip(), re.DOTALL) is not None

        told: list[str] = []
        once = not text.startswith("curl -s localhost")  # only looking may be done again, until it is as shown
        if not (as_shown() if once else until(as_shown)):
            raise AssertionError(told[-1])

    def post(self, path: str, document: Any, **headers: str) -> tuple[int, Any]:
        """Post JSON; returns the status and the answer."""
        return self._ask(path, json.dumps(document).encode(), {"Content-Type": "application/json", **headers})

    def get(self, path: str) -> Any:
        """The JSON at this path."""
        return self._ask(path, None, {})[1]

    def pay(self, order: str) -> None:
        """The provider's callback."""
        gateway = [sys.executable, "../gateway.py", f"http://127.0.0.1:{self.port}/payments", order, "9.90"]
        told = subprocess.check_output([*gateway, f"R-{order}"], cwd=self.folder, text=True, timeout=WITHIN_S)
        assert told.startswith("200 "), told

    def kill(self) -> None:
        """SIGKILL to the server and all of its processes."""
        for server in self._servers:
            os.killpg(server.pid, signal.SIGKILL)  # each has a session of its own
            server.communicate()
        self._servers.clear()

    def _serve(self, text: str) -> None:
        listens = str(self.port) in text
        server = subprocess.Popen(
            shlex.split(text),
            cwd=self.folder,
            env=self._environment,
            start_new_session=True,
            stdout=None if listens else subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._servers.append(server)
        if not listens:
            assert server.stdout is not None
            said = any(b"carries orders" in line for line in server.stdout)
            assert said, f"{text} ended before it carried orders"
            return

        def answers() -> bool:
            assert server.poll() is None, f"{text} ended with {server.returncode}"
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=WITHIN_S).close()
            except ConnectionRefusedError:
                return False
            return True

        assert until(answers), f"{text} does not answer"

    def _ask(self, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, Any]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=WITHIN_S) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)


def is_server(command: Command) -> bool:
    """Whether a command goes on until it is killed."""
    return not SERVERS.isdisjoint(shlex.split(command.text))


def until(condition: Callable[[], bool]) -> bool:
    """Ask again and again whether it holds, until it does; False if it never does."""
    ends_at_s = time.monotonic() + WITHIN_S
    while time.monotonic() < ends_at_s:
        if condition():
            return True
        time.sleep(0.05)  # other processes give no signal: they are asked
    return False


def free_port() -> int:
    """A port of the loopback interface that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


@contextmanager
def example(name: str, folder: Path) -> Iterator[ExampleRun]:
    """An example; its servers are killed at the end."""
    run = ExampleRun(name, folder)
    try:
        yield run
    finally:
        run.kill()
