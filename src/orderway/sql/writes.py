"""What one write transaction does with a batch: all operations together, or each alone when one of them is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from orderway.errors import OrderwayError
from orderway.sql.compiled import compiled_for
from orderway.sql.dialect import Dialect
from orderway.sql.operations import (
    Alter,
    Beat,
    Bury,
    Claim,
    Create,
    Hint,
    Hold,
    Join,
    NextBlock,
    Operation,
    Park,
    Post,
    Postpone,
    PostponeParked,
    Record,
    Release,
    TakeLetters,
)
from orderway.sql.orders import OrderWrites
from orderway.sql.postings import PostingWrites
from orderway.sql.refusals import refusal
from orderway.sql.rows import parked_row
from orderway.sql.shards import ShardMap
from orderway.sql.steps import SETTLE, Busy, Count, Duplicate, Read, Refused, Step, Steps, Write

__all__ = ["Batch", "Writes"]

Batch = Sequence[Operation[Any]]
Run = Callable[[Sequence[Any]], Steps[None]]


class Writes:
    """Runs operations inside a transaction; each kind of operation in one place.

    Args:
        dialect: of the database.
        shards: the shard map.
        own: the numbers of the shards that live in this database.
    """

    def __init__(self, dialect: Dialect, shards: ShardMap, own: Sequence[int]) -> None:
        self.orders = OrderWrites(dialect, shards, own)
        self._postings = PostingWrites(dialect, shards, own)
        self._dialect = dialect
        self._common = dialect.common
        self._run: dict[type[Operation[Any]], Run] = {
            Create: self.orders.create,
            Record: self.orders.record,
            Hold: self.orders.hold,
            Claim: self.orders.claim,
            Postpone: self.orders.postpone,
            Hint: self.orders.hint,
            Post: self._postings.post,
            Join: self._join,
            Beat: self._beat,
            Bury: self._bury,
            NextBlock: self._next_block,
            Park: self._park,
            PostponeParked: self._postpone_parked,
            Release: self._release,
            Alter: self._alter,
            TakeLetters: self._take_letters,
        }

    def together(self, batch: Batch) -> Steps[None]:
        """Run a batch, grouped by kind. All of it arrived at once, so any order of its operations is a right one.

        Raises:
            Refused, OrderwayError: at least one cannot be done; roll back, and run them ``apart``.
        """
        groups: dict[type[Operation[Any]], list[Operation[Any]]] = {}
        for operation in batch:
            groups.setdefault(type(operation), []).append(operation)
        for kind, run in self._run.items():  # always in this order: two that want the same rows wait in one line
            if kind in groups:
                yield from run(groups[kind])

    def apart(self, batch: Batch) -> Steps[None]:
        """Run a batch of which something was refused: what can be seen to be is told so, the rest goes together.

        Only where that is not enough (a value or a statement of the user's own fails) does each operation run alone.

        Raises:
            Duplicate: another transaction was faster with a key; begin again, and see what it has left.
        """
        for operation in batch:
            operation.error = None
        yield Write("SAVEPOINT rest")
        refused = yield from self.orders.refuse_creates([each for each in batch if isinstance(each, Create)])
        refused |= yield from self.orders.refuse_records([each for each in batch if isinstance(each, Record)])
        rest = [operation for operation in batch if operation not in refused]
        try:
            yield from self.together(rest)
            yield SETTLE
        except (Refused, OrderwayError):
            yield Write("ROLLBACK TO SAVEPOINT rest")
            for operation in rest:
                yield from self.alone(operation)
        yield Write("RELEASE SAVEPOINT rest")
        yield SETTLE

    def alone(self, operation: Operation[Any]) -> Steps[None]:
        """Run one operation; if it is refused, nothing of it stays and its ``error`` says why.

        Raises:
            Duplicate: see ``apart``.
        """
        operation.error = None
        yield Write("SAVEPOINT operation")
        try:
            yield from self._run[type(operation)]((operation,))
            yield SETTLE
        except (Refused, OrderwayError) as error:
            yield Write("ROLLBACK TO SAVEPOINT operation")
            if isinstance(error, Duplicate) and isinstance(operation, Post):
                raise
            yield from self._explain(operation, error)
        yield Write("RELEASE SAVEPOINT operation")

    def guarded(self, step: Step) -> Steps[Any]:
        """One statement of the user's own, of which nothing stays if it is refused; the transaction goes on.

        Raises:
            Refused: it was.
        """
        yield Write("SAVEPOINT statement")
        try:
            result = yield step
        except Refused:
            yield Write("ROLLBACK TO SAVEPOINT statement")
            raise
        yield Write("RELEASE SAVEPOINT statement")
        return result

    def is_written(self, batch: Batch) -> Steps[bool | None]:
        """Whether the transaction of this batch was committed: one of its writes tells for all; None if none can."""
        for operation in batch:
            if operation.error is not None:
                continue
            if isinstance(operation, Record):
                return (yield from self.orders.is_written(operation))
            if isinstance(operation, Create) and operation.result is operation.order:
                return (yield from self.orders.is_written(operation))
            if isinstance(operation, Post) and operation.result:
                return (yield from self._postings.is_written(operation))
        return None

    def _explain(self, operation: Operation[Any], error: Exception) -> Steps[None]:
        if isinstance(error, Busy):
            operation.error = refusal(error, operation.order_id)
        elif isinstance(operation, Create):
            yield from self.orders.explain_create(operation, error)
        elif isinstance(operation, Record):
            yield from self.orders.explain_record(operation, error)
        else:
            operation.error = error if isinstance(error, OrderwayError) else refusal(error, operation.order_id)

    def _join(self, operations: Sequence[Join]) -> Steps[None]:
        for operation in operations:
            yield from self._common.join(operation.incarnation, operation.name)
            operation.result = None

    def _beat(self, operations: Sequence[Beat]) -> Steps[None]:
        for operation in operations:
            operation.result = yield from self._common.beat(operation.incarnation)

    def _bury(self, operations: Sequence[Bury]) -> Steps[None]:
        for operation in operations:
            yield from self._common.bury(operation.incarnation)
            operation.result = None

    def _next_block(self, operations: Sequence[NextBlock]) -> Steps[None]:
        for operation in operations:
            operation.result = yield from self._common.next_block(operation.name, operation.size)

    def _park(self, operations: Sequence[Park]) -> Steps[None]:
        for operation in operations:
            operation.result = yield from self._common.park(parked_row(operation.payment))

    def _postpone_parked(self, operations: Sequence[PostponeParked]) -> Steps[None]:
        for operation in operations:
            yield from self._common.postpone_parked(operation.channel, operation.reference, operation.due_at_us)
            operation.result = None

    def _release(self, operations: Sequence[Release]) -> Steps[None]:
        for operation in operations:
            operation.result = yield from self._common.release(operation.channel, operation.reference)

    def _alter(self, operations: Sequence[Alter]) -> Steps[None]:
        for operation in operations:
            operation.result = yield Count(*compiled_for(operation.statement, self._dialect))

    def _take_letters(self, operations: Sequence[TakeLetters]) -> Steps[None]:
        for operation in operations:
            rows = yield Read(*compiled_for(operation.query, self._dialect))
            if rows:
                yield Write(*compiled_for(operation.change([row[0] for row in rows]), self._dialect), len(rows))
            operation.result = rows
