"""Processes that race for one channel's file: all are ready before any begins."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

__all__ = ["race"]

_WITHIN_S = 60
_START = """
import asyncio, sys
from orderway.channels.scripted import *
from orderway.core.money import Money
from orderway.ports.channel import Captured, Charge, RefundOrder
from orderway.testing.clock import VirtualClock

PRICE = Money(1999, "USD")
path, me = sys.argv[1:]

def charge_of(number):
    return Charge(f"key-{number}", f"order-{number}", "ann", PRICE)

def ready():
    print("ready", flush=True)
    sys.stdin.readline()
"""


def race(code: str, path: Path, *racers: str) -> list[str]:
    """Run the code in a process for each racer, who finds his name in ``me``; gives what each printed.

    The code defines ``async def run()``, which calls ``ready()`` before it begins.
    """
    program = f"{_START}\n{code}\nasyncio.run(run())"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(path), me], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for me in racers
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    printed = [process.communicate(timeout=_WITHIN_S)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(racers)
    return printed
