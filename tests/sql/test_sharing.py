"""Several processes write one file: each gets its share, and none waits for long."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from orderway.adapters import open_ports

WRITER = """
import asyncio, json, os, sys, time
from orderway.adapters import open_ports
from orderway.testing.conformance.builders import make_order

async def main(url, seconds):
    ports = await open_ports(url)
    print("ready", flush=True)
    sys.stdin.readline()
    end, longest, done = time.monotonic() + seconds, 0.0, 0

    async def caller(number):
        nonlocal longest, done
        while (begun := time.monotonic()) < end:
            await ports.store.create(*make_order(f"user-{number}", at_us=os.getpid()))  # ids of this process only
            longest, done = max(longest, time.monotonic() - begun), done + 1

    await asyncio.gather(*map(caller, range(8)))
    await ports.close()
    print(json.dumps([done, longest]), flush=True)

asyncio.run(main(sys.argv[1], float(sys.argv[2])))
"""


async def test_two_processes_share_a_file_fairly(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/orders.db"
    ports = await open_ports(url)
    writers = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", WRITER, url, "2", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        for _ in range(2)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert await writer.stdout.readline() == b"ready\n"
    answers = await asyncio.gather(*(writer.communicate(b"go\n") for writer in writers))
    results = [json.loads(out) for out, _ in answers]
    counts = [done for done, _ in results]
    assert min(counts) > 20
    assert min(counts) > max(counts) / 4, results
    assert max(longest for _, longest in results) < 2, results
    assert (await ports.store.overview(0))["by_status"] == {1: sum(counts)}
    await ports.close()
