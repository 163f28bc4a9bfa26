"""The sequence on Redis: a counter per order type."""

from __future__ import annotations

import asyncio
import re

from orderway.redis.connections import RedisConnections
from orderway.redis.options import Redis

__all__ = ["RedisSequence"]

_OF_TYPE = re.compile(r"orders:([0-9]+)", re.ASCII)


class RedisSequence:
    """The ``Sequence`` port; see there for what it promises, as long as Redis keeps its data.

    A Redis that was emptied, or that came back with older data, counts from there again: whoever makes ids of these
    numbers draws again where an id is taken.

    Args:
        connections: to Redis; they are closed by whoever made them.
        options: key format, and how many numbers are taken with one trip; what a process does not use is left out.
    """

    def __init__(self, connections: RedisConnections, options: Redis) -> None:
        self._connections = connections
        self._format = options.sequence_key_format
        self._block = options.sequence_block
        self._left: dict[str, range] = {}
        self._taking: dict[str, asyncio.Lock] = {}

    async def next(self, name: str) -> int:
        """The next number of this sequence, unique among all processes."""
        if self._block == 1:
            return await self._take(name)
        async with self._taking.setdefault(name, asyncio.Lock()):
            left = self._left.get(name)
            if not left:
                last = await self._take(name)
                left = range(last - self._block + 1, last + 1)
            self._left[name] = left[1:]
            return left[0]

    async def _take(self, name: str) -> int:
        key = self._key(name)
        return int(await self._connections.call(lambda client: client.incrby(key, self._block)))

    def _key(self, name: str) -> str:
        # An order type stands in its key as its number alone, as in the original; no other name looks like one. The
        # numbers of a type are shared by all shards, so that an id's number is unique in its type: <shard_num> is 0.
        of_type = _OF_TYPE.fullmatch(name)
        order_type = of_type[1] if of_type else f":{name}"
        return self._format.replace("<shard_num>", "0").replace("<order_type>", order_type)
