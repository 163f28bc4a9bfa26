"""Writing parked payments, inside a transaction that the caller has begun."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from orderway.sql.operations import Park, PostponeParked, Release
from orderway.sql.rows import PARKED_COLUMNS, parked_row

__all__ = ["park", "postpone", "release"]

_PARK = (
    f"INSERT INTO ow_parked ({', '.join(PARKED_COLUMNS)}) VALUES ({', '.join('?' * len(PARKED_COLUMNS))})"
    " ON CONFLICT (channel, reference) DO NOTHING"
)


def park(connection: sqlite3.Connection, operations: Sequence[Park]) -> None:
    """Keep payments; those that are kept already stay as they are."""
    for operation in operations:
        operation.result = connection.execute(_PARK, parked_row(operation.payment)).rowcount == 1


def postpone(connection: sqlite3.Connection, operations: Sequence[PostponeParked]) -> None:
    """Look for payments' orders again at another time."""
    for operation in operations:
        connection.execute(
            "UPDATE ow_parked SET due_at_us = ?, tries = tries + 1 WHERE channel = ? AND reference = ?",
            (operation.due_at_us, operation.channel, operation.reference),
        )
        operation.result = None


def release(connection: sqlite3.Connection, operations: Sequence[Release]) -> None:
    """Let go of payments."""
    for operation in operations:
        sql = "DELETE FROM ow_parked WHERE channel = ? AND reference = ?"
        operation.result = connection.execute(sql, (operation.channel, operation.reference)).rowcount == 1
