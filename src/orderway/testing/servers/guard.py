"""The guard of one private server: when the process that owns the server is gone, however it went, so is the server.

The owner holds the other end of the guard's standard input. The kernel closes it when the owner ends, even by SIGKILL.
Then the guard ends every process that lives in the server's folder, and removes the folder. It is a process of its own,
because a parent-death signal follows the *thread* that started a server, and tests start servers in threads.

It runs as a plain file, without the package: `python -I -S guard.py FOLDER SIGNAL`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path

_PATIENCE_S = 5.0
_PAUSE_S = 0.01


def processes_in(folder: Path) -> list[int]:
    """The processes whose current folder is this one or lies in it: each server stays in its data folder for life."""
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            # It may have ended meanwhile, or belong to somebody else. Neither is ours.
            with contextlib.suppress(OSError):
                if Path(os.readlink(f"/proc/{entry.name}/cwd")).is_relative_to(folder):
                    found.append(int(entry.name))
    return found


def end_processes_in(folder: Path, number: signal.Signals = signal.SIGKILL) -> None:
    """Sends each process in the folder the signal, and SIGKILL to those left after 5 s. Returns when all are gone."""
    deadline = time.monotonic() + _PATIENCE_S
    remaining = processes_in(folder)
    for pid in remaining:
        _send(pid, number)
    while remaining := processes_in(folder):
        if number is signal.SIGKILL or time.monotonic() > deadline:
            for pid in remaining:
                _send(pid, signal.SIGKILL)
        time.sleep(_PAUSE_S)


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def main(folder: Path, number: signal.Signals) -> None:
    sys.stdin.buffer.read()
    end_processes_in(folder, number)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), signal.Signals(int(sys.argv[2])))
