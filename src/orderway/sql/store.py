"""The store over a SQL database."""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from operator import itemgetter
from typing import Any, TypeVar

from sqlalchemy import Select

from orderway.core.ids import check_order_id
from orderway.core.journal import Entry
from orderway.core.order import Order, Status
from orderway.errors import OrderNotFound
from orderway.ports.limits import check_page
from orderway.ports.store import Change, Page, Query, Transaction
from orderway.sql.cluster import Cluster
from orderway.sql.database import Database
from orderway.sql.listing import counts_select, money_select, page_select, page_shape, page_values
from orderway.sql.operations import Claim, Create, Hint, Hold, Operation, Postpone, Record
from orderway.sql.rows import Unreadable, entry_of, orders_of
from orderway.sql.tables import ShardTables

__all__ = ["SqlStore"]

T = TypeVar("T")
logger = logging.getLogger("orderway")
MOST_PAGES = 1000
"""So many shapes of queries are remembered; each is compiled once."""


class SqlStore:
    """The ``Store`` port, over one database or several; see there for what each method promises."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._pages: dict[Hashable, Select[Any]] = {}

    async def start(self) -> None:
        """Open the databases, and check their schema and shard map."""
        await self._cluster.start()

    async def close(self) -> None:
        """Finish what was accepted, and release connections. Idempotent."""
        await self._cluster.close()

    async def create(self, order: Order[Any], entry: Entry) -> Order[Any]:
        """Insert an order with its first journal entry."""
        return await self._cluster.of_order(order.id).write(Create(order, entry))

    async def record(self, change: Change) -> None:
        """Write facts, row and the user's statements together."""
        await self._cluster.of_order(change.order.id).write(Record(change))

    async def get(self, order_id: str) -> Order[Any]:
        """The order as committed last."""
        return await self._cluster.of_order(order_id).get(order_id)

    async def entries(self, order_id: str) -> Sequence[Entry]:
        """The journal of an order, oldest first."""
        database, _, tables = self._cluster.of_shard(self._cluster.shards.of_order(order_id))
        rows = await database.fetch(tables.select_entries, of_order=order_id)
        if not rows:
            raise OrderNotFound(f"there is no order {order_id}", order_id=order_id)
        return [entry_of(row) for row in rows]

    async def list(self, query: Query) -> Page:
        """Orders that satisfy the query, by id: a page of each shard, merged.

        The first ``limit`` of all are among the first ``limit`` of each; the cursor is an id, and so the same for all.
        """
        check_page(query.limit)
        if query.after is not None:
            check_order_id(query.after)
        if query.uid is None:
            places = list(self._cluster.each_shard())
        else:
            places = [self._cluster.of_shard(self._cluster.shards.of_uid(query.uid))]
        values = page_values(query)
        pages = await asyncio.gather(*(self._page(place, query, values) for place in places))
        found = sorted((each for page in pages for each in page), key=itemgetter(0), reverse=query.descending)
        page = found[: query.limit]
        return Page(
            [order for _, order in page if isinstance(order, Order)],
            page[-1][0] if len(found) > query.limit else None,
            tuple(order.error for _, order in page if isinstance(order, Unreadable)),
        )

    async def _page(
        self, place: tuple[Database, int, ShardTables], query: Query, values: dict[str, Any]
    ) -> Iterable[tuple[str, Order[Any] | Unreadable]]:
        database, shard, tables = place
        shape = (shard, page_shape(query))
        select = self._pages.get(shape)
        if select is None:
            if len(self._pages) >= MOST_PAGES:
                self._pages.clear()
            select = self._pages[shape] = page_select(tables, query)
        return orders_of(await database.fetch(select, **values)).items()

    async def hold(self, order_id: str, holder: int, due_at_us: int) -> Order[Any]:
        """Take hold of an unfinished order unless another living worker has it, and return it."""
        return await self._cluster.of_order(order_id).write(Hold(order_id, holder, due_at_us))

    async def claim(
        self, types: Sequence[int], holder: int, now_us: int, due_at_us: int, limit: int
    ) -> Sequence[Order[Any]]:
        """Take hold of due orders of these types, the longest due first. With nothing due, nothing is written.

        Over several databases it is asked first what is due, so that the longest due of all come first. One that does
        not answer keeps nobody from the orders of the others.
        """
        if limit < 1:
            return []
        databases = self._cluster.databases
        is_one = len(databases) == 1
        look = Claim(types, holder, now_us, due_at_us, 1 if is_one else limit)
        seen = await self._cluster.ask(lambda number: databases[number].due(look))
        # From one database, the first of each shard only: they say which shards to look at.
        due = heapq.nsmallest(limit, ((*row, number) for number, rows in seen.items() for row in rows))
        claims: dict[int, Claim] = {}
        for number in sorted({number for *_, number in due}):
            shards = [shard for _, _, shard, of_database in due if of_database == number]
            most = limit if is_one else len(shards)
            claims[number] = Claim(types, holder, now_us, due_at_us, most, sorted(set(shards)))
        claimed = await self._cluster.ask(lambda number: _write(databases[number], claims[number]), claims)
        for unreadable in [each for claim in claims.values() for each in claim.unreadable]:
            logger.error("%s", unreadable.error, extra={"order_id": unreadable.order_id})
        orders = [order for each in claimed.values() for order in each]
        return orders if len(claims) < 2 else _longest_due_first(orders, due)

    async def postpone(
        self, order_id: str, version: int, holder: int, due_at_us: int | None, attempts: int, last_error: str
    ) -> bool:
        """Let go of an order, to be looked at again at this time; False if holder or version are others."""
        operation = Postpone(order_id, version, holder, due_at_us, attempts, last_error)
        return await self._cluster.of_order(order_id).write(operation)

    async def hint(self, order_id: str, now_us: int) -> bool:
        """Make an unfinished order due now, unless it is due earlier."""
        return await self._cluster.of_order(order_id).write(Hint(order_id, now_us))

    def transaction(self, order_id: str, time_limit_s: float) -> AbstractAsyncContextManager[Transaction]:
        """A transaction of the user's own in the order's database."""
        return self._cluster.of_order(order_id).transaction(time_limit_s)

    async def overview(self, now_us: int) -> Mapping[str, Any]:
        """Counts by status, of what is due, of what is stuck, and of the money in it."""
        by_status: Counter[Status] = Counter()
        due_by_type: Counter[int] = Counter()
        oldest: dict[int, int] = {}
        stuck: Counter[str] = Counter()
        held: Counter[str] = Counter()
        unknown: list[int] = []
        for database, _, tables in self._cluster.each_shard():
            for what, key, count, oldest_due in await database.fetch(counts_select(tables, now_us)):
                if what == "total":
                    by_status[Status.FINISHED] += count
                elif what == "status":
                    by_status[Status(key)] += count
                    by_status[Status.FINISHED] -= count
                else:
                    due_by_type[key] += count
                    oldest |= {key: min(oldest_due, oldest.get(key, oldest_due))} if count else {}
            for what, key, count, since in await database.fetch(money_select(tables)):
                if what == "stuck":
                    stuck[key] += count
                elif what == "held":
                    held[key] += int(count)  # some databases give a sum as a decimal
                else:
                    unknown += [since] if count else []
        return {
            "by_status": {status: count for status, count in sorted(by_status.items()) if count},
            "due": due_by_type.total(),
            "due_by_type": {kind: count for kind, count in sorted(due_by_type.items()) if count},
            "oldest_due_at_us": min(oldest.values(), default=None),
            "oldest_due_by_type": dict(sorted(oldest.items())),
            "stuck_by_reason": dict(sorted(stuck.items())),
            "held_minor_by_currency": dict(sorted(held.items())),
            "oldest_unknown_payment_at_us": min(unknown, default=None),
        }


async def _write(database: Database, operation: Operation[T]) -> T:
    return await database.write(operation)


def _longest_due_first(orders: Iterable[Order[Any]], due: Sequence[tuple[int, str, int, int]]) -> list[Order[Any]]:
    """In the order in which they were seen to be due; what was not seen then comes last."""
    place = {order_id: at for at, (_, order_id, *_) in enumerate(due)}
    return sorted(orders, key=lambda order: place.get(order.id, len(place)))
