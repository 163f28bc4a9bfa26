"""The hot statements, written by hand, for many rows at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from orderway.sql.dialect import Row, Rows
from orderway.sql.rows import ENTRY_COLUMNS, INSERT_COLUMNS, LEG_COLUMNS, ORDER_COLUMNS, UPDATE_COLUMNS
from orderway.sql.steps import Count, Read, Steps, Write, first_value

__all__ = ["ManyRows", "OrderStatements", "PostingStatements"]

CHUNKS = (256, 64, 16, 4, 1)
"""Numbers of rows that statements are made for; few, so that the driver's statement cache holds them all."""


class ManyRows:
    """A statement over ``VALUES (...), (...)``.

    One statement for many rows instead of one a row: the driver gives up the interpreter's lock for each, and on a
    busy loop must wait to get it back.

    Args:
        sql: with ``{rows}`` where the rows go.
        width: values a row.
    """

    __slots__ = ("_made", "_sql", "_width")

    def __init__(self, sql: str, width: int) -> None:
        self._sql = sql
        self._width = width
        self._made: dict[int, str] = {}

    def write(self, rows: Rows) -> Steps[None]:
        """Run it for all rows, each of which must touch one row of the table."""
        for size, sql, values in self._chunks(rows):
            yield Write(sql, values, size)

    def read(self, rows: Rows) -> Steps[list[Row]]:
        """Run it as a query for all rows; returns what it found."""
        found: list[Row] = []
        for _, sql, values in self._chunks(rows):
            found += yield Read(sql, values)
        return found

    def run(self, rows: Rows) -> Steps[None]:
        """Run it for all rows, however many rows of the table that touches."""
        for _, sql, values in self._chunks(rows):
            yield Write(sql, values)

    def _chunks(self, rows: Rows) -> Iterator[tuple[int, str, list[Any]]]:
        start, left = 0, len(rows)
        for size in CHUNKS:
            while left >= size:
                sql = self._made.get(size) or self._make(size)
                values: list[Any] = []
                for row in rows[start : start + size]:
                    values += row
                yield size, sql, values
                start += size
                left -= size

    def _make(self, size: int) -> str:
        row = f"({','.join('?' * self._width)})"
        sql = self._made[size] = self._sql.format(rows=",".join([row] * size))
        return sql


class OrderStatements:
    """The statements over one shard's orders, legs and journal."""

    def __init__(self, shard: int) -> None:
        orders, legs, journal = f"ow_orders_{shard}", f"ow_legs_{shard}", f"ow_journal_{shard}"
        self._insert_orders = _insert(orders, INSERT_COLUMNS)
        self._insert_entries = _insert(journal, ENTRY_COLUMNS)
        self._write_legs = _write_legs(legs)
        self._update_orders = _update_orders(orders)
        self._hold_orders = _hold_orders(orders)
        columns = _list([f"o.{name}" for name in ORDER_COLUMNS] + [f"l.{name}" for name in LEG_COLUMNS])
        self._select_orders = ManyRows(
            f"SELECT {columns} FROM (VALUES {{rows}}) AS v CROSS JOIN {orders} AS o ON o.id = v.column1"
            f" LEFT JOIN {legs} AS l ON l.order_id = o.id ORDER BY o.id, l.number",
            1,
        )
        self._select_states = ManyRows(
            f"SELECT o.id, o.version, o.holder FROM (VALUES {{rows}}) AS v CROSS JOIN {orders} AS o"
            " ON o.id = v.column1",
            1,
        )
        self._select_write_id = f"SELECT write_id FROM {journal} WHERE order_id = ? AND version = ?"
        self._select_due = (
            f"SELECT o.due_at_us, o.id, {shard} AS shard FROM {orders} AS o"
            f" WHERE o.type = ? AND o.due_at_us <= ? AND {_FREE.format('?')} ORDER BY o.due_at_us LIMIT ?"
        )
        self._postpone_order = (
            f"UPDATE {orders} SET holder = NULL, due_at_us = ?, attempts = ?, last_error = ?"
            " WHERE id = ? AND version = ? AND holder = ?"
        )
        self._hint_order = f"UPDATE {orders} SET due_at_us = min(due_at_us, ?) WHERE id = ? AND due_at_us IS NOT NULL"

    def create(self, orders: Rows, entries: Rows, legs: Rows) -> Steps[None]:
        """Insert orders, first entries and legs."""
        yield from self._insert_orders.write(orders)
        yield from self._insert_entries.write(entries)
        yield from self._write_legs.write(legs)

    def record(self, orders: Rows, entries: Rows, legs: Rows) -> Steps[None]:
        """Update orders, append entries, write legs."""
        yield from self._update_orders.write(orders)
        yield from self._insert_entries.write(entries)
        yield from self._write_legs.write(legs)

    def orders(self, ids: Sequence[str]) -> Steps[Rows]:
        """Those of the orders that exist, joined to their legs."""
        return self._select_orders.read([(order_id,) for order_id in ids])

    def states(self, ids: Sequence[str]) -> Steps[Rows]:
        """Id, version and holder of those that exist."""
        return self._select_states.read([(order_id,) for order_id in ids])

    def hold(self, rows: Rows) -> Steps[None]:
        """Take hold where something is due and nobody alive has it."""
        return self._hold_orders.run(rows)

    def due(self, order_type: int, now_us: int, holder: int, limit: int) -> Read:
        """What this holder may claim of this type, the longest due first."""
        return Read(self._select_due, (order_type, now_us, holder, limit))

    def claim(self, order_type: int, now_us: int, holder: int, limit: int) -> Steps[Rows]:
        """As ``due``: nobody else writes while this transaction does."""
        rows: Rows = yield self.due(order_type, now_us, holder, limit)
        return rows

    def postpone(self, rows: Rows) -> Steps[set[str]]:
        """Let go of orders; the ids where version and holder still matched."""
        let_go = set()
        for order_id, version, holder, *values in rows:
            if (yield Count(self._postpone_order, (*values, order_id, version, holder))):
                let_go.add(order_id)
        return let_go

    def hint(self, rows: Rows) -> Steps[set[str]]:
        """Make orders due now; the ids where something was due."""
        hinted = set()
        for order_id, now_us in rows:
            if (yield Count(self._hint_order, (now_us, order_id))):
                hinted.add(order_id)
        return hinted

    def write_id(self, order_id: str, version: int) -> Steps[str | None]:
        """The ``write_id`` of this entry of the journal, if it is there."""
        return first_value(Read(self._select_write_id, (order_id, version)))


class PostingStatements:
    """The statements over one shard's ledger."""

    def __init__(self, shard: int) -> None:
        self._select_keys = ManyRows(
            f"SELECT p.uid, p.key, p.fingerprint FROM (VALUES {{rows}}) AS v CROSS JOIN ow_postings_{shard} AS p"
            " ON p.uid = v.column1 AND p.key = v.column2",
            2,
        )
        self._select_accounts = ManyRows(
            "SELECT a.uid, a.currency, a.balance_minor, a.movements FROM (VALUES {rows}) AS v"
            f" CROSS JOIN ow_accounts_{shard} AS a ON a.uid = v.column1 AND a.currency = v.column2",
            2,
        )
        self._write_accounts = ManyRows(
            f"INSERT INTO ow_accounts_{shard} (uid, currency, balance_minor, movements) VALUES {{rows}}"
            " ON CONFLICT (uid, currency) DO UPDATE SET balance_minor = excluded.balance_minor,"
            " movements = excluded.movements",
            4,
        )
        self._insert_postings = ManyRows(
            f"INSERT INTO ow_postings_{shard} (uid, key, currency, memo, fingerprint, write_id, at_us,"
            " moved_minor, movement, balance_minor) VALUES {rows}",
            10,
        )
        self._insert_lines = ManyRows(
            f"INSERT INTO ow_lines_{shard} (uid, key, number, account, currency, amount_minor) VALUES {{rows}}",
            6,
        )
        self._select_write_id = f"SELECT write_id FROM ow_postings_{shard} WHERE uid = ? AND key = ?"

    def keys(self, keys: Rows) -> Steps[Rows]:
        """Uid, key and fingerprint of those that were applied."""
        return self._select_keys.read(keys)

    def accounts(self, wallets: Rows) -> Steps[Rows]:
        """Uid, currency, balance and movements of the wallets that exist."""
        return self._select_accounts.read(wallets)

    def write(self, new: Rows, changed: Rows, postings: Rows, lines: Rows) -> Steps[None]:
        """Write wallets, postings and lines: nobody else has written since they were read."""
        yield from self._write_accounts.write([*new, *changed])
        yield from self._insert_postings.write(postings)
        yield from self._insert_lines.write(lines)

    def write_id(self, uid: str, key: str) -> Steps[str | None]:
        """The ``write_id`` of this posting, if it is there."""
        return first_value(Read(self._select_write_id, (uid, key)))


def _insert(table: str, columns: Sequence[str]) -> ManyRows:
    return ManyRows(f"INSERT INTO {table} ({_list(columns)}) VALUES {{rows}}", len(columns))


def _write_legs(legs: str) -> ManyRows:
    columns = ("order_id", *LEG_COLUMNS)
    changed = ", ".join(f"{name} = excluded.{name}" for name in LEG_COLUMNS if name not in _FIXED_IN_A_LEG)
    return ManyRows(
        f"INSERT INTO {legs} ({_list(columns)}) VALUES {{rows}} ON CONFLICT (order_id, number) DO UPDATE SET {changed}",
        len(columns),
    )


def _update_orders(orders: str) -> ManyRows:
    """Rows of: id, expected version, guard, keep the holder?, holder, then ``UPDATE_COLUMNS``."""
    fresh = ", ".join(f"{name} = v.column{at}" for at, name in enumerate(UPDATE_COLUMNS, 6))
    return ManyRows(
        f"UPDATE {orders} AS o SET {fresh}, holder = iif(v.column4, o.holder, v.column5)"
        " FROM (VALUES {rows}) AS v WHERE o.id = v.column1 AND o.version = v.column2"
        " AND (v.column3 IS NULL OR o.holder = v.column3)",
        5 + len(UPDATE_COLUMNS),
    )


def _hold_orders(orders: str) -> ManyRows:
    """Rows of: id, holder, due_at_us."""
    return ManyRows(
        f"UPDATE {orders} AS o SET holder = v.column2, due_at_us = v.column3 FROM (VALUES {{rows}}) AS v"
        # In a final stage, too, something is due while money of it is on its way back.
        f" WHERE o.id = v.column1 AND o.due_at_us IS NOT NULL"
        f" AND {_FREE.format('v.column2')}",
        3,
    )


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)


_FIXED_IN_A_LEG = ("number", "channel", "currency", "holds")
_FREE = "(o.holder IS NULL OR o.holder = {0} OR o.holder NOT IN (SELECT incarnation FROM ow_workers))"
