"""The hot statements over orders, written by hand: one for many rows.

All of them run at READ COMMITTED. A statement that finds a row changed by a transaction that ended meanwhile looks at
its condition again, with the row as it is now; rows are locked in the order of their ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter

from orderway.sql.dialect import Rows
from orderway.sql.dialects.postgresql.arrays import SHARD, columns_of, types_of, unnest
from orderway.sql.dialects.postgresql.fenced import Fenced, Part
from orderway.sql.rows import ENTRY_COLUMNS, INSERT_COLUMNS, LEG_COLUMNS, ORDER_COLUMNS, UPDATE_COLUMNS
from orderway.sql.steps import Read, Steps, Write, first_value

__all__ = ["OrderStatements"]

_LEGS = ("order_id", *LEG_COLUMNS)
_FIXED_IN_A_LEG = ("number", "channel", "currency", "holds")
_RECORD = ("id", "expected", "guard", "keeps", "holder")
_RECORD_TYPES = ("text", "bigint", "bigint", "boolean", "bigint")
# As committed when the statement began: whoever must not be mistaken for dead has joined before.
_FREE = "(o.holder IS NULL OR o.holder = {0} OR o.holder NOT IN (SELECT incarnation FROM ow_workers))"

_IS_DUE_SOMETIME = "o.due_at_us + 0 IS NOT NULL"
"""Without "+ 0", a plan made on empty tables walks the whole index of what is due, instead of the primary key."""


class OrderStatements:
    """The statements over one shard's orders, legs and journal."""

    def __init__(self, shard: int) -> None:
        orders, legs, journal = f"ow_orders_{shard}", f"ow_legs_{shard}", f"ow_journal_{shard}"
        self._shard = (shard,)
        self._create = [(_create(shard, with_legs),) for with_legs in (False, True)]
        self._record = [(_record(shard, with_legs),) for with_legs in (False, True)]
        columns = ", ".join([f"o.{name}" for name in ORDER_COLUMNS] + [f"l.{name}" for name in LEG_COLUMNS])
        # One statement, hence one snapshot: an order and its legs as of the same moment.
        self._orders = (
            f"SELECT {columns} FROM unnest($1::text[]) AS v(id) JOIN {orders} AS o ON o.id = v.id"
            f" LEFT JOIN {legs} AS l ON l.order_id = o.id ORDER BY o.id, l.number"
        )
        self._states = f"SELECT id, version, holder FROM {orders} WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE"
        self._hold = (
            f"UPDATE {orders} AS o SET holder = v.holder, due_at_us = v.due_at_us"
            f" FROM {unnest(1, ('text', 'bigint', 'bigint'), ('id', 'holder', 'due_at_us'))}"
            # In a final stage, too, something is due while money of it is on its way back.
            f" WHERE o.id = v.id AND {_IS_DUE_SOMETIME} AND {_FREE.format('v.holder')}"
        )
        self._due = (
            f"SELECT o.due_at_us, o.id, {shard} AS shard FROM {orders} AS o"
            f" WHERE o.type = $1 AND o.due_at_us <= $2 AND {_FREE.format('$3')} ORDER BY o.due_at_us LIMIT $4"
        )
        postponed = ("id", "version", "holder", "due_at_us", "attempts", "last_error")
        types = ("text", "bigint", "bigint", "bigint", "integer", "text")
        self._postpone = (
            f"UPDATE {orders} AS o SET holder = NULL, due_at_us = v.due_at_us, attempts = v.attempts,"
            f" last_error = v.last_error FROM {unnest(1, types, postponed)}"
            " WHERE o.id = v.id AND o.version = v.version AND o.holder = v.holder RETURNING o.id"
        )
        self._hint = (
            f"UPDATE {orders} AS o SET due_at_us = least(o.due_at_us, v.now_us)"
            f" FROM {unnest(1, ('text', 'bigint'), ('id', 'now_us'))}"
            f" WHERE o.id = v.id AND {_IS_DUE_SOMETIME} RETURNING o.id"
        )
        self._write_id = f"SELECT write_id FROM {journal} WHERE order_id = $1 AND version = $2"

    def create(self, orders: Rows, entries: Rows, legs: Rows) -> Steps[None]:
        """Insert orders, first entries and legs, in one statement."""
        values = [
            *columns_of(sorted(orders, key=itemgetter(0)), len(INSERT_COLUMNS)),
            *columns_of(entries, len(ENTRY_COLUMNS)),
            *(columns_of(legs, len(_LEGS)) if legs else ()),
        ]
        yield Fenced(self._shard, self._create[bool(legs)], values, len(orders))

    def record(self, orders: Rows, entries: Rows, legs: Rows) -> Steps[None]:
        """Update orders, append entries, write legs, in one statement: all of it, or nothing."""
        values = [
            *columns_of(orders, len(_RECORD) + len(UPDATE_COLUMNS)),
            *columns_of(entries, len(ENTRY_COLUMNS)),
            *(columns_of(legs, len(_LEGS)) if legs else ()),
            len(orders),
        ]
        yield Fenced(self._shard, self._record[bool(legs)], values, len(orders))

    def orders(self, ids: Sequence[str]) -> Steps[Rows]:
        """Those of the orders that exist, joined to their legs."""
        rows: Rows = yield Read(self._orders, (ids,))
        return rows

    def states(self, ids: Sequence[str]) -> Steps[Rows]:
        """Id, version and holder of those that exist, locked until the end."""
        rows: Rows = yield Read(self._states, (ids,))
        return rows

    def hold(self, rows: Rows) -> Steps[None]:
        """Take hold where something is due and nobody alive has it.

        Locked first: the second statement sees everybody who had joined when the lock was granted.
        """
        yield Read(self._states, (sorted(row[0] for row in rows),))
        yield Write(self._hold, columns_of(rows, 3))

    def due(self, order_type: int, now_us: int, holder: int, limit: int) -> Read:
        """What this holder may claim of this type, the longest due first."""
        return Read(self._due, (order_type, now_us, holder, limit))

    def claim(self, order_type: int, now_us: int, holder: int, limit: int) -> Steps[Rows]:
        """As ``due``, locked, without what others are just working on."""
        rows: Rows = yield Read(f"{self._due} FOR UPDATE OF o SKIP LOCKED", (order_type, now_us, holder, limit))
        return rows

    def postpone(self, rows: Rows) -> Steps[set[str]]:
        """Let go of orders; the ids where version and holder still matched."""
        found: Rows = yield Read(self._postpone, columns_of(sorted(rows, key=itemgetter(0)), 6))
        return {row[0] for row in found}

    def hint(self, rows: Rows) -> Steps[set[str]]:
        """Make orders due now; the ids where something was due."""
        found: Rows = yield Read(self._hint, columns_of(sorted(rows), 2))  # of two hints for one order the earlier
        return {row[0] for row in found}

    def write_id(self, order_id: str, version: int) -> Steps[str | None]:
        """The ``write_id`` of this entry of the journal, if it is there."""
        return first_value(Read(self._write_id, (order_id, version)))


def _create(shard: int, with_legs: bool) -> Part:
    """Parameters: the columns of orders, entries and legs."""
    types = types_of(SHARD.orders, INSERT_COLUMNS)
    orders = (
        f"o# AS (INSERT INTO ow_orders_{shard} ({', '.join(INSERT_COLUMNS)})"
        f" SELECT v.* FROM whole, {unnest(1, types, INSERT_COLUMNS)} RETURNING 1)"
    )
    further, width = _entries_and_legs(shard, 1 + len(types), with_legs)
    return Part((), "", (orders, *further), "(SELECT count(*) FROM o#)", len(types) + width)


def _record(shard: int, with_legs: bool) -> Part:
    """Parameters: the columns of orders, entries and legs, then how many rows must match."""
    names = (*_RECORD, *(f"new_{name}" for name in UPDATE_COLUMNS))
    types = (*_RECORD_TYPES, *types_of(SHARD.orders, UPDATE_COLUMNS))
    fresh = ", ".join(f"{name} = v.new_{name}" for name in UPDATE_COLUMNS)
    orders = f"ow_orders_{shard}"
    matches = "o.id = v.id AND o.version = v.expected AND (v.guard IS NULL OR o.holder = v.guard)"
    locks = (
        f"v# AS MATERIALIZED (SELECT * FROM {unnest(1, types, names)})",
        "locked# AS MATERIALIZED ("
        f"SELECT o.id FROM fence, v# AS v JOIN {orders} AS o ON {matches} ORDER BY o.id FOR UPDATE OF o)",
    )
    update = (
        f"u# AS (UPDATE {orders} AS o SET {fresh}, holder = CASE WHEN v.keeps THEN o.holder ELSE v.holder END"
        f" FROM whole, v# AS v WHERE {matches} RETURNING 1)"
    )
    further, width = _entries_and_legs(shard, 1 + len(names), with_legs)
    width += len(names) + 1
    whole = f"(SELECT count(*) FROM locked#) = ${width}::bigint"
    return Part(locks, whole, (update, *further), "(SELECT count(*) FROM u#)", width)


def _entries_and_legs(shard: int, first: int, with_legs: bool) -> tuple[tuple[str, ...], int]:
    """Further writes, and the number of their parameters."""
    entries = (
        f"j# AS (INSERT INTO ow_journal_{shard} ({', '.join(ENTRY_COLUMNS)})"
        f" SELECT e.* FROM whole, {unnest(first, types_of(SHARD.journal, ENTRY_COLUMNS), ENTRY_COLUMNS, 'e')})"
    )
    if not with_legs:
        return (entries,), len(ENTRY_COLUMNS)
    fresh = ", ".join(f"{name} = excluded.{name}" for name in LEG_COLUMNS if name not in _FIXED_IN_A_LEG)
    at = first + len(ENTRY_COLUMNS)
    legs = (
        f"l# AS (INSERT INTO ow_legs_{shard} ({', '.join(_LEGS)})"
        f" SELECT g.* FROM whole, {unnest(at, types_of(SHARD.legs, _LEGS), _LEGS, 'g')}"
        f" ON CONFLICT (order_id, number) DO UPDATE SET {fresh})"
    )
    return (entries, legs), len(ENTRY_COLUMNS) + len(_LEGS)
