"""The hot statements, written by hand, for many rows at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from orderway.core.order import FINAL_STAGES
from orderway.sql.rows import ENTRY_COLUMNS, INSERT_COLUMNS, LEG_COLUMNS, ORDER_COLUMNS, UPDATE_COLUMNS

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

    __slots__ = ("_statements",)

    def __init__(self, sql: str, width: int) -> None:
        row = f"({','.join('?' * width)})"
        self._statements = [(size, sql.format(rows=",".join([row] * size))) for size in CHUNKS]

    def execute(self, connection: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> int:
        """Run it for all rows; returns how many rows of the table it touched."""
        touched = start = 0
        left = len(rows)
        for size, sql in self._statements:
            while left >= size:
                values: list[Any] = []
                for row in rows[start : start + size]:
                    values += row
                touched += connection.execute(sql, values).rowcount
                start += size
                left -= size
        return touched

    def fetch(self, connection: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Run it as a query for all rows; returns what it found."""
        found: list[tuple[Any, ...]] = []
        start, left = 0, len(rows)
        for size, sql in self._statements:
            while left >= size:
                values: list[Any] = []
                for row in rows[start : start + size]:
                    values += row
                found += connection.execute(sql, values).fetchall()
                start += size
                left -= size
        return found


class OrderStatements:
    """The statements over one shard's orders, legs and journal."""

    def __init__(self, shard: int) -> None:
        orders, legs, journal = f"ow_orders_{shard}", f"ow_legs_{shard}", f"ow_journal_{shard}"
        self.insert_orders = _insert(orders, INSERT_COLUMNS)
        self.insert_entries = _insert(journal, ENTRY_COLUMNS)
        self.write_legs = _write_legs(legs)
        self.update_orders = _update_orders(orders)
        self.hold_orders = _hold_orders(orders)
        columns = [f"o.{name}" for name in ORDER_COLUMNS] + [f"l.{name}" for name in LEG_COLUMNS]
        self.select_order = (
            f"SELECT {_list(columns)} FROM {orders} AS o LEFT JOIN {legs} AS l ON l.order_id = o.id"
            " WHERE o.id = ? ORDER BY l.number"
        )
        self.select_orders = ManyRows(
            f"SELECT {_list(columns)} FROM (VALUES {{rows}}) AS v CROSS JOIN {orders} AS o ON o.id = v.column1"
            f" LEFT JOIN {legs} AS l ON l.order_id = o.id ORDER BY o.id, l.number",
            1,
        )
        self.select_states = ManyRows(
            f"SELECT o.id, o.version, o.holder FROM (VALUES {{rows}}) AS v CROSS JOIN {orders} AS o"
            " ON o.id = v.column1",
            1,
        )
        self.select_write_id = f"SELECT write_id FROM {journal} WHERE order_id = ? AND version = ?"
        self.select_entries = f"SELECT {_list(ENTRY_COLUMNS)} FROM {journal} WHERE order_id = ? ORDER BY version"
        self.select_due = (
            f"SELECT o.due_at_us, o.id FROM {orders} AS o WHERE o.type = ? AND o.due_at_us <= ?"
            f" AND {_FREE.format('?')} ORDER BY o.due_at_us LIMIT ?"
        )
        self.postpone_order = (
            f"UPDATE {orders} SET holder = NULL, due_at_us = ?, attempts = ?, last_error = ?"
            " WHERE id = ? AND version = ? AND holder = ?"
        )
        self.hint_order = f"UPDATE {orders} SET due_at_us = min(due_at_us, ?) WHERE id = ? AND due_at_us IS NOT NULL"


class PostingStatements:
    """The statements over one shard's ledger."""

    def __init__(self, shard: int) -> None:
        self.select_keys = ManyRows(
            f"SELECT p.uid, p.key, p.fingerprint FROM (VALUES {{rows}}) AS v CROSS JOIN ow_postings_{shard} AS p"
            " ON p.uid = v.column1 AND p.key = v.column2",
            2,
        )
        self.select_accounts = ManyRows(
            "SELECT a.uid, a.currency, a.balance_minor, a.movements FROM (VALUES {rows}) AS v"
            f" CROSS JOIN ow_accounts_{shard} AS a ON a.uid = v.column1 AND a.currency = v.column2",
            2,
        )
        self.write_accounts = ManyRows(
            f"INSERT INTO ow_accounts_{shard} (uid, currency, balance_minor, movements) VALUES {{rows}}"
            " ON CONFLICT (uid, currency) DO UPDATE SET balance_minor = excluded.balance_minor,"
            " movements = excluded.movements",
            4,
        )
        self.insert_postings = ManyRows(
            f"INSERT INTO ow_postings_{shard} (uid, key, currency, memo, fingerprint, write_id, at_us,"
            " moved_minor, movement, balance_minor) VALUES {rows}",
            10,
        )
        self.insert_lines = ManyRows(
            f"INSERT INTO ow_lines_{shard} (uid, key, number, account, currency, amount_minor) VALUES {{rows}}",
            6,
        )
        self.select_write_id = f"SELECT write_id FROM ow_postings_{shard} WHERE uid = ? AND key = ?"


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


_FINAL = ", ".join(f"'{stage.value}'" for stage in sorted(FINAL_STAGES))
_FIXED_IN_A_LEG = ("number", "channel", "currency", "holds")
_FREE = "(o.holder IS NULL OR o.holder = {0} OR o.holder NOT IN (SELECT incarnation FROM ow_workers))"
