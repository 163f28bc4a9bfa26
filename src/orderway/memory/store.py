"""The store, in memory."""

from __future__ import annotations

import asyncio
import sqlite3
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from heapq import merge
from itertools import islice
from operator import attrgetter
from typing import Any

from orderway.core.ids import check_order_id, slot_of_uid
from orderway.core.journal import Entry
from orderway.core.order import OPERATIONAL, Order, Status
from orderway.core.payment import LegState
from orderway.errors import (
    DeliveryFailed,
    HoldLost,
    OrderExists,
    OrderNotFound,
    StaleOrder,
    Unavailable,
)
from orderway.memory.database import MemoryDatabase, Shard, check_storable, snapshot
from orderway.memory.transaction import MemoryTransaction, run_statement
from orderway.ports.limits import check_page, misfit_in_order
from orderway.ports.store import Change, Page, Query

__all__ = ["MemoryStore"]


class MemoryStore:
    """The store on a :class:`MemoryDatabase`; see :class:`orderway.ports.store.Store`.

    ``transaction`` has the database to itself: other writes wait until it ends.
    """

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def start(self) -> None:
        """Nothing is to be opened."""

    async def close(self) -> None:
        """Nothing is to be released: the data belongs to the database, not to this connection."""

    async def create(self, order: Order[Any], entry: Entry) -> Order[Any]:
        """Insert an order with its first journal entry."""
        _check_order(order)
        _check_entry(entry)
        shard = self._database.shard_of_order(order.id)
        async with self._database.writing():
            known = shard.orders.get(order.id)
            if known is None:
                shard.insert(snapshot(order), entry)
            elif known.fingerprint != order.fingerprint:
                raise OrderExists(
                    f"order {order.id} exists with another content: use another id, or the same content",
                    order_id=order.id,
                )
            return snapshot(known or order)

    async def record(self, change: Change) -> None:
        """Write facts, row and the user's statements together, if version and holder are as expected."""
        _check_change(change)
        async with self._database.writing():
            self._check_current(change)
            if change.statements:
                self._run_and_commit(change)
            self._apply(change)

    async def get(self, order_id: str) -> Order[Any]:
        """The order as committed last."""
        shard = self._database.shard_of_order(order_id)
        async with self._database.reading():
            return snapshot(_found(shard, order_id))

    async def entries(self, order_id: str) -> Sequence[Entry]:
        """The journal of an order, oldest first."""
        shard = self._database.shard_of_order(order_id)
        async with self._database.reading():
            _found(shard, order_id)
            return list(shard.journal[order_id])

    async def list(self, query: Query) -> Page:
        """Orders that satisfy the query, by id."""
        check_page(query.limit)
        if query.after is not None:
            check_order_id(query.after)
        shards = self._database.shards
        if query.uid is not None:
            shards = [self._database.shard_of_slot(slot_of_uid(query.uid))]
        async with self._database.reading():
            walks = (_walk(shard, query) for shard in shards)
            rows = merge(*walks, key=attrgetter("id"), reverse=query.descending)
            page = [snapshot(row) for row in islice(rows, query.limit + 1)]
        if len(page) > query.limit:
            del page[query.limit :]
            return Page(page, page[-1].id)
        return Page(page, None)

    async def hold(self, order_id: str, holder: int, due_at_us: int) -> Order[Any]:
        """Take hold of an unfinished order unless another living worker has it, and return it."""
        check_storable(f"hold of order {order_id}", (holder, due_at_us))
        shard = self._database.shard_of_order(order_id)
        async with self._database.writing():
            row = _found(shard, order_id)
            if row.due_at_us is not None and self._is_free(row, holder):
                row = _hold(shard, row, holder, due_at_us)
            return snapshot(row)

    async def claim(
        self, types: Sequence[int], holder: int, now_us: int, due_at_us: int, limit: int
    ) -> Sequence[Order[Any]]:
        """Take hold of due orders of these types, the longest due first."""
        check_storable(f"claim by {holder}", (holder, due_at_us))
        async with self._database.writing():
            due = [
                (due, order_id, shard)
                for shard in self._database.shards
                for order_id, due in shard.due.items()
                if due <= now_us
                and shard.orders[order_id].type in types
                and self._is_free(shard.orders[order_id], holder)
            ]
            due.sort(key=lambda found: found[:2])
            return [
                snapshot(_hold(shard, shard.orders[order_id], holder, due_at_us))
                for _, order_id, shard in due[: max(limit, 0)]
            ]

    async def postpone(
        self, order_id: str, version: int, holder: int, due_at_us: int | None, attempts: int, last_error: str
    ) -> bool:
        """Let go of an order, to be looked at again at this time; False if holder or version are others."""
        check_storable(f"postponing order {order_id}", (due_at_us, attempts, last_error))
        shard = self._database.shard_of_order(order_id)
        async with self._database.writing():
            row = shard.orders.get(order_id)
            if row is None or row.holder != holder or row.version != version:
                return False
            shard.replace(replace(row, holder=None, due_at_us=due_at_us, attempts=attempts, last_error=last_error))
            return True

    async def hint(self, order_id: str, now_us: int) -> bool:
        """Make an unfinished order due now, unless it is due earlier; False if nothing is due for it."""
        check_storable(f"hint for order {order_id}", (now_us,))
        shard = self._database.shard_of_order(order_id)
        async with self._database.writing():
            row = shard.orders.get(order_id)
            if row is None or row.is_final or row.due_at_us is None:
                return False
            shard.replace(replace(row, due_at_us=min(row.due_at_us, now_us)))
            return True

    @asynccontextmanager
    async def transaction(self, order_id: str, time_limit_s: float) -> AsyncIterator[MemoryTransaction]:
        """A transaction of the user's own, alone in the database from its begin to its end."""
        try:
            async with asyncio.timeout(time_limit_s):
                await self._database.gate.acquire()
        except TimeoutError:
            raise Unavailable(f"no transaction could begin in {time_limit_s} s: others are writing") from None
        transaction = MemoryTransaction(self._database, self._commit, time_limit_s)
        try:
            yield transaction
        finally:
            transaction.end()

    async def overview(self, now_us: int) -> Mapping[str, Any]:
        """Counts of orders by status and of due orders by type."""
        async with self._database.reading():
            rows = [row for shard in self._database.shards for row in shard.orders.values()]
            due = [(row.due_at_us, row.type) for row in rows if row.due_at_us is not None and row.due_at_us <= now_us]
            return {
                "by_status": dict(Counter(row.status for row in rows)),
                "due": len(due),
                "due_by_type": dict(Counter(order_type for _, order_type in due)),
                "oldest_due_at_us": min((due_at_us for due_at_us, _ in due), default=None),
                "oldest_due_by_type": {order_type: due_at_us for due_at_us, order_type in sorted(due, reverse=True)},
                **_standing_still(rows),
            }

    def _is_free(self, row: Order[Any], holder: int) -> bool:
        return row.holder is None or row.holder == holder or row.holder not in self._database.workers

    def _check_current(self, change: Change) -> None:
        order_id = change.order.id
        row = _found(self._database.shard_of_order(order_id), order_id)
        if row.version != change.expected_version:
            raise StaleOrder(
                f"order {order_id} is at version {row.version}, not {change.expected_version}: read it again",
                order_id=order_id,
            )
        if change.guard is not None and row.holder != change.guard:
            raise HoldLost(f"order {order_id} is held by {row.holder}, not by {change.guard}", order_id=order_id)

    def _run_and_commit(self, change: Change) -> None:
        goods = self._database.goods
        goods.execute("BEGIN")
        try:
            _run_statements(goods, change)
            _commit_goods(goods)
        except DeliveryFailed as error:
            goods.rollback()
            error.order_id = change.order.id
            raise

    def _commit(self, change: Change) -> None:
        """End a user's transaction, which has the gate already: fact and goods together, or an error."""
        _check_change(change)
        self._check_current(change)
        _run_statements(self._database.goods, change)
        _commit_goods(self._database.goods)
        self._apply(change)

    def _apply(self, change: Change) -> None:
        # Nothing below can fail: it follows the commit of the user's statements.
        shard = self._database.shard_of_order(change.order.id)
        after = snapshot(change.order)
        if change.keep_holder:
            after.holder = shard.orders[after.id].holder
        shard.journal[after.id].extend(change.entries)
        shard.replace(after)


def _found(shard: Shard, order_id: str) -> Order[Any]:
    row = shard.orders.get(order_id)
    if row is None:
        raise OrderNotFound(f"there is no order {order_id}", order_id=order_id)
    return row


def _hold(shard: Shard, row: Order[Any], holder: int, due_at_us: int) -> Order[Any]:
    held = replace(row, holder=holder, due_at_us=due_at_us)
    shard.replace(held)
    return held


def _run_statements(goods: sqlite3.Connection, change: Change) -> None:
    for statement in change.statements:
        touched = run_statement(goods, statement.sql, statement.parameters).rowcount
        if statement.expect is not None and touched != statement.expect:
            raise DeliveryFailed(f"{touched} rows touched, {statement.expect} expected: {statement.sql}")


def _commit_goods(goods: sqlite3.Connection) -> None:
    try:
        goods.commit()
    except sqlite3.Error as error:  # a deferred constraint
        raise DeliveryFailed(f"the statements could not be committed: {error}") from error


def _walk(shard: Shard, query: Query) -> Iterator[Order[Any]]:
    """The shard's orders that satisfy the query, in its direction, from its cursor on."""
    ids = shard.ids
    if query.descending:
        end = len(ids) if query.after is None else bisect_left(ids, query.after)
        chosen = reversed(ids[:end])
    else:
        chosen = iter(ids[0 if query.after is None else bisect_right(ids, query.after) :])
    return (row for row in map(shard.orders.__getitem__, chosen) if _satisfies(row, query))


def _satisfies(row: Order[Any], query: Query) -> bool:
    return (
        (query.uid is None or row.uid == query.uid)
        and (query.statuses is None or row.status in query.statuses)
        and (query.stages is None or row.stage in query.stages)
        and (query.order_type is None or row.type == query.order_type)
        and (query.created_from_us is None or row.created_at_us >= query.created_from_us)
        and (query.created_to_us is None or row.created_at_us < query.created_to_us)
        and (query.own_number is None or row.own_number == query.own_number)
        and (query.reference is None or any(leg.reference == query.reference for leg in row.legs))
        and (query.needs_person is None or query.needs_person == row.needs_person)
    )


def _check_change(change: Change) -> None:
    _check_order(change.order)
    for entry in change.entries:
        _check_entry(entry)


_COLUMNS = attrgetter(
    "type", "uid", "amount_minor", "currency", "data_text", "remark", "own_number", "fingerprint", "why",
    "created_at_us", "updated_at_us", "deadline_at_us", "version", "digest", *OPERATIONAL,
)  # fmt: skip
_LEG_COLUMNS = attrgetter(
    "number", "channel", "amount_minor", "currency", "attempt", "reference",
    "authorized_minor", "captured_minor", "refunding_minor", "refunded_minor", "worth_minor", "disputed_minor",
)  # fmt: skip


def _check_order(order: Order[Any]) -> None:
    misfit = misfit_in_order(order)
    if misfit is not None:
        raise misfit
    check_storable(f"order {order.id}", _COLUMNS(order))
    check_storable(f"the steps of order {order.id}", (*order.steps, *order.steps.values()))
    for refund in order.refunds:
        check_storable(f"refund {refund.number} of order {order.id}", (refund.key, refund.why, refund.reference))
    for leg in order.legs:
        check_storable(f"leg {leg.number} of order {order.id}", _LEG_COLUMNS(leg))


def _check_entry(entry: Entry) -> None:
    check_storable(
        f"entry {entry.version} of order {entry.order_id}",
        (entry.version, entry.fact, entry.at_us, entry.write_id, entry.body, entry.private),
    )


def _standing_still(rows: Sequence[Order[Any]]) -> Mapping[str, Any]:
    """What is stuck, and the money in orders that are not over."""
    alive = [row for row in rows if row.due_at_us is not None or row.status in {Status.FORWARDING, Status.STUCK}]
    held: Counter[str] = Counter()
    for leg in (leg for row in alive for leg in row.legs if leg.state in {LegState.HELD, LegState.CLOSING}):
        if leg.authorized_minor > leg.captured_minor:
            held[leg.currency] += leg.authorized_minor - leg.captured_minor
    unknown = [row.updated_at_us for row in alive if any(leg.state is LegState.UNKNOWN for leg in row.legs)]
    return {
        "stuck_by_reason": dict(Counter(row.why for row in rows if row.status == Status.STUCK)),
        "held_minor_by_currency": dict(held),
        "oldest_unknown_payment_at_us": min(unknown, default=None),
    }
