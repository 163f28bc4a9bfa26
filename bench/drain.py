"""How fast a worker carries what an outage has left, what callers feel meanwhile, and what it costs when it is idle.

    python -m bench.drain [--orders N] [--idle SECONDS] [--json FILE]

One file has N orders that are due. A worker in a process of its own, with the settings that an ``App`` has by default,
carries them all; another process creates orders meanwhile, one after the other. Its latency is also measured beside the
same worker at rest. At rest, the worker's CPU and the statements that it runs are counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.memory import peak_mb
from bench.stored import add_orders, make_file
from bench.takeover import percentile
from orderway import App, Business
from orderway.core.order import Order

LATE = 2


class Carried(Business[dict[str, Any]]):
    """What the outage has left."""

    order_type = 1

    def __init__(self, orders: int) -> None:
        self.missing = orders
        self.is_last = asyncio.Event()

    async def deliver(self, order: Order[Any], delivery: Any) -> None:
        """Nothing is to be handed over."""
        self.missing -= 1
        if not self.missing:
            self.is_last.set()


class Sold(Business[dict[str, Any]]):
    """What is sold meanwhile, and carried by nobody."""

    order_type = LATE

    async def deliver(self, order: Order[Any], delivery: Any) -> None:
        """Never called."""


async def work(url: str, orders: int, idle_s: float) -> dict[str, Any]:
    """Carry all that is due, say so, then stay idle."""
    app = App(url)
    carried = Carried(orders)
    app.register(carried)
    began_s, began_cpu_s = time.monotonic(), time.process_time()
    async with app:
        await carried.is_last.wait()
        await app.sweeper.drain()
        drained_s, drain_cpu_s = time.monotonic() - began_s, time.process_time() - began_cpu_s
        drain_peak_mb = peak_mb()
        print("drained", flush=True)
        await asyncio.sleep(1)  # what comes after the last order is no part of the idling
        switches, idle_cpu_s = _switches(), time.process_time()
        await asyncio.sleep(idle_s)
        idle_cpu_s = time.process_time() - idle_cpu_s
        switches = _switches() - switches
    return {
        "orders": orders,
        "drained_s": round(drained_s, 2),
        "orders_a_second": round(orders / drained_s),
        "cpu_us_an_order": round(drain_cpu_s / orders * 1e6, 1),
        "peak_mb": round(drain_peak_mb, 1),
        "idle_cpu_percent": round(idle_cpu_s / idle_s * 100, 2),
        "idle_switches_a_second": round(switches / idle_s, 1),
    }


def _switches() -> int:
    """How often this process has gone to sleep: each look into the database, and each wait, is one at least."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw


async def sell(url: str, until: asyncio.Event) -> list[float]:
    """Create orders one after the other, with short pauses; the seconds that each took."""
    app = App(url, sweep=False)
    app.register(Sold())
    seconds: list[float] = []
    async with app:
        while not until.is_set():
            began_s = time.perf_counter()
            await app.create(LATE, "ann")
            seconds.append(time.perf_counter() - began_s)
            await asyncio.sleep(0.005)
    return seconds


async def measure(url: str, orders: int, idle_s: float) -> dict[str, Any]:
    """The worker in a process of its own, and sales beside it: while it carries, and while it is idle."""
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.drain", "--role", "work", "--url", url),
        *("--orders", str(orders), "--idle", str(idle_s)),
        cwd=Path(__file__).parent.parent,
        stdout=subprocess.PIPE,
    )
    assert worker.stdout is not None
    drained, ended = asyncio.Event(), asyncio.Event()

    async def listen() -> bytes:
        assert worker.stdout is not None
        if (await worker.stdout.readline()).strip() != b"drained":
            raise RuntimeError(f"the worker ended with {await worker.wait()} before all was carried")
        drained.set()
        document = await worker.stdout.readline()
        ended.set()
        return document

    listening = asyncio.create_task(listen())
    busy = await sell(url, drained)
    calm = await sell(url, ended)
    document: dict[str, Any] = json.loads(await listening)
    await worker.wait()
    for name, seconds in (("create_while_draining", busy), ("create_while_idle", calm)):
        document[name] = {
            "count": len(seconds),
            "p50_ms": round(percentile(seconds, 0.5) * 1000, 2),
            "p99_ms": round(percentile(seconds, 0.99) * 1000, 2),
        }
    return document


def run(orders: int, idle_s: float) -> dict[str, Any]:
    """Over a file of its own."""
    with tempfile.TemporaryDirectory(prefix="orderway-drain-") as folder:
        path = Path(folder) / "orders.db"
        make_file(path)
        add_orders(path, 0, orders, due=orders, advance=lambda _: None)
        document = asyncio.run(measure(f"sqlite:///{path}", orders, idle_s))
    return {
        **document,
        "cores": os.cpu_count(),
        "load_1min": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="How fast a worker carries what is due, and what idling costs.")
    parser.add_argument("--orders", type=int, default=100_000)
    parser.add_argument("--idle", type=float, default=20.0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--role", choices=["work"], help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.role == "work":
        print(json.dumps(asyncio.run(work(arguments.url, arguments.orders, arguments.idle))), flush=True)
        return
    result = run(arguments.orders, arguments.idle)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
