"""The order as a row and a procrastinate job; the worker runs in the same process."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from procrastinate import App, PsycopgConnector

from bench.servers.original import EXTEND, connect, count_finished, insert, make_tables, shard_of, update
from bench.servers.place import Carry, Place

__all__ = ["count_finished", "opened", "prepare"]

POLL_S = 1.0
ANSWERS = 3
"""So many jobs until it is sure that the worker is told of new ones: what came before it listened waits for a poll."""


async def prepare(place: Place) -> None:
    """The original's tables and its own."""
    await make_tables(place)
    app = _app(place)
    async with app.open_async():
        await app.schema_manager.apply_schema_async()


@asynccontextmanager
async def opened(place: Place) -> AsyncIterator[Carry]:
    """With as many jobs at once as there are connections."""
    logging.getLogger("procrastinate").setLevel(logging.ERROR)
    app = _app(place)
    sessions: asyncio.LifoQueue[Any] = asyncio.LifoQueue()
    waiting: dict[str, asyncio.Future[None]] = {}

    async def run(sql: str, *values: Any) -> None:
        plain = await sessions.get()
        try:
            await plain.ready(sql)(*values)
        finally:
            sessions.put_nowait(plain)

    @app.task(name="answer")
    async def answer(oid: str) -> None:
        waiting.pop(oid).set_result(None)

    @app.task(name="deliver")
    async def deliver(oid: str, uid: str) -> None:
        await run(update(shard_of(uid)), EXTEND, oid, uid)
        waiting.pop(oid).set_result(None)

    async def carry(uid: str) -> None:
        oid = uuid.uuid4().hex
        finished = waiting[oid] = asyncio.get_running_loop().create_future()
        await run(insert(shard_of(uid)), oid, uid, EXTEND)
        await deliver.defer_async(oid=oid, uid=uid)
        await finished

    async with AsyncExitStack() as stack:
        for _ in range(place.pool):
            plain = await connect(place)
            stack.push_async_callback(plain.close)
            sessions.put_nowait(plain)
        await stack.enter_async_context(app.open_async())
        worker = app.run_worker_async(
            concurrency=place.pool,
            install_signal_handlers=False,
            fetch_job_polling_interval=POLL_S,
        )
        stack.push_async_callback(_stop, asyncio.create_task(worker))
        for _ in range(ANSWERS):
            oid = uuid.uuid4().hex
            answered = waiting[oid] = asyncio.get_running_loop().create_future()
            await answer.defer_async(oid=oid)
            await answered
        yield carry


def _app(place: Place) -> App:
    return App(connector=PsycopgConnector(conninfo=place.url, min_size=4, max_size=place.pool + 4))


async def _stop(worker: asyncio.Task[None]) -> None:
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
