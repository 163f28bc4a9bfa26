"""A lock between processes on a side file, taken around each write transaction.

SQLite's own waiting is a poll with growing pauses: four processes on one file stall for over a second and get unequal
shares. Processes that wait in the kernel are woken at once.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from queue import SimpleQueue
from time import monotonic

from orderway.errors import ConfigError

__all__ = ["FileLock", "LockTimeout"]


class LockTimeout(Exception):
    """Another process, or another connection of this one, held the lock for too long."""


class FileLock:
    """An exclusive lock on a file. One object is used by one thread; several objects exclude each other.

    Waiting in the kernel cannot be given a time limit, so a thread of its own waits there, and the caller waits for
    that thread.

    Raises:
        ConfigError: this system has no such locks.
    """

    def __init__(self, path: Path) -> None:
        try:
            import fcntl
        except ImportError:
            raise ConfigError(
                "SQLite files cannot be opened on this system: the lock between processes needs flock, which Linux,"
                " macOS and other Unixes have and Windows has not (WSL does); memory:// works everywhere, for tests"
            ) from None
        self._flock, self._exclusive, self._try, self._unlock = (
            fcntl.flock,
            fcntl.LOCK_EX,
            fcntl.LOCK_EX | fcntl.LOCK_NB,
            fcntl.LOCK_UN,
        )
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self._changed = threading.Condition()
        self._wanted = False
        self._asked = False
        self._requests: SimpleQueue[bool] | None = None

    def acquire(self, timeout_s: float) -> None:
        """Take the lock.

        Raises:
            LockTimeout: it was not free within this many seconds.
        """
        if not self._asked:  # else the waiting thread may get the lock at any moment, for this same file
            try:
                self._flock(self._file, self._try)
                return
            except BlockingIOError:
                pass
        self._wait(timeout_s)

    def release(self) -> None:
        """Give the lock back."""
        self._flock(self._file, self._unlock)

    def close(self) -> None:
        """Close the file, once the thread that waits for it has come back."""
        if self._requests is None:
            os.close(self._file)
        else:
            self._requests.put(False)

    def _wait(self, timeout_s: float) -> None:
        deadline = monotonic() + timeout_s
        with self._changed:
            self._wanted = True
            if not self._asked:
                self._asked = True
                self._ask()
            while self._asked:
                remaining = deadline - monotonic()
                if remaining <= 0:
                    self._wanted = False
                    raise LockTimeout(f"{self._path} was locked by another transaction for {timeout_s} s")
                self._changed.wait(remaining)

    def _ask(self) -> None:
        if self._requests is None:
            self._requests = SimpleQueue()
            threading.Thread(target=self._serve, args=(self._requests,), name="orderway-lock", daemon=True).start()
        self._requests.put(True)

    def _serve(self, requests: SimpleQueue[bool]) -> None:
        while requests.get():
            self._flock(self._file, self._exclusive)
            with self._changed:
                self._asked = False
                if self._wanted:
                    self._changed.notify()
                else:  # whoever wanted it has given up
                    self._flock(self._file, self._unlock)
        os.close(self._file)
