"""Writing what a database has once: the workers' table and the sequences."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from orderway.sql.operations import Beat, Bury, Join, NextBlock

__all__ = ["beat", "bury", "join", "next_block"]


def join(connection: sqlite3.Connection, operations: Sequence[Join]) -> None:
    """Enter incarnations."""
    for operation in operations:
        connection.execute(
            "INSERT INTO ow_workers (incarnation, name, beats) VALUES (?, ?, 0) ON CONFLICT (incarnation) DO NOTHING",
            (operation.incarnation, operation.name),
        )
        operation.result = None


def beat(connection: sqlite3.Connection, operations: Sequence[Beat]) -> None:
    """Count incarnations' counters up."""
    for operation in operations:
        sql = "UPDATE ow_workers SET beats = beats + 1 WHERE incarnation = ?"
        operation.result = connection.execute(sql, (operation.incarnation,)).rowcount == 1


def bury(connection: sqlite3.Connection, operations: Sequence[Bury]) -> None:
    """Take incarnations out."""
    for operation in operations:
        connection.execute("DELETE FROM ow_workers WHERE incarnation = ?", (operation.incarnation,))
        operation.result = None


def next_block(connection: sqlite3.Connection, operations: Sequence[NextBlock]) -> None:
    """Take blocks of sequences' numbers."""
    for operation in operations:
        row = connection.execute(
            "INSERT INTO ow_sequences (name, next) VALUES (?, 1 + ?)"
            " ON CONFLICT (name) DO UPDATE SET next = next + ? RETURNING next",
            (operation.name, operation.size, operation.size),
        ).fetchone()
        operation.result = row[0] - operation.size
