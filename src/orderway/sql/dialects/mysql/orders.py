"""The hot statements over orders, written by hand, for many rows at once.

All at READ COMMITTED: a statement sees what was committed when it began. Where something is decided about a row, the
row is locked by a statement before. Rows are locked in the order of their ids, so that two transactions rarely wait
for each other in a circle. The primary key is forced: a plan made for a table that was nearly empty would walk all of
it, and wait for every row that anybody else has locked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter

from orderway.sql.dialect import Row, Rows
from orderway.sql.dialects.mysql.literals import literal, literals
from orderway.sql.dialects.mysql.many import chunks, in_list, insert, insert_into, statements
from orderway.sql.rows import ENTRY_COLUMNS, INSERT_COLUMNS, LEG_COLUMNS, ORDER_COLUMNS, UPDATE_COLUMNS
from orderway.sql.steps import Read, Steps, Write, first_value

__all__ = ["OrderStatements"]

_FIXED_IN_A_LEG = ("number", "channel", "currency", "holds")
_ALIVE = "SELECT incarnation FROM ow_workers"
_AND = " UNION ALL SELECT "
_OF_A_CHANGE = ("id", "expected", "guard", "keep", "new_holder", *UPDATE_COLUMNS)


class OrderStatements:
    """The statements over one shard's orders, legs and journal."""

    def __init__(self, shard: int) -> None:
        orders, legs, journal = f"ow_orders_{shard}", f"ow_legs_{shard}", f"ow_journal_{shard}"
        self._table = orders
        self._insert_orders = insert_into(orders, INSERT_COLUMNS)
        self._insert_entries = insert_into(journal, ENTRY_COLUMNS)
        self._insert_legs = insert_into(legs, ("order_id", *LEG_COLUMNS))
        self._or_update_legs = " ON DUPLICATE KEY UPDATE " + ", ".join(
            f"{name} = VALUES({name})" for name in LEG_COLUMNS if name not in _FIXED_IN_A_LEG
        )
        columns = ", ".join([f"o.{name}" for name in ORDER_COLUMNS] + [f"l.{name}" for name in LEG_COLUMNS])
        self._select_orders = (
            f"SELECT {columns} FROM {orders} AS o FORCE INDEX (PRIMARY)"
            f" LEFT JOIN {legs} AS l FORCE INDEX (PRIMARY) ON l.order_id = o.id WHERE o.id IN {{}}"
            " ORDER BY o.id, l.number"
        )
        # Joined to their ids, in their order. By IN (...), MySQL walks a table of which it wants a good part, and waits
        # for whoever has locked any of it.
        self._lock = (
            f"SELECT {{}} FROM (SELECT {{}}) AS v STRAIGHT_JOIN {orders} AS o FORCE INDEX (PRIMARY) ON o.id = v.id"
            " FOR UPDATE"
        )
        self._select_write_id = f"SELECT write_id FROM {journal} WHERE order_id = %s AND version = %s"
        self._select_due = (
            f"SELECT due_at_us, id, {shard} AS shard FROM {orders} FORCE INDEX ({orders}_due)"
            f" WHERE type = %s AND due_at_us <= %s AND (holder IS NULL OR holder = %s OR holder NOT IN ({_ALIVE}))"
            " ORDER BY due_at_us LIMIT %s"
        )

    def create(self, orders: Rows, entries: Rows, legs: Rows) -> Steps[None]:
        """Insert orders, first entries and legs. An id that is taken stops everything after it."""
        yield from insert(self._insert_orders, orders)
        yield from insert(self._insert_entries, entries)
        yield from insert(self._insert_legs, legs, self._or_update_legs)

    def record(self, orders: Rows, entries: Rows, legs: Rows) -> Steps[None]:
        """Update orders, append entries, write legs. The update locks, waits, and then goes by the newest version."""
        if len(orders) == 1:
            yield Write(_update_one(self._table, orders[0]), expect=1)
        else:
            said, differ, changes = _apart(sorted(orders, key=itemgetter(0)))
            for sql, count in statements(changes, lambda some: _update_many(self._table, said, differ, some)):
                yield Write(sql, expect=count)
        yield from insert(self._insert_entries, entries)
        yield from insert(self._insert_legs, legs, self._or_update_legs)

    def orders(self, ids: Sequence[str]) -> Steps[Rows]:
        """Those of the orders that exist, joined to their legs; locks nothing."""
        found: list[Row] = []
        for chunk in chunks(ids, len):
            found += yield Read(self._select_orders.format(in_list(chunk)))
        return found

    def states(self, ids: Sequence[str]) -> Steps[Rows]:
        """Id, version and holder of those that exist; locks them."""
        return self._locked("o.id, o.version, o.holder", ids)

    def hold(self, rows: Rows) -> Steps[None]:
        """Take hold where something is due and nobody alive has it.

        Two statements: who is alive is looked up only once the rows are locked. The update reads the workers' table
        without locking it, as READ COMMITTED does for an update of one table (of two tables joined it would not).
        """
        groups: dict[tuple[int, int], list[str]] = {}
        for order_id, holder, due_at_us in rows:
            groups.setdefault((holder, due_at_us), []).append(order_id)
        for sql in self._locks("o.id", [order_id for order_id, _, _ in rows]):
            yield Write(sql)
        for (holder, due_at_us), ids in groups.items():
            for chunk in chunks(sorted(ids), len):
                yield Write(
                    f"UPDATE {self._table} FORCE INDEX (PRIMARY) SET holder = {holder}, due_at_us = {due_at_us}"
                    # In a final stage, too, something is due while money of it is on its way back.
                    f" WHERE id IN {in_list(chunk)} AND due_at_us IS NOT NULL"
                    f" AND (holder IS NULL OR holder = {holder} OR holder NOT IN ({_ALIVE}))"
                )

    def due(self, order_type: int, now_us: int, holder: int, limit: int) -> Read:
        """What this holder may claim of this type, the longest due first; locks nothing."""
        return Read(self._select_due, (order_type, now_us, holder, limit))

    def claim(self, order_type: int, now_us: int, holder: int, limit: int) -> Steps[Rows]:
        """As ``due``, locked; passes over what others have locked."""
        sql = self._select_due + " FOR UPDATE SKIP LOCKED"
        rows: Rows = yield Read(sql, (order_type, now_us, holder, limit))
        return rows

    def postpone(self, rows: Rows) -> Steps[set[str]]:
        """Let go of orders; the ids where version and holder still matched. Decided under a lock."""
        states = {
            row[0]: row[1:] for row in (yield from self._locked("o.id, o.version, o.holder", [row[0] for row in rows]))
        }
        let_go = {row[0]: row for row in reversed(rows) if states.get(row[0]) == row[1:3]}
        for order_id, _, _, due_at_us, attempts, last_error in let_go.values():
            yield Write(
                f"UPDATE {self._table} SET holder = NULL, due_at_us = {literal(due_at_us)}, attempts = {attempts},"
                f" last_error = {literal(last_error)} WHERE id = {literal(order_id)}"
            )
        return set(let_go)

    def hint(self, rows: Rows) -> Steps[set[str]]:
        """Make orders due now; the ids where something was due. Decided under a lock."""
        found = yield from self._locked("o.id, o.due_at_us", [order_id for order_id, _ in rows])
        due: dict[str, int] = {order_id: due_at_us for order_id, due_at_us in found if due_at_us is not None}
        for order_id, now_us in rows:
            if now_us < due.get(order_id, now_us):
                due[order_id] = now_us
                yield Write(f"UPDATE {self._table} SET due_at_us = {now_us} WHERE id = {literal(order_id)}")
        return set(due)

    def write_id(self, order_id: str, version: int) -> Steps[str | None]:
        """The ``write_id`` of this entry of the journal, if it is there."""
        return first_value(Read(self._select_write_id, (order_id, version)))

    def _locked(self, columns: str, ids: Iterable[str]) -> Steps[list[Row]]:
        found: list[Row] = []
        for sql in self._locks(columns, ids):
            found += yield Read(sql)
        return found

    def _locks(self, columns: str, ids: Iterable[str]) -> Iterator[str]:
        for first, *others in chunks(sorted(set(ids)), len):
            wanted = _AND.join([f"{literal(first)} AS id", *map(literal, others)])
            yield self._lock.format(columns, wanted)


def _update_one(table: str, change: Row) -> str:
    """The plain statement for one change: half the time of the one for many."""
    order_id, expected, guard, keep, holder, *values = change
    fresh = [f"{name} = {literal(value)}" for name, value in zip(UPDATE_COLUMNS, values, strict=True)]
    if not keep:
        fresh.append(f"holder = {literal(holder)}")
    guarded = "" if guard is None else f" AND holder = {guard}"
    return f"UPDATE {table} SET {', '.join(fresh)} WHERE id = {literal(order_id)} AND version = {expected}{guarded}"


def _apart(changes: Sequence[Row]) -> tuple[dict[str, str], list[str], list[Row]]:
    """Say once what is the same in all changes, as most of what ends an order is: two thirds of the values.

    Returns:
        For each column how it is said: its literal, or by its name; the columns that differ; their values by change.
    """
    said: dict[str, str] = {}
    differ, columns = [], []
    for name, column in zip(_OF_A_CHANGE, zip(*changes, strict=True), strict=True):
        if name != "id" and column.count(column[0]) == len(column):
            said[name] = literal(column[0])
        else:
            said[name] = f"v.{name}"
            differ.append(name)
            columns.append(column)
    return said, differ, list(zip(*columns, strict=True))


def _update_many(table: str, said: dict[str, str], differ: Sequence[str], changes: Rows) -> str:
    """Changes as a table of their own, joined to the orders; see ``_apart``.

    By UNION ALL, which both databases know. JSON_TABLE would be one literal, but MariaDB's cuts off what does not fit,
    without an error.
    """
    named = ", ".join([f"{value} AS {name}" for value, name in zip(map(literal, changes[0]), differ, strict=True)])
    others = f"{_AND}{literals(changes[1:], _AND)}" if len(changes) > 1 else ""
    fresh = ", ".join([f"o.{name} = {said[name]}" for name in UPDATE_COLUMNS])
    return (
        f"UPDATE (SELECT {named}{others}) AS v STRAIGHT_JOIN {table} AS o FORCE INDEX (PRIMARY) ON o.id = v.id"
        f" AND o.version = {said['expected']} AND ({said['guard']} IS NULL OR o.holder = {said['guard']})"
        f" SET {fresh}, o.holder = IF({said['keep']}, o.holder, {said['new_holder']})"
    )
