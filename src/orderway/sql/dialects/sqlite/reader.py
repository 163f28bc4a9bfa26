"""Readers: connections that see what was committed last, beside the writer and never in its way."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from orderway.errors import OrderwayError
from orderway.sql.dialects.sqlite.errors import BAD_VALUE, refused_value, unavailable
from orderway.sql.dialects.sqlite.orders import OrderWrites
from orderway.sql.operations import Fetch, Get, Operation, fail_all
from orderway.sql.refusals import not_found

__all__ = ["Reader"]


class Reader:
    """Runs batches of reads on one connection; never raises, but leaves every operation with its outcome."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], orders: OrderWrites) -> None:
        self._connect = connect
        self._orders = orders
        self._connection: sqlite3.Connection | None = None

    def run(self, batch: list[Operation[Any]]) -> None:
        """Run one batch: the orders asked for in one query, everything else by itself."""
        gets = [operation for operation in batch if isinstance(operation, Get)]
        try:
            if self._connection is None:
                self._connection = self._connect()
            if gets:
                self._get(self._connection, gets)
            for operation in batch:
                if isinstance(operation, Fetch):
                    self._fetch(self._connection, operation)
        except Exception as error:  # noqa: BLE001 a mistake of ours must reach the callers, not end the thread
            self.close()
            unanswered = [operation for operation in batch if operation.error is None]
            fail_all(unanswered, unavailable(error) if isinstance(error, sqlite3.Error) else error)

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _get(self, connection: sqlite3.Connection, gets: list[Get]) -> None:
        orders = self._orders.find_all(connection, [operation.order_id for operation in gets])
        for operation in gets:
            order = orders.pop(operation.order_id, None)
            if order is None:  # none, or given to another caller: an order is never shared between two
                order = self._orders.find(connection, operation.order_id)
            if order is None:
                operation.error = not_found(operation.order_id)
            else:
                operation.result = order

    def _fetch(self, connection: sqlite3.Connection, operation: Fetch) -> None:
        try:
            operation.result = connection.execute(operation.sql, operation.parameters).fetchall()
        except BAD_VALUE as error:
            operation.error = refused_value(error)
        except OrderwayError as error:
            operation.error = error
