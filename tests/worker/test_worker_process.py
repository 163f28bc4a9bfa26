"""``orderway worker`` as a real process: it carries, it stops in good order, it hands back, and it says how it is."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from orderway import App, Business
from orderway.core.order import Order, Stage
from orderway.errors import Unavailable
from orderway.testing.clock import VirtualClock
from orderway.worker import health_app

pytestmark = pytest.mark.slow

WITHIN_S = 60
SHOP = """
import os
import time

from orderway import App, Business


class Gifts(Business[None]):
    order_type = 1

    def deliver(self, order, delivery):
        print("delivering", order.id, flush=True)
        if order.remark == "slow":
            open(os.environ["PIPE"]).read()  # until somebody writes to it
        delivery.execute("INSERT INTO gifts VALUES (:id)", {"id": order.id}, expect=1)

    def finished(self, order):
        print("finished", order.id, flush=True)


app = App("sqlite:///orders.db", close_within_s=float(os.environ.get("CLOSE_WITHIN_S", "30")))
app.register(Gifts())
"""


class WorkerProcess:
    """A worker in a folder with the module ``shop``."""

    def __init__(self, folder: Path, *options: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from orderway.cli import main; main()", "worker", "shop:app", "--json", *options],
            cwd=folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
            stdout=subprocess.PIPE,
            text=True,
        )
        first = self.line()
        assert first.startswith("{"), first
        text = first
        while text.count("{") > text.count("}"):
            text += self.line()
        self.told = json.loads(text)

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def until(self, words: str) -> None:
        while words not in (line := self.line()):
            assert line, f"the worker ended before it said {words!r}"

    def get(self, path: str) -> tuple[int, Any]:
        try:
            with urllib.request.urlopen(self.told["url"] + path, timeout=WITHIN_S) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(WITHIN_S)


class Gifts(Business[None]):
    """What the shop sells, for a process that only sells it."""

    order_type = 1

    async def deliver(self, order: Order[Any], delivery: Any) -> None:
        raise AssertionError("a process that only sells delivers nothing")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., WorkerProcess]]:
    (tmp_path / "shop.py").write_text(SHOP)
    with closing(sqlite3.connect(tmp_path / "orders.db")) as connection:
        connection.execute("CREATE TABLE gifts (id TEXT PRIMARY KEY)")
    workers: list[WorkerProcess] = []

    def start(*options: str, **environment: str) -> WorkerProcess:
        workers.append(WorkerProcess(tmp_path, *options, **environment))
        return workers[-1]

    yield start
    for worker in workers:
        worker.process.kill()
        worker.process.communicate()


@asynccontextmanager
async def shop(folder: Path) -> AsyncIterator[App]:
    """An App that carries nothing."""
    app = App(f"sqlite:///{folder}/orders.db", sweep=False)
    app.register(Gifts())
    async with app:
        yield app


def gifts(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "orders.db")) as connection:
        return [row[0] for row in connection.execute("SELECT id FROM gifts")]


async def test_it_carries_says_how_it_is_and_stops(start: Callable[..., WorkerProcess], tmp_path: Path) -> None:
    worker = start("--listen", "127.0.0.1:0")
    assert worker.told["order_types"] == [1]
    name = worker.told["worker"]
    assert worker.get("/livez") == (200, {"status": "ok", "worker": name})
    assert worker.get("/nothing")[0] == 404
    async with shop(tmp_path) as app:
        order = await app.create(1, "ann")
        worker.until(f"finished {order.id}")
        assert worker.get("/readyz") == (200, {"status": "ok", "worker": name})
        assert worker.end() == 0
        assert (await app.get(order.id)).stage is Stage.FINISHED
        assert name not in (await app.ports.workers.names()).values()
    assert gifts(tmp_path) == [order.id]


async def test_told_to_stop_it_finishes_what_it_has_in_hand(
    start: Callable[..., WorkerProcess], tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    worker = start(PIPE=str(pipe))
    async with shop(tmp_path) as app:
        slow = await app.create(1, "ann", remark="slow")
        worker.until(f"delivering {slow.id}")
        worker.process.send_signal(signal.SIGTERM)
        late = await app.create(1, "bob")
        pipe.write_text("go on")
        assert worker.process.wait(WITHIN_S) == 0
        assert (await app.get(slow.id)).stage is Stage.FINISHED
        assert (await app.get(late.id)).stage is not Stage.DELIVERED
    assert slow.id in gifts(tmp_path)


async def test_a_second_signal_hands_back_and_another_worker_goes_on(
    start: Callable[..., WorkerProcess], tmp_path: Path
) -> None:
    pipes = [tmp_path / "one", tmp_path / "two"]
    for pipe in pipes:
        os.mkfifo(pipe)
    first = start(PIPE=str(pipes[0]))
    async with shop(tmp_path) as app:
        slow = await app.create(1, "ann", remark="slow")
        first.until(f"delivering {slow.id}")
        first.process.send_signal(signal.SIGTERM)
        first.process.send_signal(signal.SIGINT)
        assert first.process.wait(WITHIN_S) == 0, "it does not wait for a hook that may never return"
        second = start(PIPE=str(pipes[1]))
        second.until(f"delivering {slow.id}")
        pipes[1].write_text("go on")
        second.until(f"finished {slow.id}")
        assert second.end() == 0
        assert (await app.get(slow.id)).stage is Stage.FINISHED
    assert gifts(tmp_path) == [slow.id]


def test_it_says_what_is_wrong(start: Callable[..., WorkerProcess], tmp_path: Path) -> None:
    def ends(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-c", "from orderway.cli import main; main()", "worker", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
        return done.returncode, done.stderr

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = ends("shop:app", "--listen", f"127.0.0.1:{port}")
        assert (code, "cannot be listened at" in said) == (4, True), said
    assert ends("shop:app", "--listen", "9464")[0] == 4
    code, said = ends()
    assert (code, "orderway worker shop:app" in said) == (4, True), said
    assert ends("shop:app", "--url", "sqlite:///other.db")[0] == 2
    (tmp_path / "empty.py").write_text("from orderway import App\n\napp = App()\n")
    code, said = ends("empty:app")
    assert (code, "no business" in said) == (4, True), said


async def test_ready_only_while_the_database_takes_its_heartbeat() -> None:
    clock = VirtualClock()
    app = App(clock=clock)
    app.register(Gifts())
    said: list[Any] = []

    async def send(message: Any) -> None:
        said.append(message)

    async def status(path: str) -> int:
        said.clear()
        await health_app(app)({"type": "http", "path": path}, None, send)  # type: ignore[arg-type]
        return int(said[0]["status"])

    assert await status("/livez") == 503
    async with app:
        await clock.advance(1)
        assert (await status("/livez"), await status("/readyz")) == (200, 200)
        beat, app.membership.workers.beat = app.membership.workers.beat, fails  # type: ignore[method-assign]
        await clock.advance(4)
        assert (await status("/livez"), await status("/readyz")) == (200, 503)
        app.membership.workers.beat = beat  # type: ignore[method-assign]
        await clock.advance(1)
        assert await status("/readyz") == 200
        app._tasks[-1].cancel()
        await clock.advance(1)
        assert (await status("/livez"), await status("/readyz")) == (503, 503)


async def fails(incarnation: int) -> bool:
    raise Unavailable("the database does not answer")
