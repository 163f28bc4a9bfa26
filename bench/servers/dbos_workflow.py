"""The order as a DBOS workflow of three steps."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from dbos import DBOS, DBOSConfig

from bench.servers.original import EXTEND, connect, count_finished, insert, make_tables, shard_of, update
from bench.servers.place import Carry, Place

__all__ = ["count_finished", "opened", "prepare"]

_sessions: asyncio.LifoQueue[Any]
"""DBOS finds its functions by their names, so what they need stands here and is no argument."""


@DBOS.step()
async def create(oid: str, uid: str) -> None:
    """The order's row."""
    await _run(insert(shard_of(uid)), oid, uid, EXTEND)


@DBOS.step()
async def deliver(oid: str) -> None:
    """Nothing."""


@DBOS.step()
async def finish(oid: str, uid: str) -> None:
    """The order is finished."""
    await _run(update(shard_of(uid)), EXTEND, oid, uid)


@DBOS.workflow()
async def order(uid: str) -> None:
    """One order, from its beginning to its end."""
    assert DBOS.workflow_id is not None
    await create(DBOS.workflow_id, uid)
    await deliver(DBOS.workflow_id)
    await finish(DBOS.workflow_id, uid)


async def prepare(place: Place) -> None:
    """The original's tables. Its own ones DBOS makes when it is first opened, which takes a while."""
    await make_tables(place)
    async with opened(place):
        pass


@asynccontextmanager
async def opened(place: Place) -> AsyncIterator[Carry]:
    """As it comes, but quiet."""
    global _sessions  # noqa: PLW0603 see above
    _sessions = asyncio.LifoQueue()
    async with AsyncExitStack() as stack:
        for _ in range(place.pool):
            plain = await connect(place)
            stack.push_async_callback(plain.close)
            _sessions.put_nowait(plain)
        config: DBOSConfig = {
            "name": "bench",
            "system_database_url": place.url,
            "log_level": "ERROR",
            "executor_id": uuid.uuid4().hex,  # so that nobody recovers what another round left
        }
        DBOS(config=config)
        stack.callback(DBOS.destroy)
        DBOS.launch()
        yield order


async def _run(sql: str, *values: Any) -> None:
    plain = await _sessions.get()
    try:
        await plain.ready(sql)(*values)
    finally:
        _sessions.put_nowait(plain)
