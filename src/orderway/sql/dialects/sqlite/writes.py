"""What one write transaction does with a batch: all operations together, or each alone when one of them is refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from orderway.errors import OrderwayError, Unavailable
from orderway.sql.dialects.sqlite import parking, workers
from orderway.sql.dialects.sqlite.errors import BAD_VALUE, Mismatch, is_environment, refused_value
from orderway.sql.dialects.sqlite.orders import OrderWrites
from orderway.sql.dialects.sqlite.postings import PostingWrites
from orderway.sql.operations import (
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
)
from orderway.sql.shards import ShardMap

__all__ = ["REFUSED", "Writes"]

REFUSED = (Mismatch, OrderwayError, sqlite3.Error, *BAD_VALUE)
"""What running operations may raise where one of them cannot be done."""


class Writes:
    """Runs operations inside a transaction; each kind of operation in one place.

    Args:
        shards: the shard map.
        epoch: of the map, as it was when the database was opened.
    """

    def __init__(self, shards: ShardMap, epoch: int) -> None:
        self.orders = OrderWrites(shards)
        self._postings = PostingWrites(shards)
        self._epoch = epoch
        self._run: dict[type[Operation[Any]], Callable[[sqlite3.Connection, Sequence[Any]], None]] = {
            Create: self.orders.create,
            Record: self.orders.record,
            Hold: self.orders.hold,
            Claim: self.orders.claim,
            Postpone: self.orders.postpone,
            Hint: self.orders.hint,
            Post: self._postings.post,
            Join: workers.join,
            Beat: workers.beat,
            Bury: workers.bury,
            NextBlock: workers.next_block,
            Park: parking.park,
            PostponeParked: parking.postpone,
            Release: parking.release,
        }

    def check_epoch(self, connection: sqlite3.Connection) -> None:
        """Refuse to write by a shard map that is no longer the one in force.

        Raises:
            Unavailable: until the process is started again.
        """
        (epoch,) = connection.execute("SELECT epoch FROM ow_meta WHERE id = 1").fetchone()
        if epoch != self._epoch:
            raise Unavailable(
                f"the shard map has changed (epoch {epoch}, this process knows {self._epoch}): restart the process"
            )

    def together(self, connection: sqlite3.Connection, batch: Sequence[Operation[Any]]) -> None:
        """Run a batch, grouped by kind. All of it arrived at once, so any order of its operations is a right one.

        Raises:
            REFUSED: at least one cannot be done; roll back.
        """
        groups: dict[type[Operation[Any]], list[Operation[Any]]] = {}
        for operation in batch:
            groups.setdefault(type(operation), []).append(operation)
        for kind, group in groups.items():
            self._run[kind](connection, group)

    def apart(self, connection: sqlite3.Connection, batch: Sequence[Operation[Any]]) -> None:
        """Run a batch of which something was refused: what can be seen to be is told so, the rest goes together.

        Only where that is not enough (a value or a statement of the user's own fails) does each operation run alone.

        Raises:
            sqlite3.Error: the database as a whole did not answer.
        """
        for operation in batch:
            operation.error = None
        refused = self.orders.refuse_creates(connection, [each for each in batch if isinstance(each, Create)])
        refused |= self.orders.refuse_records(connection, [each for each in batch if isinstance(each, Record)])
        rest = [operation for operation in batch if operation not in refused]
        connection.execute("SAVEPOINT rest")
        try:
            self.together(connection, rest)
        except REFUSED as error:
            if is_environment(error) or is_environment(error.__cause__ or error):
                raise
            connection.execute("ROLLBACK TO rest")
            for operation in rest:
                self.alone(connection, operation)
        connection.execute("RELEASE rest")

    def alone(self, connection: sqlite3.Connection, operation: Operation[Any]) -> None:
        """Run one operation; if it is refused, nothing of it stays and its ``error`` says why.

        Raises:
            sqlite3.Error: the database as a whole did not answer.
        """
        operation.error = None
        connection.execute("SAVEPOINT operation")
        try:
            self._run[type(operation)](connection, (operation,))
        except REFUSED as error:
            if is_environment(error) or is_environment(error.__cause__ or error):
                raise
            connection.execute("ROLLBACK TO operation")
            self._explain(connection, operation, error)
        connection.execute("RELEASE operation")

    def is_written(self, connection: sqlite3.Connection, batch: Sequence[Operation[Any]]) -> bool | None:
        """Whether the transaction of this batch was committed: one of its writes tells for all; None if none can."""
        for operation in batch:
            if operation.error is not None:
                continue
            if isinstance(operation, Record):
                return self.orders.is_written(connection, operation)
            if isinstance(operation, Create) and operation.result is operation.order:
                return self.orders.is_written(connection, operation)
            if isinstance(operation, Post) and operation.result:
                return self._postings.is_written(connection, operation)
        return None

    def _explain(self, connection: sqlite3.Connection, operation: Operation[Any], error: Exception) -> None:
        if isinstance(operation, Create):
            self.orders.explain_create(connection, operation, error)
        elif isinstance(operation, Record):
            self.orders.explain_record(connection, operation, error)
        else:
            operation.error = error if isinstance(error, OrderwayError) else refused_value(error, operation.order_id)
