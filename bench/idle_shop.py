"""What an idle worker serves: ``orderway worker bench.idle_shop:app``. It counts what it asks of SQLite itself.

``python -m bench.idle_shop`` makes the tables.

The variables BENCH_URL and BENCH_TABLES say where, and BENCH_COUNT names the file that the count is kept in.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sqlite3
from typing import Any

from orderway import App, Business
from orderway.core.order import Order

__all__ = ["Idle", "app"]


class Idle(Business[dict[str, Any]]):
    """Nobody orders it."""

    order_type = 1

    async def deliver(self, order: Order[Any], delivery: Any) -> None:
        """Nothing is to be handed over."""


def count_statements(path: str) -> None:
    """Keep the number of statements that SQLite was asked to run where another process can read it."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    plain, statements = sqlite3.connect, itertools.count(1)

    def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = plain(*arguments, **options)
        connection.set_trace_callback(lambda _: os.pwrite(file, b"%020d" % next(statements), 0) and None)
        return connection

    sqlite3.connect = connect


count_statements(os.environ["BENCH_COUNT"])
app = App(os.environ["BENCH_URL"], shards=int(os.environ["BENCH_TABLES"]))
app.register(Idle())


async def main() -> None:
    """Make the tables."""
    async with app:
        pass


if __name__ == "__main__":
    asyncio.run(main())
