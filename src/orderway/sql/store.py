"""The store over a SQL database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from sqlalchemy import Select

from orderway.core.ids import check_order_id
from orderway.core.journal import Entry
from orderway.core.order import Order, Status
from orderway.errors import OrderNotFound
from orderway.ports.limits import check_page
from orderway.ports.store import Change, Page, Query, Transaction
from orderway.sql.database import Database
from orderway.sql.listing import counts_select, page_select, page_shape, page_values
from orderway.sql.operations import Claim, Create, Hint, Hold, Postpone, Record
from orderway.sql.rows import entry_of, orders_of

__all__ = ["SqlStore"]

MOST_PAGES = 1000
"""So many shapes of queries are remembered; each is compiled once."""


class SqlStore:
    """The ``Store`` port; see there for what each method promises."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pages: dict[Hashable, Select[Any]] = {}

    async def start(self) -> None:
        """Open the database, and check its schema and shard map."""
        await self._database.start()

    async def close(self) -> None:
        """Finish what was accepted, and release connections. Idempotent."""
        await self._database.close()

    async def create(self, order: Order[Any], entry: Entry) -> Order[Any]:
        """Insert an order with its first journal entry."""
        return await self._database.write(Create(order, entry))

    async def record(self, change: Change) -> None:
        """Write facts, row and the user's statements together."""
        await self._database.write(Record(change))

    async def get(self, order_id: str) -> Order[Any]:
        """The order as committed last."""
        return await self._database.get(order_id)

    async def entries(self, order_id: str) -> Sequence[Entry]:
        """The journal of an order, oldest first."""
        tables = self._database.tables.shards[self._database.shards.of_order(order_id)]
        rows = await self._database.fetch(tables.select_entries, of_order=order_id)
        if not rows:
            raise OrderNotFound(f"there is no order {order_id}", order_id=order_id)
        return [entry_of(row) for row in rows]

    async def list(self, query: Query) -> Page:
        """Orders that satisfy the query, by id."""
        check_page(query.limit)
        if query.after is not None:
            check_order_id(query.after)
        shards: Sequence[int] = range(len(self._database.shards))
        if query.uid is not None:
            shards = [self._database.shards.of_uid(query.uid)]
        values = page_values(query)
        found: list[Order[Any]] = []
        for shard in shards:
            found += orders_of(await self._database.fetch(self._page(shard, query), **values)).values()
        found.sort(key=lambda order: order.id, reverse=query.descending)
        page = found[: query.limit]
        return Page(page, page[-1].id if len(found) > query.limit else None)

    def _page(self, shard: int, query: Query) -> Select[Any]:
        shape = (shard, page_shape(query))
        if shape not in self._pages:
            if len(self._pages) >= MOST_PAGES:
                self._pages.clear()
            self._pages[shape] = page_select(self._database.tables.shards[shard], query)
        return self._pages[shape]

    async def hold(self, order_id: str, holder: int, due_at_us: int) -> Order[Any]:
        """Take hold of an unfinished order unless another living worker has it, and return it."""
        self._database.shards.of_order(order_id)
        return await self._database.write(Hold(order_id, holder, due_at_us))

    async def claim(
        self, types: Sequence[int], holder: int, now_us: int, due_at_us: int, limit: int
    ) -> Sequence[Order[Any]]:
        """Take hold of due orders of these types, the longest due first. With nothing due, nothing is written."""
        claim = Claim(types, holder, now_us, due_at_us, limit)
        if limit < 1 or not await self._database.has_due(claim):
            return []
        return await self._database.write(claim)

    async def postpone(
        self, order_id: str, version: int, holder: int, due_at_us: int | None, attempts: int, last_error: str
    ) -> bool:
        """Let go of an order, to be looked at again at this time; False if holder or version are others."""
        self._database.shards.of_order(order_id)
        return await self._database.write(Postpone(order_id, version, holder, due_at_us, attempts, last_error))

    async def hint(self, order_id: str, now_us: int) -> bool:
        """Make an unfinished order due now, unless it is due earlier."""
        self._database.shards.of_order(order_id)
        return await self._database.write(Hint(order_id, now_us))

    def transaction(self, time_limit_s: float) -> AbstractAsyncContextManager[Transaction]:
        """A transaction of the user's own beside the orders."""
        return self._database.transaction(time_limit_s)

    async def overview(self, now_us: int) -> Mapping[str, Any]:
        """Counts by status, of what is due, and since when."""
        by_status: Counter[Status] = Counter()
        due_by_type: Counter[int] = Counter()
        oldest: list[int] = []
        for tables in self._database.tables.shards:
            for what, key, count, oldest_due in await self._database.fetch(counts_select(tables, now_us)):
                if what == "total":
                    by_status[Status.FINISHED] += count
                elif what == "status":
                    by_status[Status(key)] += count
                    by_status[Status.FINISHED] -= count
                else:
                    due_by_type[key] += count
                    oldest += [oldest_due] if count else []
        return {
            "by_status": {status: count for status, count in sorted(by_status.items()) if count},
            "due": due_by_type.total(),
            "due_by_type": {kind: count for kind, count in sorted(due_by_type.items()) if count},
            "oldest_due_at_us": min(oldest, default=None),
        }
