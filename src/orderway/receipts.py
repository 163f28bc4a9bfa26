"""Receipts: exactly-once delivery into another database, by a unique row in the user's own transaction.

Works with any DB-API connection (sqlite3, psycopg, MySQL drivers, Django's ``connection``): keys are our own letters
and digits, so no driver's parameter style is needed.
"""

from __future__ import annotations

import contextlib
import re
from typing import Any

from orderway.errors import InvalidValue

__all__ = ["create_table", "enter"]

_KEY = re.compile(r"[0-9A-Za-z-]{1,64}")


def create_table(connection: Any) -> None:
    """Create the table ``ow_receipts`` where it is missing. Run it once, outside your transactions, and commit."""
    with contextlib.closing(connection.cursor()) as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS ow_receipts (receipt_key VARCHAR(64) NOT NULL PRIMARY KEY)")


def enter(connection: Any, key: str) -> bool:
    """Enter a receipt in the transaction that is open on this connection; False if it is there already.

    Args:
        connection: a DB-API connection whose transaction also hands the goods over.
        key: a delivery's key.

    Raises:
        InvalidValue: the key is not one of ours.
        The driver's IntegrityError: another transaction entered it at the same time; roll back, the retry finds it.
    """
    if not _KEY.fullmatch(key):
        raise InvalidValue(f"{key!r} is no delivery key")
    with contextlib.closing(connection.cursor()) as cursor:
        cursor.execute(f"SELECT 1 FROM ow_receipts WHERE receipt_key = '{key}'")
        if cursor.fetchone() is not None:
            return False
        cursor.execute(f"INSERT INTO ow_receipts (receipt_key) VALUES ('{key}')")
    return True
