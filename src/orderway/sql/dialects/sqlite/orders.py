"""Writing orders, inside a transaction that the caller has begun.

Each function takes all operations of its kind in a batch and runs them as few statements. Where one of them cannot
be done as it stands, it raises: the caller rolls back and runs each operation alone, and then ``explain`` says why.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, TypeVar

from orderway.core.order import Order
from orderway.errors import DeliveryFailed, OrderwayError
from orderway.ports.limits import misfit_in_order
from orderway.ports.statements import check_statement
from orderway.ports.store import Statement
from orderway.sql.dialects.sqlite.errors import BAD_VALUE, Mismatch, refused_statement, refused_value
from orderway.sql.dialects.sqlite.statements import OrderStatements
from orderway.sql.operations import Claim, Create, Hint, Hold, Operation, Postpone, Record
from orderway.sql.refusals import exists, not_found, state_error
from orderway.sql.rows import entry_row, insert_row, leg_row, orders_of, update_row
from orderway.sql.shards import ShardMap

__all__ = ["OrderWrites", "run_statement"]

T = TypeVar("T")

_LEAVES_LEGS_ALONE = frozenset(
    {
        *("StepDone", "Delivered", "Finished", "TakenBack", "Amended", "Stuck", "Ended", "Resumed"),
        *("RefundPending", "RefundUnknown", "RefundStuck", "RefundResumed", "AllRefunded"),
    }
)
"""After these facts the legs are not written again: most changes are of these, and have legs."""


class OrderWrites:
    """The writes of orders over all shards of a database."""

    def __init__(self, shards: ShardMap) -> None:
        self._shards = shards
        self._statements = [OrderStatements(shard) for shard in range(len(shards))]

    def create(self, connection: sqlite3.Connection, operations: Sequence[Create]) -> None:
        """Insert orders, their legs and first entries."""
        for statements, group in self._by_shard([(operation.order.id, operation) for operation in operations]):
            statements.insert_orders.execute(
                connection, [insert_row(operation.order, operation.order.slot) for operation in group]
            )
            statements.insert_entries.execute(connection, [entry_row(operation.entry) for operation in group])
            legs = [leg_row(operation.order.id, leg) for operation in group for leg in operation.order.legs]
            if legs:
                statements.write_legs.execute(connection, legs)
        for operation in operations:
            operation.result = operation.order

    def record(self, connection: sqlite3.Connection, operations: Sequence[Record]) -> None:
        """Update rows whose version and holder are as expected, and append the entries."""
        changes = [(operation.change.order.id, operation.change) for operation in operations]
        for statements, group in self._by_shard(changes):
            rows = [
                (
                    change.order.id,
                    change.expected_version,
                    change.guard,
                    change.keep_holder,
                    change.order.holder,
                    *update_row(change.order),
                )
                for change in group
            ]
            if statements.update_orders.execute(connection, rows) != len(rows):
                raise Mismatch
            statements.insert_entries.execute(
                connection, [entry_row(entry) for change in group for entry in change.entries]
            )
            legs = [
                leg_row(change.order.id, leg)
                for change in group
                if change.order.legs and any(entry.fact not in _LEAVES_LEGS_ALONE for entry in change.entries)
                for leg in change.order.legs
            ]
            if legs:
                statements.write_legs.execute(connection, legs)
        for operation in operations:
            for statement in operation.change.statements:
                run_statement(connection, statement)
            operation.result = None

    def hold(self, connection: sqlite3.Connection, operations: Sequence[Hold]) -> None:
        """Take hold where nobody alive has it, then read all of them."""
        for statements, group in self._by_shard([(operation.order_id, operation) for operation in operations]):
            rows = [(operation.order_id, operation.holder, operation.due_at_us) for operation in group]
            statements.hold_orders.execute(connection, rows)
            orders = orders_of(statements.select_orders.fetch(connection, [row[:1] for row in rows]))
            for operation in group:
                if operation.order_id in orders:
                    operation.result = orders[operation.order_id]
                else:
                    operation.error = not_found(operation.order_id)

    def claim(self, connection: sqlite3.Connection, operations: Sequence[Claim]) -> None:
        """Take hold of due orders, the longest due first over all shards."""
        for operation in operations:
            due = sorted(
                row
                for sql, parameters in self.due_queries(operation, operation.limit)
                for row in connection.execute(sql, parameters)
            )
            ids = [order_id for _, order_id in due[: operation.limit]]
            for statements, group in self._by_shard([(order_id, order_id) for order_id in ids]):
                rows = [(order_id, operation.holder, operation.due_at_us) for order_id in group]
                statements.hold_orders.execute(connection, rows)
            orders = self.find_all(connection, ids)
            operation.result = [orders[order_id] for order_id in ids]

    def postpone(self, connection: sqlite3.Connection, operations: Sequence[Postpone]) -> None:
        """Let go of orders that are still held."""
        for operation in operations:
            values = (
                *(operation.due_at_us, operation.attempts, operation.last_error),
                *(operation.order_id, operation.version, operation.holder),
            )
            sql = self.of_order(operation.order_id).postpone_order
            operation.result = connection.execute(sql, values).rowcount == 1

    def hint(self, connection: sqlite3.Connection, operations: Sequence[Hint]) -> None:
        """Make orders due now."""
        for operation in operations:
            sql = self.of_order(operation.order_id).hint_order
            operation.result = connection.execute(sql, (operation.now_us, operation.order_id)).rowcount == 1

    def due_queries(self, claim: Claim, limit: int) -> list[tuple[str, tuple[int, ...]]]:
        """The queries for what this claim may take: one a type and shard, so that each walks its index in order."""
        return [
            (statements.select_due, (order_type, claim.now_us, claim.holder, limit))
            for statements in self._statements
            for order_type in dict.fromkeys(claim.types)
        ]

    def find(self, connection: sqlite3.Connection, order_id: str) -> Order[Any] | None:
        """One order, or None."""
        rows = connection.execute(self.of_order(order_id).select_order, (order_id,)).fetchall()
        return orders_of(rows).get(order_id)

    def find_all(self, connection: sqlite3.Connection, order_ids: Sequence[str]) -> dict[str, Order[Any]]:
        """Those of the orders that exist, by id."""
        orders: dict[str, Order[Any]] = {}
        for statements, group in self._by_shard([(order_id, order_id) for order_id in dict.fromkeys(order_ids)]):
            orders |= orders_of(statements.select_orders.fetch(connection, [(order_id,) for order_id in group]))
        return orders

    def refuse_creates(self, connection: sqlite3.Connection, operations: Sequence[Create]) -> set[Operation[Any]]:
        """Those whose id is taken, with their outcome: the stored order, or why not."""
        try:
            stored = self.find_all(connection, [operation.order.id for operation in operations])
        except BAD_VALUE:  # one of them has an id that cannot even be asked for: it is found when each runs alone
            return set()
        refused: set[Operation[Any]] = set()
        for operation in operations:
            if operation.order.id in stored:
                self.explain_create(connection, operation, Mismatch())
                refused.add(operation)
        return refused

    def refuse_records(self, connection: sqlite3.Connection, operations: Sequence[Record]) -> set[Operation[Any]]:
        """Those whose order is missing, or has another version or holder, with the error that says so."""
        changes = [(operation.change.order.id, operation) for operation in operations]
        refused: set[Operation[Any]] = set()
        for statements, group in self._by_shard(changes):
            ids = [(operation.change.order.id,) for operation in group]
            try:
                states = {row[0]: row[1:] for row in statements.select_states.fetch(connection, ids)}
            except BAD_VALUE:
                continue
            for operation in group:
                error = state_error(operation.change, states.get(operation.change.order.id))
                if error is not None:
                    operation.error = error
                    refused.add(operation)
        return refused

    def explain_create(self, connection: sqlite3.Connection, operation: Create, error: Exception) -> None:
        """Why an order could not be created alone; if it exists with the same content, that is no error."""
        order = operation.order
        stored = None if isinstance(error, BAD_VALUE) else self.find(connection, order.id)
        if stored is None:
            operation.error = misfit_in_order(order) or refused_value(error, order.id)
        elif stored.fingerprint == order.fingerprint:
            operation.result = stored
        else:
            operation.error = exists(order.id)

    def explain_record(self, connection: sqlite3.Connection, operation: Record, error: Exception) -> None:
        """Why a change could not be written alone."""
        operation.error = self._record_error(connection, operation, error)

    def _record_error(self, connection: sqlite3.Connection, operation: Record, error: Exception) -> OrderwayError:
        change, order_id = operation.change, operation.change.order.id
        if isinstance(error, OrderwayError):
            error.order_id = order_id
            return error
        if isinstance(error, BAD_VALUE):
            return refused_value(error, order_id)
        states = self.of_order(order_id).select_states.fetch(connection, [(order_id,)])
        refusal = state_error(change, states[0][1:] if states else None) or misfit_in_order(change.order)
        return refusal or refused_value(error, order_id)

    def is_written(self, connection: sqlite3.Connection, operation: Create | Record) -> bool:
        """True if this very write is in the database."""
        entry = operation.entry if isinstance(operation, Create) else operation.change.entries[0]
        sql = self.of_order(entry.order_id).select_write_id
        row = connection.execute(sql, (entry.order_id, entry.version)).fetchone()
        return row is not None and row[0] == entry.write_id

    def of_order(self, order_id: str) -> OrderStatements:
        """The statements of the shard that this order lives in."""
        if len(self._statements) == 1:
            return self._statements[0]
        return self._statements[self._shards.of_order(order_id)]

    def _by_shard(self, items: list[tuple[str, T]]) -> list[tuple[OrderStatements, list[T]]]:
        if len(self._statements) == 1:
            return [(self._statements[0], [item for _, item in items])]
        groups: dict[int, list[T]] = {}
        for order_id, item in items:
            groups.setdefault(self._shards.of_order(order_id), []).append(item)
        return [(self._statements[shard], group) for shard, group in sorted(groups.items())]


def run_statement(connection: sqlite3.Connection, statement: Statement) -> None:
    """Run a statement of the user's own.

    Raises:
        DeliveryFailed: it touched another number of rows than expected, or failed.
        Unavailable: the database did not answer.
    """
    check_statement(statement.sql)
    try:
        touched = connection.execute(statement.sql, dict(statement.parameters)).rowcount
    except (sqlite3.Error, *BAD_VALUE) as error:
        raise refused_statement(statement.sql, error) from error
    if statement.expect is not None and touched != statement.expect:
        raise DeliveryFailed(f"{touched} rows were touched and {statement.expect} expected by: {statement.sql}")
