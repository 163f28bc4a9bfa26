"""Connections to one SQLite file, all with the same settings."""

from __future__ import annotations

import sqlite3
from pathlib import Path

__all__ = ["ConnectionFactory", "connect"]

ConnectionFactory = type[sqlite3.Connection]


def connect(
    path: Path, *, busy_timeout_s: float, factory: ConnectionFactory = sqlite3.Connection
) -> sqlite3.Connection:
    """A connection in autocommit mode: transactions are begun and ended by explicit statements only.

    Durable: a commit returns after the write-ahead log is on the disk.

    Args:
        path: the file; created when it is missing.
        busy_timeout_s: how long to wait for a lock that somebody who does not know our lock file holds.
        factory: the connection's class; tests give one that fails.

    Raises:
        sqlite3.Error: the file cannot be opened, or is no database.
    """
    connection = sqlite3.connect(
        path,
        timeout=busy_timeout_s,
        isolation_level=None,
        check_same_thread=False,  # opened in one thread, used in another; never by two at once
        cached_statements=512,
        factory=factory,
    )
    try:
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = OFF")
        # Some builds overwrite freed space with zeros, which costs a tenth of an order; what must vanish is vacuumed.
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute("PRAGMA cache_size = -32768")
        # A page that many commits touch (the index by uid has many) is copied into the file once a checkpoint.
        connection.execute("PRAGMA wal_autocheckpoint = 4000")
    except BaseException:
        connection.close()
        raise
    return connection
