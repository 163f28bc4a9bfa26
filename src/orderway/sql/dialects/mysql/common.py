"""The statements over what a database has once."""

from __future__ import annotations

from orderway.sql.dialect import Row
from orderway.sql.rows import PARKED_COLUMNS
from orderway.sql.steps import SETTLE, Count, Duplicate, Read, Steps, Write, first_value

__all__ = ["CommonStatements"]

_PARK = (
    f"INSERT INTO ow_parked ({', '.join(f'`{name}`' for name in PARKED_COLUMNS)})"
    f" VALUES ({', '.join(['%s'] * len(PARKED_COLUMNS))})"
)


class CommonStatements:
    """See ``orderway.sql.dialect.CommonStatements``."""

    def join(self, incarnation: int, name: str) -> Steps[None]:
        """Enter an incarnation."""
        yield Write(
            "INSERT INTO ow_workers (incarnation, name, beats) VALUES (%s, %s, 0)"
            " ON DUPLICATE KEY UPDATE incarnation = incarnation",
            (incarnation, name),
        )

    def beat(self, incarnation: int) -> Steps[bool]:
        """Count a counter up."""
        return bool((yield Count("UPDATE ow_workers SET beats = beats + 1 WHERE incarnation = %s", (incarnation,))))

    def bury(self, incarnation: int) -> Steps[None]:
        """Take an incarnation out."""
        yield Write("DELETE FROM ow_workers WHERE incarnation = %s", (incarnation,))

    def next_block(self, name: str, size: int) -> Steps[int]:
        """Take numbers of a sequence: the first statement locks the row until the end, the second reads it."""
        yield Write(
            "INSERT INTO ow_sequences (name, next) VALUES (%s, 1 + %s) ON DUPLICATE KEY UPDATE next = next + %s",
            (name, size, size),
        )
        after: int = yield from first_value(Read("SELECT next FROM ow_sequences WHERE name = %s", (name,)))
        return after - size

    def park(self, row: Row) -> Steps[bool]:
        """Keep a payment.

        IGNORE would cut off what does not fit, and ON DUPLICATE KEY UPDATE counts a row whether it was there or not.
        """
        yield SETTLE  # so that a key which is taken is surely this one
        try:
            yield Count(_PARK, row)
        except Duplicate:
            return False
        return True

    def postpone_parked(self, channel: str, reference: str, due_at_us: int) -> Steps[None]:
        """Look for a payment's order again at another time."""
        sql = "UPDATE ow_parked SET due_at_us = %s, tries = tries + 1 WHERE channel = %s AND reference = %s"
        yield Write(sql, (due_at_us, channel, reference))

    def release(self, channel: str, reference: str) -> Steps[bool]:
        """Let go of a payment."""
        sql = "DELETE FROM ow_parked WHERE channel = %s AND reference = %s"
        return bool((yield Count(sql, (channel, reference))))
