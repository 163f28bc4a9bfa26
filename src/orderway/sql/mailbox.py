"""The mailbox in a SQL database: one table, in the database that keeps what belongs to no order."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import Delete, Insert, Select, Table, Update, and_, delete, insert, select, update
from sqlalchemy.sql.elements import ColumnElement

from orderway.errors import InvalidValue, Unavailable
from orderway.ports.limits import check_page
from orderway.ports.mailbox import Letter
from orderway.ports.queue import Buried
from orderway.sql.cluster import Cluster
from orderway.sql.operations import Alter, TakeLetters

__all__ = ["SqlMailbox"]


class SqlMailbox:
    """The ``Mailbox`` port; see there for what each method promises.

    A letter is taken by a conditional update of the very row as it was read, so no two takers get it.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._database = cluster.home

    @property
    def _table(self) -> Table:
        return self._database.tables.common.letters

    async def put(self, body: bytes, headers: Mapping[str, str], sent_at_us: int, due_at_us: int) -> None:
        """Keep a letter, to be taken from this instant on."""
        row = {
            "number": secrets.randbits(62),
            "body": base64.b64encode(body).decode(),
            "headers": json.dumps(dict(headers), separators=(",", ":")),
            "sent_at_us": sent_at_us,
            "due_at_us": due_at_us,
            "tries": 0,
        }
        await self._alter(insert(self._table).values(row))

    async def take(self, now_us: int, until_us: int, limit: int) -> Sequence[Letter]:
        """Take letters that are due, the longest due first."""
        check_page(limit)
        column = self._table.c
        columns = (column.number, column.body, column.headers, column.sent_at_us, column.tries)
        due = select(*columns).where(column.due_at_us <= now_us).order_by(column.due_at_us, column.number).limit(limit)
        # Read without a lock first: an empty box, as it mostly is, costs no write.
        if not await self._fetch(due.with_only_columns(column.number).limit(1)):
            return ()
        locked = due.with_for_update(skip_locked=True)
        changed = update(self._table).values(due_at_us=until_us, tries=column.tries + 1)
        async with self._letters():
            rows = await self._database.write(
                TakeLetters(locked, lambda numbers: changed.where(column.number.in_(numbers)))
            )
        return [
            Letter(number, base64.b64decode(body), json.loads(headers), sent_at_us, tries, until_us)
            for number, body, headers, sent_at_us, tries in rows
        ]

    async def put_back(self, letter: Letter, due_at_us: int) -> None:
        """Have a letter that was taken become due at this instant."""
        await self._alter(update(self._table).where(self._is(letter)).values(due_at_us=due_at_us))

    async def remove(self, letter: Letter) -> None:
        """Be done with a letter that was taken."""
        await self._alter(delete(self._table).where(self._is(letter)))

    async def bury(self, letter: Letter, reason: str, at_us: int) -> None:
        """Keep a letter that was taken for people only: one that is due never."""
        buried: dict[str, Any] = {"due_at_us": None, "reason": reason, "buried_at_us": at_us}
        await self._alter(update(self._table).where(self._is(letter)).values(buried))

    async def buried(self, limit: int) -> Sequence[Buried]:
        """Buried letters, oldest first."""
        check_page(limit)
        column = self._table.c
        found = select(column.body, column.reason, column.buried_at_us).where(column.buried_at_us.is_not(None))
        rows = await self._fetch(found.order_by(column.buried_at_us, column.number).limit(limit))
        return [Buried(base64.b64decode(body), reason, at_us) for body, reason, at_us in rows]

    def _is(self, letter: Letter) -> ColumnElement[bool]:
        """The row of a letter, as long as this taking of it holds."""
        column = self._table.c
        return and_(
            column.number == letter.number,
            column.tries == letter.tries + 1,
            column.due_at_us == letter.taken_until_us,
        )

    async def _alter(self, statement: Insert | Update | Delete) -> None:
        async with self._letters():
            await self._database.write(Alter(statement))

    async def _fetch(self, query: Select[Any]) -> Sequence[Sequence[Any]]:
        async with self._letters():
            return await self._database.fetch(query)

    @asynccontextmanager
    async def _letters(self) -> AsyncIterator[None]:
        """Tell a statement that was refused because there is no table: 0.1.0 made none, and Apps start without it."""
        try:
            yield
        except InvalidValue as refused:
            try:
                await self._database.fetch(select(self._table.c.number).limit(1))
            except InvalidValue:
                raise Unavailable(
                    f"{self._database.where} has no table {self._table.name}, which an older orderway did without:"
                    " run `orderway migrate`"
                ) from refused
            raise
