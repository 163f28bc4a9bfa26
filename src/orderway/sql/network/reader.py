"""Readers: connections that see what was committed last, beside the writer and never in its way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from orderway.errors import OrderwayError
from orderway.sql.network.line import Line
from orderway.sql.network.link import Link
from orderway.sql.operations import Fetch, Get, Operation, fail_all
from orderway.sql.orders import OrderWrites
from orderway.sql.reads import fetch, get_all
from orderway.sql.steps import Conflict, Failed

__all__ = ["Reader"]


class Reader:
    """Runs batches of reads on one connection; never raises, but leaves every operation with its outcome.

    A read that finds its connection gone is done again on a new one, once: a database that was restarted since the
    last read has closed all of them.
    """

    def __init__(self, line: Line, orders: OrderWrites) -> None:
        self._line = line
        self._orders = orders
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, batch: list[Operation[Any]], landed: Callable[[list[Operation[Any]]], None]) -> None:
        """Have a batch run; ``landed`` is called when it is over."""
        task = asyncio.get_running_loop().create_task(self._run(batch, landed))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, batch: list[Operation[Any]], landed: Callable[[list[Operation[Any]]], None]) -> None:
        try:
            try:
                await self._read(batch)
            except (Failed, Conflict, TimeoutError):
                await self._line.drop()
                await self._read(batch)
        except OrderwayError as error:
            fail_all(batch, error)
        except (Failed, Conflict, TimeoutError) as error:
            await self._line.drop()
            fail_all(batch, self._line.unavailable(error))
        except Exception as error:  # noqa: BLE001 a mistake of ours must reach the callers, not end the reader
            await self._line.drop()
            fail_all(batch, error)
        landed(batch)

    async def _read(self, batch: list[Operation[Any]]) -> None:
        link = await self._line.get()
        async with asyncio.timeout(self._line.answer_within_s):
            await self._read_on(link, batch)

    async def _read_on(self, link: Link, batch: list[Operation[Any]]) -> None:
        gets = [operation for operation in batch if isinstance(operation, Get)]
        if gets:
            await link.perform(get_all(self._orders, gets))
        for operation in batch:
            if isinstance(operation, Fetch):
                await link.perform(fetch(operation))
