"""The original's protocol, at its best in Python: Redis INCR, INSERT, SET NX, UPDATE, Redis DEL; one commit each.

A pool of sessions, each a connection to the database and one to Redis. An order keeps its session for all five steps:
that is faster than taking a connection for each. A session is handed to whoever has waited longest: where its own
caller could take it again at once, as with asyncio's queue, a few callers would have all of them, and the others none.
redis-py's own connection with hiredis, without the client around it, is the fastest of what is to be had: its client
costs 20 us more a command, coredis takes twice as long.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

from redis.asyncio import Connection

from bench.servers.original import EXTEND, SHARDS, connect, count_finished, insert, make_tables, shard_of, update
from bench.servers.place import Carry, Place

__all__ = ["count_finished", "opened", "prepare"]

LOCK_S = "30"
prepare = make_tables


class _Session:
    """One connection to each, with the statements ready."""

    def __init__(self, plain: Any, redis: Connection) -> None:
        self._redis = redis
        self._insert = [plain.ready(insert(shard)) for shard in range(SHARDS)]
        self._update = [plain.ready(update(shard)) for shard in range(SHARDS)]

    async def carry(self, uid: str) -> None:
        shard = shard_of(uid)
        number = await self._ask("INCR", f"order:seqno:1:{shard}")
        oid = f"order-sgen-1-{shard}-{number}-{int(time.time())}"
        await self._insert[shard](oid, uid, EXTEND)
        lock = f"order:lock:op:{oid}"
        if await self._ask("SET", lock, "1", "NX", "EX", LOCK_S) is None:
            raise RuntimeError(f"somebody else holds {lock}")
        await self._update[shard](EXTEND, oid, uid)
        await self._ask("DEL", lock)

    async def _ask(self, *words: str) -> Any:
        await self._redis.send_command(*words)
        return await self._redis.read_response()


@asynccontextmanager
async def opened(place: Place) -> AsyncIterator[Carry]:
    """With ``place.pool`` sessions."""
    free: list[_Session] = []
    waiting: deque[asyncio.Future[_Session]] = deque()
    async with AsyncExitStack() as stack:
        for _ in range(place.pool):
            plain = await connect(place)
            stack.push_async_callback(plain.close)
            redis = await _redis(place.redis_url)
            stack.push_async_callback(redis.disconnect)
            free.append(_Session(plain, redis))
        loop = asyncio.get_running_loop()

        async def carry(uid: str) -> None:
            if free:
                session = free.pop()
            else:
                waiting.append(loop.create_future())
                session = await waiting[-1]
            await session.carry(uid)
            if waiting:
                waiting.popleft().set_result(session)
            else:
                free.append(session)

        yield carry


async def _redis(url: str) -> Connection:
    parts = urlsplit(url)
    connection = Connection(host=parts.hostname or "", port=parts.port or 6379, password=unquote(parts.password or ""))
    await connection.connect()
    return connection
