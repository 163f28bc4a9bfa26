"""A thread of its own that runs batches, one after another, for an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from orderway.sql.operations import Operation

__all__ = ["BatchThread", "tell"]

Batch = list[Operation[Any]]
Landed = Callable[[Batch], None]


class BatchThread:
    """Runs batches in a thread; tells the loop once a batch.

    Args:
        name: of the thread.
        run: runs one batch and leaves each operation with its outcome; never raises.
    """

    def __init__(self, name: str, run: Callable[[Batch], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._inbox: SimpleQueue[tuple[Batch, Landed] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, args=(run,), name=name, daemon=True)
        self._thread.start()

    def begin(self, batch: Batch, landed: Landed) -> None:
        """Have a batch run; ``landed`` is then called on the loop's thread."""
        self._inbox.put((batch, landed))

    async def close(self) -> None:
        """End the thread once it has run what it was given."""
        self._inbox.put(None)
        await asyncio.to_thread(self._thread.join)

    def _serve(self, run: Callable[[Batch], None]) -> None:
        while (item := self._inbox.get()) is not None:
            batch, landed = item
            run(batch)
            tell(self._loop, landed, batch)


def tell(loop: asyncio.AbstractEventLoop, callback: Callable[..., None], *arguments: Any) -> None:
    """Call something on the loop's thread, if the loop is still there."""
    try:
        loop.call_soon_threadsafe(callback, *arguments)
    except RuntimeError:
        if not loop.is_closed():
            raise
