"""The writer: the one thread of this process that writes to a SQLite file in group commits."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress

from orderway.errors import CommitUnknown, OrderwayError
from orderway.sql.dialects.sqlite.errors import unavailable
from orderway.sql.dialects.sqlite.lock import FileLock
from orderway.sql.dialects.sqlite.perform import fence, perform
from orderway.sql.operations import fail_all
from orderway.sql.steps import Failed, Refused
from orderway.sql.writes import Batch, Writes

__all__ = ["Writer", "commit", "roll_back"]


class Writer:
    """Runs batches, each in one transaction; never raises, but leaves every operation with its outcome.

    Args:
        connect: opens the connection; used again when the one at hand has failed.
        lock: shared with other processes.
        lock_timeout_s: how long a batch waits for it.
        writes: what to do.
        epoch: of the shard map.
    """

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        lock: FileLock,
        lock_timeout_s: float,
        writes: Writes,
        epoch: int,
    ) -> None:
        self._connect = connect
        self._lock = lock
        self._lock_timeout_s = lock_timeout_s
        self._writes = writes
        self._epoch = epoch
        self._connection: sqlite3.Connection | None = None

    def run(self, batch: Batch) -> None:
        """Run one batch."""
        try:
            self._lock.acquire(self._lock_timeout_s)
        except Exception as error:  # noqa: BLE001 nothing may end the thread, and nothing was done yet
            fail_all(batch, unavailable(error))
            return
        try:
            self._write(batch)
        except OrderwayError as error:
            fail_all(batch, error)
        except (sqlite3.Error, Failed) as error:
            self._disconnect()
            fail_all(batch, unavailable(error))
        except Exception as error:  # noqa: BLE001 a mistake of ours must reach the callers, not end the thread
            self._disconnect()
            fail_all(batch, error)
        finally:
            self._lock.release()

    def close(self) -> None:
        """Close the connection and the lock."""
        self._disconnect()
        self._lock.close()

    def _write(self, batch: Batch) -> None:
        """Write a batch; what this raises was raised before the commit, so that nothing was done."""
        connection = self._connection
        if connection is None:
            connection = self._connection = self._connect()
        connection.execute("BEGIN IMMEDIATE")
        try:
            fence(connection, self._epoch)
            try:
                perform(connection, self._writes.together(batch))
            except (Refused, OrderwayError):
                roll_back(connection)
                connection.execute("BEGIN IMMEDIATE")
                perform(connection, self._writes.apart(batch))
        except BaseException:
            roll_back(connection)
            raise
        problem = commit(connection)
        if problem is not None:
            self._resolve(batch, problem)

    def _resolve(self, batch: Batch, problem: sqlite3.Error) -> None:
        """After a commit that gave no answer: read whether it happened, on a fresh connection."""
        self._disconnect()
        try:
            self._connection = self._connect()
            written = perform(self._connection, self._writes.is_written(batch))
        except (sqlite3.Error, Failed):
            written = None
        if written is None:
            fail_all(batch, CommitUnknown(f"the commit gave no answer and could not be looked up: {problem}"))
        elif not written:
            fail_all(batch, unavailable(problem))

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):  # it has failed already; a new one is opened in its place
                connection.close()


def commit(connection: sqlite3.Connection) -> sqlite3.Error | None:
    """Commit; returns the error if there was no clear answer.

    Raises:
        sqlite3.Error: the commit failed and the transaction was rolled back: nothing was done.
    """
    try:
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
            raise
        return error
    return None


def roll_back(connection: sqlite3.Connection) -> None:
    """Roll back, unless SQLite has done so by itself (as it does when the disk is full)."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")
