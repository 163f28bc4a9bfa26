"""Where a scripted channel keeps what happened and what is yet to come: one SQLite database, in memory or in a file.

What is yet to come is a row with an instant in the future: it counts once the clock has reached it. A row without an
instant waits for something else, a capture or a close, and comes so long after it as ``after_us`` says.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Lock
from typing import Any
from weakref import finalize

from orderway.ports.clock import Clock

__all__ = ["Storage", "as_us"]

_TABLES = """
CREATE TABLE IF NOT EXISTS payments (
    key TEXT PRIMARY KEY, order_id TEXT NOT NULL, uid TEXT NOT NULL, amount_minor INTEGER NOT NULL,
    currency TEXT NOT NULL, at_most INTEGER NOT NULL, opened_at_us INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'held', 'closed', 'refused')), why TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS captures (
    reference TEXT PRIMARY KEY, key TEXT NOT NULL, amount_minor INTEGER NOT NULL, currency TEXT NOT NULL,
    after_us INTEGER NOT NULL, at_us INTEGER
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS captures_by_key ON captures (key, at_us);
CREATE TABLE IF NOT EXISTS refunds (
    key TEXT PRIMARY KEY, order_id TEXT NOT NULL, payment_reference TEXT NOT NULL, amount_minor INTEGER NOT NULL,
    currency TEXT NOT NULL, reference TEXT NOT NULL, result TEXT NOT NULL CHECK (result IN ('returned', 'refused')),
    why TEXT NOT NULL, at_us INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS refunds_by_payment ON refunds (payment_reference);
CREATE TABLE IF NOT EXISTS disputes (
    reference TEXT PRIMARY KEY, payment_reference TEXT NOT NULL, amount_minor INTEGER, notices TEXT NOT NULL,
    decision TEXT, decided_after_us INTEGER NOT NULL, after_us INTEGER NOT NULL, next_at_us INTEGER,
    state TEXT NOT NULL CHECK (state IN ('planned', 'opened', 'won', 'lost'))
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS disputes_by_payment ON disputes (payment_reference);
CREATE INDEX IF NOT EXISTS disputes_by_next ON disputes (next_at_us) WHERE state IN ('planned', 'opened');
CREATE TABLE IF NOT EXISTS notices (
    number INTEGER PRIMARY KEY, about TEXT NOT NULL, after_us INTEGER NOT NULL, due_us INTEGER,
    body BLOB NOT NULL, signature TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS notices_by_due ON notices (due_us);
CREATE INDEX IF NOT EXISTS notices_by_about ON notices (about);
CREATE TABLE IF NOT EXISTS attempts (
    order_id TEXT, what TEXT, count INTEGER NOT NULL, PRIMARY KEY (order_id, what)
) WITHOUT ROWID;
"""


class Storage:
    """The database of one scripted channel; several threads and processes may use one file.

    Args:
        clock: says what counts already.
        path: the file; None keeps everything in memory.
    """

    def __init__(self, clock: Clock, path: str | Path | None) -> None:
        self._clock = clock
        self._lock = Lock()
        self._connection = sqlite3.connect(
            ":memory:" if path is None else path, isolation_level=None, timeout=30, check_same_thread=False
        )
        finalize(self, self._connection.close)
        # No fsync: the file must survive killed processes, not power cuts, and a killed writer's journal rolls back.
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} COMMIT")

    def disconnect(self) -> None:
        """Close the database. Idempotent."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[int]:
        """One atomic step: nobody else, in no process, is in one at the same time. Gives its instant, in us."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._clock.now_us()
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def execute(self, statement: str, *values: object) -> None:
        """Run a statement, inside a transaction."""
        self._connection.execute(statement, values)

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """What a statement gives, inside a transaction."""
        return self._connection.execute(statement, values).fetchall()

    def row(self, statement: str, *values: object) -> tuple[Any, ...] | None:
        """The first row of what a statement gives, if there is one, inside a transaction."""
        found: Sequence[tuple[Any, ...]] = self.rows(statement, *values)
        return found[0] if found else None

    def count_attempt(self, order_id: str, what: str) -> int:
        """How often this was called for this order and this use, with this time."""
        ((count,),) = self.rows(
            "INSERT INTO attempts VALUES (?, ?, 1) "
            "ON CONFLICT (order_id, what) DO UPDATE SET count = count + 1 RETURNING count",
            order_id,
            what,
        )
        return int(count)


def as_us(delay: timedelta) -> int:
    """A delay in microseconds."""
    return delay // timedelta(microseconds=1)
