"""Transactions of the user's own, beside the group commits, each on a connection that it has for itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from orderway.errors import DeliveryFailed, Unavailable
from orderway.ports.statements import check_statement
from orderway.ports.store import Change
from orderway.sql.network.line import Line
from orderway.sql.network.link import CommitLost, Link
from orderway.sql.network.writer import resolve
from orderway.sql.operations import Record
from orderway.sql.steps import Conflict, Failed, Own, OwnRead, Refused
from orderway.sql.writes import Writes

__all__ = ["NetworkTransaction", "Transactions"]

T = TypeVar("T")
Parameters = Mapping[str, Any] | Sequence[Any]


class NetworkTransaction:
    """One transaction. Past its time limit the connection is closed under it, whatever it is doing."""

    def __init__(self, line: Line, link: Link, writes: Writes, time_limit_s: float) -> None:
        self._line = line
        self._link = link
        self._writes = writes
        self._time_limit_s = time_limit_s
        self._one_at_a_time = asyncio.Lock()
        self.over = ""
        """Why nothing more can be done, once that is so."""

    async def execute(self, sql: str, parameters: Parameters = ()) -> int:
        """Run one statement; returns the number of rows that it touched."""
        check_statement(sql)
        touched: int = await self._ask(self._statement(Own(sql, parameters)))
        return touched

    async def fetch(self, sql: str, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
        """Run one query; returns all of its rows."""
        check_statement(sql)
        rows: list[tuple[Any, ...]] = await self._ask(self._statement(OwnRead(sql, parameters)))
        return rows

    async def commit_with(self, change: Change) -> None:
        """Apply the change as the last statement and commit all of it together."""
        await self._ask(self._commit_with(change))

    async def expire(self) -> None:
        """The time is up: roll back by closing the connection."""
        self.over = self.over or f"it took longer than its limit of {self._time_limit_s} s and was rolled back"
        await self._line.drop()

    async def end(self) -> None:
        """Roll back what was not committed. Idempotent."""
        if not self.over:
            self.over = "it has ended"
            try:
                async with asyncio.timeout(self._line.answer_within_s):
                    await self._link.roll_back()
            except (Failed, TimeoutError):
                await self._line.drop()

    async def _ask(self, work: Coroutine[Any, Any, T]) -> T:
        async with self._one_at_a_time:
            if self.over:
                work.close()
                raise self._refusal()
            try:
                return await work
            except (Failed, Conflict) as error:
                self.over = self.over or f"{self._line.where} failed: {error}"
                await self._line.drop()
                raise self._refusal() from error

    def _refusal(self) -> Unavailable:
        return Unavailable(f"the transaction can do no more: {self.over}")

    async def _statement(self, step: Own) -> Any:
        try:
            # A savepoint: in some databases a failed statement would end the whole transaction.
            return await self._link.perform(self._writes.guarded(step))
        except Refused as error:
            raise DeliveryFailed(f"{error}, in: {step.sql}") from error

    async def _commit_with(self, change: Change) -> None:
        operation = Record(change)
        await self._link.perform(self._writes.alone(operation))
        if operation.error is not None:
            self.over = "the change was refused and everything rolled back"
            await self._link.roll_back()
            raise operation.error
        self.over = "commit_with has ended it"
        try:
            async with asyncio.timeout(self._line.answer_within_s):
                await self._link.send([], commit=True)
        except (CommitLost, TimeoutError) as problem:
            await self._line.drop()
            await resolve(self._line, self._writes, [operation], self._link.name, problem)
            if operation.error is not None:
                raise operation.error from problem


class Transactions:
    """Gives out transactions, at most so many at a time; further ones wait in line.

    Args:
        open_line: makes one more line to the database.
        writes: what to do at the end of a transaction.
        most: at the same time.
    """

    def __init__(self, open_line: Callable[[], Line], writes: Writes, most: int) -> None:
        self._writes = writes
        self._lines = [open_line() for _ in range(most)]
        self._free: asyncio.LifoQueue[Line] = asyncio.LifoQueue()
        for line in self._lines:
            self._free.put_nowait(line)

    @asynccontextmanager
    async def transaction(self, time_limit_s: float) -> AsyncIterator[NetworkTransaction]:
        """As ``Store.transaction``."""
        line = await self._take()
        try:
            transaction = await self._begin(line, time_limit_s)
            loop = asyncio.get_running_loop()
            expiry: list[asyncio.Task[None]] = []
            timer = loop.call_later(time_limit_s, lambda: expiry.append(loop.create_task(transaction.expire())))
            try:
                yield transaction
            finally:
                timer.cancel()
                await transaction.end()
                await asyncio.gather(*expiry)
        finally:
            self._free.put_nowait(line)

    async def close(self) -> None:
        """Close all connections; transactions that are open are rolled back."""
        for line in self._lines:
            await line.drop()

    async def _take(self) -> Line:
        line = self._lines[0]
        try:
            async with asyncio.timeout(line.answer_within_s):
                return await self._free.get()
        except TimeoutError:
            raise Unavailable(
                f"{len(self._lines)} transactions have been open for {line.answer_within_s} s: nothing was done"
            ) from None

    async def _begin(self, line: Line, time_limit_s: float) -> NetworkTransaction:
        try:
            async with asyncio.timeout(line.answer_within_s):
                try:
                    link = await line.get()
                    await link.send([], begin=True)
                except Failed:  # a database that was restarted has closed what stood idle
                    await line.drop()
                    link = await line.get()
                    await link.send([], begin=True)
        except (Failed, Conflict, Refused, TimeoutError) as error:
            await line.drop()
            raise line.unavailable(error) from error
        return NetworkTransaction(line, link, self._writes, time_limit_s)
