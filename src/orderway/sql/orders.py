"""Writing orders, inside a transaction that has begun.

Each function takes all operations of its kind in a batch and yields as few statements as the database allows. Where
one of them cannot be done as it stands, it raises: the transaction is rolled back, each operation runs alone, and then
``explain`` says why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, TypeVar

from orderway.core.ids import slot_of_order
from orderway.core.order import Order
from orderway.errors import DeliveryFailed, InvalidValue, OrderwayError
from orderway.ports.limits import misfit_in_order
from orderway.ports.statements import check_statement
from orderway.ports.store import Change, Statement
from orderway.sql.dialect import Dialect, OrderStatements
from orderway.sql.lazily import Lazily
from orderway.sql.operations import Claim, Create, Hint, Hold, Operation, Postpone, Record
from orderway.sql.refusals import exists, not_found, refusal, state_error
from orderway.sql.rows import Unreadable, insert_row, leg_row, orders_of, update_row
from orderway.sql.shards import ShardMap
from orderway.sql.steps import SETTLE, Mismatch, Own, Read, Refused, Steps, unless_refused

__all__ = ["OrderWrites", "run_statement", "settle"]

T = TypeVar("T")
UNITED = 50
"""So many shards share a query for what is due."""
UNREADABLE_PAUSE_US = 60_000_000
"""An order that cannot be read is due again after this: meanwhile a newer version may be there that reads it."""

_LEAVES_LEGS_ALONE = frozenset(
    {
        *("StepDone", "Delivered", "Finished", "TakenBack", "Amended", "Stuck", "Ended", "Resumed"),
        *("RefundPending", "RefundUnknown", "RefundStuck", "RefundResumed", "AllRefunded"),
    }
)
"""After these facts the legs are not written again: most changes are of these, and have legs."""


class OrderWrites:
    """The writes of orders over the shards of a database.

    Args:
        dialect: of the database.
        shards: the shard map.
        own: the numbers of the shards that live in this database.
    """

    def __init__(self, dialect: Dialect, shards: ShardMap, own: Sequence[int]) -> None:
        self._dialect = dialect
        self._shards = shards
        self._statements = Lazily(dialect.orders, own)
        self._only = self._statements[own[0]] if len(own) == 1 else None

    def create(self, operations: Sequence[Create]) -> Steps[None]:
        """Insert orders, their legs and first entries."""
        for statements, group in self._by_shard(operations, _order_id_of):
            yield from statements.create(
                [insert_row(operation.order, slot_of_order(operation.order.id)) for operation in group],
                [operation.entry for operation in group],
                [leg_row(operation.order.id, leg) for operation in group for leg in operation.order.legs],
            )
        for operation in operations:
            operation.result = operation.order

    def record(self, operations: Sequence[Record]) -> Steps[None]:
        """Update rows whose version and holder are as expected, and append the entries."""
        _refuse_twice(operations)
        for statements, group in self._by_shard(operations, _order_id_of):
            changes = [operation.change for operation in group]
            yield from statements.record(
                [_record_row(change) for change in changes],
                [entry for change in changes for entry in change.entries],
                [
                    leg_row(change.order.id, leg)
                    for change in changes
                    if change.order.legs and any(entry.fact not in _LEAVES_LEGS_ALONE for entry in change.entries)
                    for leg in change.order.legs
                ],
            )
        if any(operation.change.statements for operation in operations):
            yield SETTLE  # what is wrong with the rows must not look like a fault of the user's statements
        for operation in operations:
            for statement in operation.change.statements:
                yield from run_statement(statement)
            operation.result = None

    def hold(self, operations: Sequence[Hold]) -> Steps[None]:
        """Take hold where nobody alive has it, then read all of them."""
        for statements, group in self._by_shard(operations, _order_id_of):
            rows = [(operation.order_id, operation.holder, operation.due_at_us) for operation in group]
            yield from statements.hold(rows)
            orders = orders_of((yield from statements.orders([row[0] for row in rows])))
            for operation in group:
                settle(operation, orders.get(operation.order_id))

    def claim(self, operations: Sequence[Claim]) -> Steps[None]:
        """Take hold of due orders, the longest due first over all shards; let go of those that cannot be read."""
        for operation in operations:
            operation.unreadable = []  # a transaction that met another one is run again
            due: list[tuple[Any, ...]] = []
            for shard in self._statements if operation.shards is None else operation.shards:
                statements = self._statements[shard]
                for order_type in dict.fromkeys(operation.types):
                    due += yield from statements.claim(order_type, operation.now_us, operation.holder, operation.limit)
            chosen = sorted(due)[: operation.limit]
            orders: dict[str, Order[Any]] = {}
            for shard in sorted({shard for _, _, shard in chosen}):
                # By the shard that they were found in: what stands in an id need not be true.
                ids = [order_id for _, order_id, of_shard in chosen if of_shard == shard]
                orders |= yield from self._claim(operation, shard, ids)
            # Where rows are not locked before they are looked at, somebody may have been faster.
            claimed = [orders[order_id] for _, order_id, _ in chosen if order_id in orders]
            operation.result = [order for order in claimed if order.holder == operation.holder]

    def _claim(self, operation: Claim, shard: int, ids: Sequence[str]) -> Steps[dict[str, Order[Any]]]:
        statements, holder = self._statements[shard], operation.holder
        yield from statements.hold([(order_id, holder, operation.due_at_us) for order_id in ids])
        found = orders_of((yield from statements.orders(ids)))
        readable, unreadable = {}, []
        for order_id, stored in found.items():
            order = self._placed(stored, shard)
            if isinstance(order, Order):
                readable[order_id] = order
            else:
                unreadable.append(order)
        if unreadable:
            operation.unreadable += unreadable
            due_at_us = operation.now_us + UNREADABLE_PAUSE_US
            yield from statements.postpone(
                [(each.order_id, each.version, holder, due_at_us, each.attempts, each.why) for each in unreadable]
            )
        return readable

    def _placed(self, order: Order[Any] | Unreadable, shard: int) -> Order[Any] | Unreadable:
        """The order, unless it would not be found under its own id, and so could never be written."""
        if isinstance(order, Unreadable):
            return order
        try:
            belongs = self._shards.of_order(order.id)
        except InvalidValue as error:
            return Unreadable(order.id, order.version, order.attempts, str(error))
        if belongs == shard:
            return order
        why = f"it stands in the tables of shard {shard}, and its id belongs to shard {belongs}"
        return Unreadable(order.id, order.version, order.attempts, why)

    def postpone(self, operations: Sequence[Postpone]) -> Steps[None]:
        """Let go of orders that are still held."""
        for statements, group in self._by_shard(operations, _order_id_of):
            rows = [
                (each.order_id, each.version, each.holder, each.due_at_us, each.attempts, each.last_error)
                for each in group
            ]
            let_go = yield from statements.postpone(rows)
            for operation in group:
                operation.result = operation.order_id in let_go

    def hint(self, operations: Sequence[Hint]) -> Steps[None]:
        """Make orders due now."""
        for statements, group in self._by_shard(operations, _order_id_of):
            hinted = yield from statements.hint([(operation.order_id, operation.now_us) for operation in group])
            for operation in group:
                operation.result = operation.order_id in hinted

    def due(self, claim: Claim, limit: int) -> list[Read]:
        """The queries for what this claim may take, so many orders of each shard and type: see ``OrderStatements.due``.

        Each type and shard walks its index in order; many shards share a query, so that nothing to do costs little.
        """
        statements = list(self._statements.values())
        return [
            self._dialect.union(
                [each.due(order_type, claim.now_us, claim.holder, limit) for each in statements[first : first + UNITED]]
            )
            for order_type in dict.fromkeys(claim.types)
            for first in range(0, len(statements), UNITED)
        ]

    def find_all(self, order_ids: Sequence[str]) -> Steps[dict[str, Order[Any] | Unreadable]]:
        """Those of the orders that exist, by id."""
        orders: dict[str, Order[Any] | Unreadable] = {}
        for statements, group in self._by_shard(list(dict.fromkeys(order_ids)), str):
            orders |= orders_of((yield from statements.orders(group)))
        return orders

    def refuse_creates(self, operations: Sequence[Create]) -> Steps[set[Operation[Any]]]:
        """Those whose id is taken, with their outcome: the stored order, or why not."""
        if not operations:
            return set()
        # Refused if one of them has an id that cannot even be asked for: it is found when each runs alone.
        asked = self.find_all([operation.order.id for operation in operations])
        stored: dict[str, Order[Any] | Unreadable] = (yield from unless_refused(asked, None)) or {}
        refused: set[Operation[Any]] = set()
        for operation in operations:
            known = stored.get(operation.order.id)
            if known is not None:
                _explain_create(operation, known)
                refused.add(operation)
        return refused

    def refuse_records(self, operations: Sequence[Record]) -> Steps[set[Operation[Any]]]:
        """Those whose order is missing, or has another version or holder, with the error that says so."""
        refused: set[Operation[Any]] = set()
        for statements, group in self._by_shard(operations, _order_id_of):
            rows = yield from unless_refused(statements.states([each.change.order.id for each in group]), None)
            if rows is None:
                continue
            states = {row[0]: row[1:] for row in rows}
            for operation in group:
                error = state_error(operation.change, states.get(operation.change.order.id))
                if error is not None:
                    operation.error = error
                    refused.add(operation)
        return refused

    def explain_create(self, operation: Create, error: Exception) -> Steps[None]:
        """Why an order could not be created alone; if it exists with the same content, that is no error."""
        order = operation.order
        misfit = misfit_in_order(order)
        if misfit is not None:
            operation.error = misfit
            return
        # Refused if it has an id that cannot even be asked for.
        stored = orders_of((yield from unless_refused(self.of_order(order.id).orders([order.id]), ()))).get(order.id)
        if stored is None:
            operation.error = refusal(error, order.id)
        else:
            _explain_create(operation, stored)

    def explain_record(self, operation: Record, error: Exception) -> Steps[None]:
        """Why a change could not be written alone."""
        change, order_id = operation.change, operation.change.order.id
        if isinstance(error, OrderwayError):
            error.order_id = order_id
            operation.error = error
            return
        states = yield from unless_refused(self.of_order(order_id).states([order_id]), None)
        problem = None if states is None else state_error(change, states[0][1:] if states else None)
        operation.error = problem or misfit_in_order(change.order) or refusal(error, order_id)

    def is_written(self, operation: Create | Record) -> Steps[bool]:
        """True if this very write is in the database."""
        entry = operation.entry if isinstance(operation, Create) else operation.change.entries[0]
        write_id = yield from self.of_order(entry.order_id).write_id(entry.order_id, entry.version)
        return write_id == entry.write_id

    def of_order(self, order_id: str) -> OrderStatements:
        """The statements of the shard that this order lives in."""
        return self._only or self._statements[self._shards.of_order(order_id)]

    def _by_shard(
        self, items: Sequence[T], order_id_of: Callable[[T], str]
    ) -> Sequence[tuple[OrderStatements, Sequence[T]]]:
        if not items:
            return ()
        if self._only is not None:
            return ((self._only, items),)
        groups: dict[int, list[T]] = {}
        for item in items:
            groups.setdefault(self._shards.of_order(order_id_of(item)), []).append(item)
        return [(self._statements[shard], group) for shard, group in sorted(groups.items())]


_order_id_of: Callable[[Any], str] = attrgetter("order_id")


def _record_row(change: Change) -> tuple[Any, ...]:
    order = change.order
    return (order.id, change.expected_version, change.guard, change.keep_holder, order.holder, *update_row(order))


def _refuse_twice(operations: Sequence[Record]) -> None:
    """Two changes of one order cannot go together: the second is stale once the first is written."""
    if len({operation.change.order.id for operation in operations}) != len(operations):
        raise Mismatch("an order comes twice")


def settle(operation: Operation[Order[Any]], found: Order[Any] | Unreadable | None) -> None:
    """Give whoever asked for an order what was found under its id."""
    if isinstance(found, Order):
        operation.result = found
    elif found is not None:
        operation.error = found.error
    else:
        assert operation.order_id is not None
        operation.error = not_found(operation.order_id)


def _explain_create(operation: Create, stored: Order[Any] | Unreadable) -> None:
    if isinstance(stored, Unreadable):
        operation.error = stored.error
    elif stored.fingerprint == operation.order.fingerprint:
        operation.result = stored
    else:
        operation.error = exists(operation.order.id)


def run_statement(statement: Statement) -> Steps[None]:
    """Run a statement of the user's own.

    Raises:
        DeliveryFailed: it touched another number of rows than expected, or failed.
    """
    check_statement(statement.sql)
    try:
        touched = yield Own(statement.sql, statement.parameters)
    except Refused as error:
        raise DeliveryFailed(f"{error}, in: {statement.sql}") from error
    if statement.expect is not None and touched != statement.expect:
        raise DeliveryFailed(f"{touched} rows were touched and {statement.expect} expected by: {statement.sql}")
