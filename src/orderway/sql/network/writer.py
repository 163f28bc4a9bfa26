"""The writer: the one task of this process that writes to a database over a network, in group commits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from orderway.errors import CommitUnknown, OrderwayError, Unavailable
from orderway.sql.network.line import Line
from orderway.sql.network.link import CommitLost, Link
from orderway.sql.operations import Operation, fail_all
from orderway.sql.steps import Conflict, Duplicate, Failed, Refused
from orderway.sql.writes import Batch, Writes

__all__ = ["Writer", "resolve"]

MOST_TRIES = 10
"""Of a batch that other transactions get in the way of; each try sees what they have left."""


class Writer:
    """Runs batches, each in one transaction; never raises, but leaves every operation with its outcome.

    Args:
        line: where the connections come from; one of them is kept open.
        writes: what to do.
    """

    def __init__(self, line: Line, writes: Writes) -> None:
        self._line = line
        self._writes = writes
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, batch: list[Operation[Any]], landed: Callable[[list[Operation[Any]]], None]) -> None:
        """Have a batch run; ``landed`` is called when it is over."""
        task = asyncio.get_running_loop().create_task(self._run(batch, landed))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, batch: list[Operation[Any]], landed: Callable[[list[Operation[Any]]], None]) -> None:
        try:
            await self._write(batch)
        except OrderwayError as error:
            fail_all(batch, error)
        except Failed as error:
            fail_all(batch, self._line.unavailable(error))
        except Exception as error:  # noqa: BLE001 a mistake of ours must reach the callers, not end the writer
            await self._line.drop()
            fail_all(batch, error)
        landed(batch)

    async def _write(self, batch: Batch) -> None:
        for _ in range(MOST_TRIES):
            link = await self._line.get()
            try:
                async with asyncio.timeout(self._line.answer_within_s):
                    await self._try(link, batch)
                return
            except (Conflict, Duplicate):
                for operation in batch:
                    operation.error = None
            except CommitLost as problem:
                await self._line.drop()
                await resolve(self._line, self._writes, batch, link.name, problem)
                return
            except TimeoutError as error:
                await self._line.drop()
                if link.is_committing:
                    await resolve(self._line, self._writes, batch, link.name, error)
                    return
                raise Failed(f"no answer within {self._line.answer_within_s} s") from error
            except Failed:
                await self._line.drop()
                raise
        raise Unavailable(
            f"{self._line.where}: other transactions got in the way {MOST_TRIES} times: nothing was done, try again"
        )

    async def _try(self, link: Link, batch: Batch) -> None:
        try:
            await link.transact(self._writes.together(batch))
        except (Refused, OrderwayError) as error:
            if isinstance(error, Unavailable):
                raise
            await link.transact(self._writes.apart(batch))


async def resolve(line: Line, writes: Writes, batch: Batch, session: str, problem: Exception) -> None:
    """After a commit that gave no answer: see that its session is gone, and read whether it happened.

    Leaves every operation with its outcome.
    """
    written: bool | None = None
    try:
        link = await line.get()
        await link.end_session(session, line.answer_within_s)
        async with asyncio.timeout(line.answer_within_s):
            written = await link.perform(writes.is_written(batch))
    except (Refused, Failed, OrderwayError, TimeoutError):
        await line.drop()
    if written is None:
        words = line.words(problem)
        fail_all(batch, CommitUnknown(f"the commit gave no answer and could not be looked up: {words}"))
    elif not written:
        fail_all(batch, line.unavailable(problem))
