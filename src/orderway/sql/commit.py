"""Group commit: operations that arrive while one transaction is in flight go together into the next one.

No timer is involved: an idle database commits at once, a busy one in ever larger groups, so that the cost of an order
falls under load. Each caller is told the outcome of its own operation, after the commit.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable
from itertools import islice
from time import perf_counter
from typing import Any, TypeVar

from orderway.errors import Unavailable, WrongThread
from orderway.sql.operations import Operation

__all__ = ["Begin", "GroupCommit"]

T = TypeVar("T")
Batch = list[Operation[Any]]
Begin = Callable[[Batch, Callable[[Batch], None]], None]
"""Starts one transaction for a batch, elsewhere; calls the given function on the loop's thread when it is over."""


class GroupCommit:
    """Groups operations in front of one connection; the same for writes and for reads.

    Bounded: once ``most_waiting`` operations are accepted and wait, further callers stand in line outside (first
    come, first served). An accepted operation runs even if its caller is cancelled; one that stands in line does not.

    Args:
        begin: runs a batch; never called again before the one before is over.
        largest_batch: at most this many operations a transaction.
        most_waiting: the bound.
        told_together: so many callers are told their outcome in one turn of the loop. What those ask for next is
            already on its way while the others are told: otherwise all would ask together, and database and callers
            would wait for each other in turns. None for all of them, where both take the interpreter's lock anyway.

    Attributes:
        on_commit: told of each batch when it is over: how many operations, and in how many seconds.
    """

    def __init__(
        self,
        begin: Begin,
        *,
        largest_batch: int = 1024,
        most_waiting: int = 8192,
        told_together: int | None = None,
    ) -> None:
        self._begin = begin
        self._largest_batch = largest_batch
        self._told_together = told_together or largest_batch
        self._most_waiting = most_waiting
        self._loop = asyncio.get_running_loop()
        self._pid = os.getpid()
        self._waiting: deque[Operation[Any]] = deque()
        self._line: deque[Operation[Any]] = deque()
        self._flushing = False
        self._closed = False
        self._begun_s = 0.0
        self.on_commit: Callable[[int, float], None] | None = None
        self._idle: asyncio.Event = asyncio.Event()
        self._idle.set()

    @property
    def waiting(self) -> int:
        """How many accepted operations wait for the next transaction."""
        return len(self._waiting)

    @property
    def in_line(self) -> int:
        """How many callers wait for their operation to be accepted."""
        return len(self._line)

    def submit(self, operation: Operation[T]) -> asyncio.Future[T]:
        """Have an operation done; the future gives its outcome once that is durable.

        Raises:
            Unavailable: the database is closed; nothing was done.
            WrongThread: used after a fork, or from another event loop or thread.
        """
        if self._closed or _running_loop() is not self._loop:
            raise self._refusal(operation)
        future: asyncio.Future[T] = self._loop.create_future()
        operation.future = future
        if len(self._waiting) < self._most_waiting and not self._line:
            self._waiting.append(operation)
        else:
            self._line.append(operation)
        if not self._flushing:
            self._flushing = True
            self._idle.clear()
            # Not at once: whoever else is ready in this turn of the loop comes along.
            self._loop.call_soon(self._flush)
        return future

    async def close(self) -> None:
        """Refuse what comes from now on and what stands in line; finish what was accepted. Idempotent."""
        self._closed = True
        while self._line:
            operation = self._line.popleft()
            if not operation.future.done():
                operation.future.set_exception(self._refusal(operation))
        await self._idle.wait()

    def _flush(self) -> None:
        waiting = self._waiting
        if len(waiting) <= self._largest_batch:
            batch = list(waiting)
            waiting.clear()
        else:
            batch = [waiting.popleft() for _ in range(self._largest_batch)]
        while self._line and len(waiting) < self._most_waiting:
            operation = self._line.popleft()
            if not operation.future.done():
                waiting.append(operation)
        self._begun_s = perf_counter()
        self._begin(batch, self._landed)

    def _landed(self, batch: Batch) -> None:
        duration_s = perf_counter() - self._begun_s
        if self._waiting:
            self._flush()  # first, so that the database works while the callers below do
        else:
            self._flushing = False
            self._idle.set()
        if self.on_commit is not None:
            self.on_commit(len(batch), duration_s)
        self._tell(batch, 0)

    def _tell(self, batch: Batch, first: int) -> None:
        """Give the callers from this one on their outcome, the rest of them in the next turns of the loop."""
        behind = first + self._told_together
        for operation in islice(batch, first, behind):
            future = operation.future
            if future.done():  # its caller was cancelled
                continue
            if operation.error is None:
                future.set_result(operation.result)
            else:
                future.set_exception(operation.error)
        if behind < len(batch):
            self._loop.call_soon(self._tell, batch, behind)

    def _refusal(self, operation: Operation[Any]) -> Exception:
        order_id = operation.order_id
        if os.getpid() != self._pid:
            return WrongThread(
                "the database was opened before this process was forked: open it anew after the fork", order_id=order_id
            )
        if self._closed:
            return Unavailable("the database is closed: nothing was done", order_id=order_id)
        return WrongThread(
            "the database was opened on another event loop: use it on that one, or open it once more on this one",
            order_id=order_id,
        )


def _running_loop() -> asyncio.AbstractEventLoop | None:
    """The loop of this thread; None without one, as after a fork."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
