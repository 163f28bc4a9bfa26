"""Processes of the shop: run, killed at a point, taken up by the next one, and judged."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
from pathlib import Path

from auditor import audit
from manifest import MANIFEST

__all__ = ["Shops", "kill_and_take_up", "make_folder"]

HERE = Path(__file__).parent


class Shops:
    """A few processes that fork a shop for each request: real processes without the price of an interpreter's start."""

    def __init__(self, count: int) -> None:
        self._free: queue.SimpleQueue[subprocess.Popen[str]] = queue.SimpleQueue()
        self._servers = [
            subprocess.Popen(
                [sys.executable, "shop.py", "--serve"],
                cwd=HERE,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(count)
        ]
        for server in self._servers:
            self._free.put(server)

    def run(self, *arguments: str) -> int:
        """Run a shop; returns its exit code, negative for a signal."""
        server = self._free.get()
        try:
            assert server.stdin is not None
            assert server.stdout is not None
            server.stdin.write(json.dumps(arguments) + "\n")
            server.stdin.flush()
            return os.waitstatus_to_exitcode(int(server.stdout.readline()))
        finally:
            self._free.put(server)

    def close(self) -> None:
        """End the servers."""
        for server in self._servers:
            server.communicate()


def make_folder(path: Path, orders_url: str | None = None) -> Path:
    """A folder for a shop whose orders are in this database, or in a file there."""
    path.mkdir(parents=True)
    where = {} if orders_url is None else {"orders_url": orders_url}
    (path / "manifest.json").write_text(json.dumps(MANIFEST | where))
    return path


def kill_and_take_up(
    shops: Shops, folder: Path, point: str, nth: int, *more: str, orders_url: str | None = None
) -> list[str]:
    """Kill a shop at a point, have another one take up its files; returns what the auditor has to say."""
    make_folder(folder, orders_url)
    code = shops.run(str(folder), "--die-at", point, "--nth", str(nth), *more)
    assert code == -signal.SIGKILL, f"the shop ended with {code} instead of dying"
    assert (folder / "died-at").read_text() == point
    assert shops.run(str(folder), *more) == 0, "the shop that took up did not come to an end"
    return audit(folder)
