"""A fleet: real workers and buyers on one database, which are killed and frozen at random."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from order_database import OrderDatabase

__all__ = ["Buyers", "Death", "Fleet", "HookLog", "Worker", "environment_for", "until"]

HERE = Path(__file__).parent
LOOK_EVERY_S = 0.02
WITHIN_S = 120.0
REBORN = "was declared dead; it goes on under a new incarnation"
REFUSED = "could not be forwarded now: order "
"""How the refusal of a write begins that came too late: the order is held by another one now."""

Row = dict[str, Any]


async def until(what: str, holds: Callable[[], Awaitable[bool]], within_s: float = WITHIN_S) -> None:
    """Wait until this holds.

    Raises:
        AssertionError: it does not in time.
    """
    never, give_up_at_s = asyncio.Event(), time.monotonic() + within_s
    while not await holds():
        assert time.monotonic() < give_up_at_s, f"within {within_s} s it did not come about that {what}"
        try:
            async with asyncio.timeout(LOOK_EVERY_S):
                await never.wait()
        except TimeoutError:
            continue


class HookLog:
    """What the hooks of all workers wrote down, as far as it has been read."""

    def __init__(self, path: Path) -> None:
        path.touch()
        self._path = path
        self._read_bytes = 0
        self.lines: list[Row] = []
        self.deliveries = 0

    def read(self) -> list[Row]:
        """Everything up to now."""
        with self._path.open("rb") as file:
            file.seek(self._read_bytes)
            written = file.read()
        written = written[: written.rfind(b"\n") + 1]  # what runs over the end of a page is seen half written
        self._read_bytes += len(written)
        for text in written.splitlines():
            line = json.loads(text)
            self.lines.append(line)
            self.deliveries += line["what"] == "delivering"
        return self.lines

    def at_work(self) -> set[int]:
        """The pids of those that are in the middle of a delivery, or died in it."""
        open_of: dict[str, int] = {}
        for line in self.read():
            if line["what"] == "delivering":
                open_of[line["id"]] = line["pid"]
            elif line["what"] == "handed over":
                open_of.pop(line["id"], None)
        return set(open_of.values())

    async def until_delivering(self, more: int, within_s: float) -> None:
        """Wait until so many more deliveries have begun, or the time is over."""
        self.read()
        wanted, give_up_at_s = self.deliveries + more, time.monotonic() + within_s

        async def enough() -> bool:
            self.read()
            return self.deliveries >= wanted or time.monotonic() > give_up_at_s

        await until("deliveries begin", enough)


@dataclass
class Death:
    """The end of a worker, or what the others must take for it.

    Attributes:
        at_s: when, on the machine's monotonic clock.
        pid: of the worker.
        incarnations: under which it held orders.
        orders: the ids of those that it held.
    """

    at_s: float
    pid: int
    incarnations: frozenset[int] = frozenset()
    orders: frozenset[str] = frozenset()


@dataclass
class Worker:
    """One ``orderway worker``, and what it has said on stderr up to now."""

    process: Process
    said: Path
    is_ready: asyncio.Task[None]
    is_frozen: bool = False

    @property
    def is_alive(self) -> bool:
        """It carries orders, as far as one can tell."""
        return self.is_ready.done() and not self.is_frozen and self.process.returncode is None

    def count_said(self, words: str) -> int:
        """How often it has logged this."""
        return self.said.read_text().count(words)


@dataclass
class Fleet:
    """Workers on one database.

    Args:
        folder: for their files.
        environment: of each.
        orders: the database, past the package.
    """

    folder: Path
    environment: dict[str, str]
    orders: OrderDatabase
    workers: list[Worker] = field(default_factory=list)
    kills: list[Death] = field(default_factory=list)
    freezes: list[Death] = field(default_factory=list)
    thawed_in_transactions: int = 0
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def fetch(self, sql: str) -> list[Row]:
        """Ask the database, one question at a time: a connection knows no other way."""
        async with self._asking:
            return await self.orders.fetch(sql)

    async def start(self, **environment: str) -> Worker:
        """Start one more worker; it is ready when it carries orders."""
        said = self.folder / f"worker-{len(list(self.folder.glob('worker-*')))}.log"
        with said.open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", "from orderway.cli import main; main()", "worker", "fleet_shop:app", "--json"),
                cwd=HERE,
                env=self.environment | environment,
                stdout=PIPE,
                stderr=stderr,
            )
        self.workers.append(Worker(process, said, asyncio.create_task(_ready(process, said))))
        return self.workers[-1]

    def alive(self) -> list[Worker]:
        """Those that are up and running."""
        return [worker for worker in self.workers if worker.is_alive]

    async def kill(self, worker: Worker) -> None:
        """SIGKILL; another one is started at once."""
        at_s = time.monotonic()
        worker.process.kill()
        assert await worker.process.wait() == -signal.SIGKILL
        self.workers.remove(worker)
        self.kills.append(await self._death_of(worker, at_s))
        await self.start()

    async def freeze(self, worker: Worker) -> None:
        """SIGSTOP, and SIGCONT only after others have declared it dead and taken its orders over."""
        worker.is_frozen = True
        rebirths = worker.count_said(REBORN)

        async def is_reborn() -> bool:
            return worker.count_said(REBORN) > rebirths

        async def has_joined() -> bool:
            return bool(await self._incarnations_of(worker))

        await until("a worker that was just taken for dead has joined again", has_joined)
        at_s = time.monotonic()
        worker.process.send_signal(signal.SIGSTOP)
        while _has_file_lock(worker.process.pid):
            # Within a transaction on a file: nobody else could write before it goes on, as with any use of SQLite.
            worker.process.send_signal(signal.SIGCONT)
            self.thawed_in_transactions += 1
            at_s = time.monotonic()
            worker.process.send_signal(signal.SIGSTOP)
        death = await self._death_of(worker, at_s)
        self.freezes.append(death)
        await until("a frozen worker is taken for dead", lambda: self._is_replaced(death))
        worker.process.send_signal(signal.SIGCONT)
        await until("it finds itself taken for dead", is_reborn)
        worker.is_frozen = False

    async def _death_of(self, worker: Worker, at_s: float) -> Death:
        incarnations = await self._incarnations_of(worker)
        return Death(at_s, worker.process.pid, incarnations, frozenset(await self._held_by(incarnations)))

    async def _incarnations_of(self, worker: Worker) -> frozenset[int]:
        rows = await self.fetch("SELECT incarnation, name FROM ow_workers")
        return frozenset(row["incarnation"] for row in rows if row["name"].endswith(f":{worker.process.pid}"))

    async def _held_by(self, incarnations: frozenset[int]) -> list[str]:
        if not incarnations:
            return []
        numbers = ", ".join(map(str, incarnations))
        return [row["id"] for row in await self.fetch(f"SELECT id FROM ow_orders_0 WHERE holder IN ({numbers})")]

    async def _is_replaced(self, death: Death) -> bool:
        found = {row["incarnation"] for row in await self.fetch("SELECT incarnation FROM ow_workers")}
        return not found & death.incarnations and not await self._held_by(death.incarnations)

    def count_said(self, words: str) -> int:
        """How often any worker has logged this."""
        return sum(path.read_text().count(words) for path in self.folder.glob("worker-*.log"))

    async def stop(self) -> None:
        """SIGTERM; all end in good order."""
        for worker in self.workers:
            await worker.is_ready
            worker.process.terminate()
        for worker in self.workers:
            code = await asyncio.wait_for(worker.process.wait(), WITHIN_S)
            assert code == 0, worker.said.read_text()[-2000:]
        self.workers.clear()

    async def end(self) -> None:
        """SIGKILL, for whoever is left, frozen or not."""
        for worker in self.workers:
            worker.is_ready.cancel()
            if worker.process.returncode is None:
                worker.process.kill()
                await worker.process.wait()

    def waits(self, log: HookLog) -> Iterator[float]:
        """For each order that a dead worker held: after how many seconds another one had taken it up.

        Another one has it when one of its hooks says so, or at the latest when that one dies with it. An order whose
        last commit was still under way at the server has come to its end without anybody.
        """
        carried: dict[str, list[tuple[float, int]]] = {}
        for line in log.read():
            carried.setdefault(line["id"], []).append((line["at_s"], line["pid"]))
        deaths = [*self.kills, *self.freezes]
        for death in deaths:
            for other in deaths:
                for order_id in other.orders & death.orders:
                    carried.setdefault(order_id, []).append((other.at_s, other.pid))
        for death in deaths:
            for order_id in death.orders:
                after = [at_s for at_s, pid in carried[order_id] if at_s > death.at_s and pid != death.pid]
                if after:
                    yield min(after) - death.at_s


class Buyers:
    """Processes that buy, each told what to do by lines; they ask until they are answered."""

    def __init__(self) -> None:
        self.processes: list[Process] = []
        self.asked = 0
        self._answers: list[asyncio.Task[int]] = []

    @classmethod
    @asynccontextmanager
    async def started(cls, count: int, environment: dict[str, str]) -> AsyncIterator[Buyers]:
        """So many, which end with the context."""
        buyers = cls()
        try:
            for _ in range(count):
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "fleet_buyer.py"), cwd=HERE, env=environment, stdin=PIPE, stdout=PIPE
                )
                buyers.processes.append(process)
                buyers._answers.append(asyncio.create_task(_count(process)))
            yield buyers
        finally:
            for process in buyers.processes:
                if process.returncode is None:
                    process.kill()
                    await process.wait()

    def ask(self, wish: Row) -> None:
        """Have one of them do this."""
        stdin = self.processes[self.asked % len(self.processes)].stdin
        assert stdin is not None
        stdin.write(json.dumps(wish).encode() + b"\n")
        self.asked += 1

    async def done(self) -> None:
        """Wait until all was done, and they have ended."""
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.close()
        assert sum(await asyncio.gather(*self._answers)) == self.asked
        assert [await process.wait() for process in self.processes] == [0] * len(self.processes)


async def _ready(process: Process, said: Path) -> None:
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), WITHIN_S)
    assert line.startswith(b"{") or process.returncode == -signal.SIGKILL, f"it never carried orders: see {said}"


async def _count(process: Process) -> int:
    assert process.stdout is not None
    return sum([line == b"done\n" async for line in process.stdout])


def _has_file_lock(pid: int) -> bool:
    """Whether a process holds the lock that transactions on a SQLite file are done under."""
    locks = Path("/proc/locks").read_text().splitlines()
    return any("FLOCK" in line and f" {pid} " in line for line in locks)


def environment_for(url: str, log: Path) -> dict[str, str]:
    """What the shop's processes are told."""
    return {**os.environ, "PYTHONUNBUFFERED": "1", "FLEET_URL": url, "FLEET_LOG": str(log)}
