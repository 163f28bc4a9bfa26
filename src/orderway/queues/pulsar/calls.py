"""The calls to the client that are under way: each is seen to its end, whoever made it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["Calls"]

T = TypeVar("T")


class Calls:
    """Calls that go on when their callers are cancelled, until the client itself has answered or given up.

    What the client made for somebody who was cancelled, a consumer with messages in it for instance, would be nobody's.
    And it answers on a thread of its own, which hands the answer to the event loop: if that is closed, the process is
    aborted. So a queue waits for what is under way before it is closed.
    """

    def __init__(self) -> None:
        self._under_way: set[asyncio.Task[Any]] = set()

    def begin(self, call: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Make a call. Its error is told to those who wait for it; with nobody left, it is nobody's."""
        task = asyncio.create_task(call)
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        return task

    async def make(self, call: Coroutine[Any, Any, T]) -> T:
        """Make a call, and wait for its answer."""
        return await asyncio.shield(self.begin(call))

    async def end(self, within_s: float) -> None:
        """Wait until all have ended, but no longer than this."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=within_s)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()
