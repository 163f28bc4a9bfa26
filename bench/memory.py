"""Memory: how much a fresh process takes that sweeps, however many orders are due."""

from __future__ import annotations

import asyncio
import re
import resource
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from bench.contestants import CONTESTANTS, HEADLINE
from bench.drive import app_over, run_on_loop
from bench.rounds import in_processes
from bench.stored import add_orders, make_file

__all__ = ["measure_memory", "peak_mb"]


def measure_memory(folder: Path, due: int, sweep_s: float, advance: Callable[[int], None]) -> dict[str, Any]:
    """Let a fresh process sweep over so many due orders.

    Returns:
        ``due``, ``forwarded`` (orders that it carried to their end), ``start_mb`` (before its App is started) and
        ``peak_mb``, both resident.
    """
    path = folder / "memory.db"
    make_file(path)
    add_orders(path, 0, due, due=due, advance=advance)
    try:
        (result,) = in_processes(partial(_sweep, path, sweep_s))
    finally:
        for each in folder.glob("memory.db*"):
            each.unlink()
    return {"due": due, **result}


def _sweep(path: Path, sweep_s: float, ready: Callable[[], None]) -> dict[str, Any]:
    ready()
    start_mb = peak_mb()

    async def sweep() -> int:
        async with app_over(path, CONTESTANTS[HEADLINE]) as app:
            await asyncio.sleep(sweep_s)
            return app.sweeper.forwarded

    return {"forwarded": run_on_loop(sweep()), "start_mb": round(start_mb, 1), "peak_mb": round(peak_mb(), 1)}


def peak_mb() -> float:
    """The most that was ever resident. Not from getrusage where Linux tells it: that counts the parent's memory in."""
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"VmHWM:\s*(\d+) kB", status.read_text())):
        return int(found[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 1024
