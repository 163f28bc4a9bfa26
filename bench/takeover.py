"""How long until the orders of a killed process are taken up by another one.

    python -m bench.takeover [--kills N] [--orders M] [--callers C] [--json FILE]

Two processes share one SQLite file with the settings that an ``App`` has by default. The one holds M orders in the
middle of their delivery and is killed with SIGKILL; the other one is alive and sweeping, idle or with C callers of its
own who order as fast as they are served. For each order, the time
from the kill until the other process runs its ``deliver`` hook is measured, on the machine's monotonic clock, which all
processes share. Each kill has a file of its own. Required: p99 of all orders at most 5 s.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from orderway import App, Business
from orderway.core.order import Order

REQUIRED_P99_S = 5.0


class Held(Business[dict[str, Any]]):
    """The process that will be killed takes an order in hand and never comes to an end with it."""

    order_type = 1

    def __init__(self, orders: int) -> None:
        self.missing = orders
        self.holds_all = asyncio.Event()

    async def deliver(self, order: Order[Any], delivery: Any) -> None:
        self.missing -= 1
        if not self.missing:
            self.holds_all.set()
        await asyncio.Event().wait()


class Taken(Business[dict[str, Any]]):
    """The process that stays says when it took an order up."""

    order_type = 1

    async def deliver(self, order: Order[Any], delivery: Any) -> None:
        print(f"taken {order.id} {time.monotonic()}", flush=True)


async def hold(url: str, orders: int) -> None:
    """Take orders in hand, say so, and wait to be killed."""
    business = Held(orders)
    app = App(url)
    app.register(business)
    async with app:
        created = [await app.create(1, f"user-{number}") for number in range(orders)]
        tasks = [asyncio.create_task(app.forward(order)) for order in created]
        await business.holds_all.wait()
        print("held", flush=True)
        await asyncio.gather(*tasks)


class Busy(Business[dict[str, Any]]):
    """What the callers of the process that stays order meanwhile."""

    order_type = 2

    async def deliver(self, order: Order[Any], delivery: Any) -> None:
        """Nothing is to be handed over."""


async def take_up(url: str, callers: int) -> None:
    """Sweep until the input is closed, and serve so many callers meanwhile."""
    app = App(url)
    app.register(Taken())
    app.register(Busy())

    async def call() -> None:
        while True:
            await app.forward(await app.create(2, "busy"))

    async with app:
        calling = [asyncio.create_task(call()) for _ in range(callers)]
        print("alive", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        for task in calling:
            task.cancel()
        await asyncio.gather(*calling, return_exceptions=True)


def start(role: str, url: str, orders: int, callers: int) -> subprocess.Popen[str]:
    """One of the two processes, once it is ready."""
    numbers = ["--orders", str(orders), "--callers", str(callers)]
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.takeover", "--role", role, "--url", url, *numbers],
        cwd=Path(__file__).parent.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    if not process.stdout.readline():
        raise RuntimeError(f"the process that was to {role} ended with {process.wait()} before it was ready")
    return process


def measure(folder: Path, orders: int, callers: int, delay_s: float) -> list[float]:
    """Kill once; the seconds until each order was taken up."""
    url = f"sqlite:///{folder / 'orders.db'}"
    staying = start("take-up", url, orders, callers)
    dying = start("hold", url, orders, callers)
    time.sleep(delay_s)  # so that kills fall everywhere between two heartbeats
    killed_at = time.monotonic()
    os.kill(dying.pid, signal.SIGKILL)
    assert dying.wait() == -signal.SIGKILL
    assert staying.stdout is not None
    taken: dict[str, float] = {}
    while len(taken) < orders:
        line = staying.stdout.readline()
        if not line:
            raise RuntimeError(f"the process that stayed ended with {staying.wait()}; {len(taken)} orders taken up")
        _, order_id, at = line.split()
        taken.setdefault(order_id, float(at) - killed_at)
    staying.communicate()
    return list(taken.values())


def percentile(values: list[float], share: float) -> float:
    """The smallest value that so large a share of all values does not exceed."""
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]


def run(kills: int, orders: int, callers: int) -> dict[str, Any]:
    """Kill so often; the distribution over all orders."""
    seconds: list[float] = []
    for number in range(kills):
        with tempfile.TemporaryDirectory(prefix="orderway-takeover-") as folder:
            seconds += measure(Path(folder), orders, callers, delay_s=number / kills)
    return {
        "kills": kills,
        "orders_a_kill": orders,
        "callers": callers,
        "taken_up": len(seconds),
        "min_s": round(min(seconds), 3),
        "p50_s": round(statistics.median(seconds), 3),
        "p99_s": round(percentile(seconds, 0.99), 3),
        "max_s": round(max(seconds), 3),
        "required_p99_s": REQUIRED_P99_S,
        "cores": os.cpu_count(),
        "load_1min": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Time from SIGKILL until another process takes the orders up.")
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--orders", type=int, default=20)
    parser.add_argument("--callers", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--role", choices=["hold", "take-up"], help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.role == "hold":
        asyncio.run(hold(arguments.url, arguments.orders))
    elif arguments.role == "take-up":
        asyncio.run(take_up(arguments.url, arguments.callers))
    else:
        result = run(arguments.kills, arguments.orders, arguments.callers)
        if arguments.json:
            arguments.json.write_text(json.dumps(result, indent=2) + "\n")
        print(json.dumps(result))
        print(
            f"{result['taken_up']} orders of {result['kills']} killed processes were taken up after"
            f" p50 {result['p50_s']} s, p99 {result['p99_s']} s, at most {result['max_s']} s"
            f" (required: p99 of at most {REQUIRED_P99_S} s)"
        )


if __name__ == "__main__":
    main()
