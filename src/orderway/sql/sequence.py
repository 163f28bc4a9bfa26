"""Sequences in a SQL database, taken in blocks."""

from __future__ import annotations

import asyncio

from orderway.sql.cluster import Cluster
from orderway.sql.operations import NextBlock

__all__ = ["SqlSequence"]

BLOCK = 100
"""Numbers taken with one write; those that a process does not use up are left out."""


class SqlSequence:
    """The ``Sequence`` port; see there for what it promises."""

    def __init__(self, cluster: Cluster) -> None:
        self._database = cluster.home
        self._left: dict[str, range] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def next(self, name: str) -> int:
        """The next number of this sequence, unique among all processes."""
        async with self._locks.setdefault(name, asyncio.Lock()):
            left = self._left.get(name)
            if not left:
                first = await self._database.write(NextBlock(name, BLOCK))
                left = range(first, first + BLOCK)
            self._left[name] = left[1:]
            return left[0]
