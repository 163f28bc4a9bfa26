"""An App and the life of its process: forks and exits, with real processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

WITHIN_S = 60

MADE_BEFORE_THE_FORK = """
import asyncio, os
from orderway import App
from orderway.errors import WrongThread

app = App("sqlite:///orders.db")

async def start():
    try:
        await app.start()
    except WrongThread as error:
        print("fork" if "before a fork" in str(error) else error, flush=True)

for _ in range(2):
    if os.fork() == 0:
        asyncio.run(start())
        os._exit(0)
    os.wait()
"""

LEFT_OPEN = """
import sys
from orderway import blocking

app = blocking.App("sqlite:///orders.db")
app.start()
print("started")
sys.exit(3)
"""

WORKERS = "import sqlite3; print(sqlite3.connect('orders.db').execute('SELECT count(*) FROM ow_workers').fetchone()[0])"


def run(folder: Path, program: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    return done.returncode, done.stdout


def test_an_app_that_was_made_before_a_fork_does_not_start_in_the_children(tmp_path: Path) -> None:
    assert run(tmp_path, MADE_BEFORE_THE_FORK) == (0, "fork\nfork\n")


def test_a_process_ends_although_its_blocking_app_is_still_open_and_its_worker_leaves(tmp_path: Path) -> None:
    assert run(tmp_path, LEFT_OPEN) == (3, "started\n")
    assert run(tmp_path, WORKERS) == (0, "0\n")
