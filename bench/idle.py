"""What a worker costs that has nothing to do: what it asks of its database, its CPU, its memory.

    python -m bench.idle [--on sqlite,mariadb,postgresql] [--tables 2,64,1000] [--seconds S] [--json FILE]

A real ``orderway worker``, with the settings that an ``App`` has by default, on a private server. MariaDB counts the
statements itself (``Questions``); PostgreSQL counts transactions (``xact_commit``), of which each look, heartbeat and
read is one; on SQLite the worker counts its own statements.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.servers.kinds import KINDS, running

HERE = Path(__file__).parents[1]
SETTLE_S = 2.0
COUNTED = {
    "mariadb": (
        "statements",
        "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'QUESTIONS'",
    ),
    "postgresql": ("transactions", "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"),
    "sqlite": ("statements", ""),
}


def measure(kind: str, url: str, tables: int, seconds: float, count: Path) -> dict[str, Any]:
    """Start a worker on a database without an order, let it come to rest, and watch it for so long."""
    environment = {**os.environ, "BENCH_URL": url, "BENCH_TABLES": str(tables), "BENCH_COUNT": str(count)}
    # The tables are made by another process: who makes many keeps the memory that it took.
    subprocess.run([sys.executable, "-m", "bench.idle_shop"], cwd=HERE, env=environment, check=True)
    worker = subprocess.Popen(
        [sys.executable, "-c", "from orderway.cli import main; main()", "worker", "bench.idle_shop:app", "--json"],
        cwd=HERE,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert worker.stdout is not None
        if not worker.stdout.readline():
            raise RuntimeError(f"the worker ended with {worker.wait()} before it was ready")
        time.sleep(SETTLE_S)
        what, query = COUNTED[kind]
        before, began_s, cpu_s = _count(kind, url, query, count), time.monotonic(), _cpu_s(worker.pid)
        time.sleep(seconds)
        took_s, cpu_s = time.monotonic() - began_s, _cpu_s(worker.pid) - cpu_s
        asked = _count(kind, url, query, count) - before
        resident_mb = _resident_mb(worker.pid)
    finally:
        worker.terminate()
        worker.communicate()
    return {
        "kind": kind,
        "tables": tables,
        "counted": what,
        "a_second": round(asked / took_s, 1),
        "cpu_percent": round(cpu_s / took_s * 100, 2),
        "resident_mb": round(resident_mb, 1),
    }


def _count(kind: str, url: str, query: str, count: Path) -> int:
    return asyncio.run(_ask(kind, url, query)) if query else int(count.read_text())


async def _ask(kind: str, url: str, query: str) -> int:
    plain = await KINDS[kind].connect(url)
    try:
        [[number]] = await plain.fetch(query)
        return int(number)
    finally:
        await plain.close()


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_mb(pid: int) -> float:
    found = re.search(r"VmRSS:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def run(kinds: Sequence[str], tables: Sequence[int], seconds: float) -> dict[str, Any]:
    """Each kind with each number of tables."""
    rows = []
    with running(kinds) as servers, tempfile.TemporaryDirectory(prefix="orderway-idle-") as folder:
        for kind in kinds:
            for number in tables:
                url = servers.databases[kind].new_database()
                count = Path(folder) / f"{kind}-{number}"
                rows.append(measure(kind, url, number, seconds, count))
                servers.databases[kind].drop(url)
    load = round(os.getloadavg()[0], 1)
    return {"rows": rows, "seconds": seconds, "load_1min": load, "python": platform.python_version()}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="What a worker costs that has nothing to do.")
    parser.add_argument("--on", default=",".join(KINDS), help="kinds of databases, with commas between them")
    parser.add_argument("--tables", default="2,64,1000", help="numbers, with commas between them")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    kinds, tables = arguments.on.split(","), [int(number) for number in arguments.tables.split(",")]
    result = run(kinds, tables, arguments.seconds)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
