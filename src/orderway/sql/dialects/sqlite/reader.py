"""Readers: connections that see what was committed last, beside the writer and never in its way."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from orderway.sql.dialects.sqlite.errors import unavailable
from orderway.sql.dialects.sqlite.perform import perform
from orderway.sql.operations import Fetch, Get, Operation, fail_all
from orderway.sql.orders import OrderWrites
from orderway.sql.reads import fetch, get_all
from orderway.sql.steps import Failed

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
                perform(self._connection, get_all(self._orders, gets))
            for operation in batch:
                if isinstance(operation, Fetch):
                    perform(self._connection, fetch(operation))
        except Exception as error:  # noqa: BLE001 a mistake of ours must reach the callers, not end the thread
            self.close()
            unanswered = [operation for operation in batch if operation.error is None]
            fail_all(unanswered, unavailable(error) if isinstance(error, sqlite3.Error | Failed) else error)

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
