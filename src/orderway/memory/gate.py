"""A lock that lets one writer in at a time, whichever event loops and threads the writers run on."""

from __future__ import annotations

import asyncio
from collections import deque
from threading import Lock

__all__ = ["Gate"]


class Gate:
    """An exclusive lock for coroutines, first come first served.

    An ``asyncio.Lock`` belongs to one event loop; two Apps in two threads have two loops, and share this.
    """

    def __init__(self) -> None:
        self._mutex = Lock()
        self._taken = False
        self._queue: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        """How many wait to be let in."""
        return len(self._queue)

    async def acquire(self) -> None:
        """Wait until it is free, and take it. A caller that is cancelled does not keep it."""
        with self._mutex:
            if not self._taken:
                self._taken = True
                return
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            with self._mutex:
                handed_over = turn not in self._queue
                if not handed_over:
                    self._queue.remove(turn)
            if handed_over:
                self.release()
            raise

    def release(self) -> None:
        """Let the next one in."""
        with self._mutex:
            while self._queue:
                turn = self._queue.popleft()
                try:
                    turn.get_loop().call_soon_threadsafe(_grant, turn)
                except RuntimeError:  # its loop was closed: whoever waited there is gone
                    continue
                return
            self._taken = False


def _grant(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)
