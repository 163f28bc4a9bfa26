"""The statements over what a database has once."""

from __future__ import annotations

from orderway.sql.dialect import Row
from orderway.sql.rows import PARKED_COLUMNS
from orderway.sql.steps import Count, Read, Steps, Write, first_value

__all__ = ["CommonStatements"]

_PARK = (
    f"INSERT INTO ow_parked ({', '.join(PARKED_COLUMNS)}) VALUES ({', '.join('?' * len(PARKED_COLUMNS))})"
    " ON CONFLICT (channel, reference) DO NOTHING"
)


class CommonStatements:
    """See ``orderway.sql.dialect.CommonStatements``."""

    def join(self, incarnation: int, name: str) -> Steps[None]:
        """Enter an incarnation."""
        yield Write(
            "INSERT INTO ow_workers (incarnation, name, beats) VALUES (?, ?, 0) ON CONFLICT (incarnation) DO NOTHING",
            (incarnation, name),
        )

    def beat(self, incarnation: int) -> Steps[bool]:
        """Count a counter up."""
        return bool((yield Count("UPDATE ow_workers SET beats = beats + 1 WHERE incarnation = ?", (incarnation,))))

    def bury(self, incarnation: int) -> Steps[None]:
        """Take an incarnation out."""
        yield Write("DELETE FROM ow_workers WHERE incarnation = ?", (incarnation,))

    def next_block(self, name: str, size: int) -> Steps[int]:
        """Take numbers of a sequence."""
        sql = (
            "INSERT INTO ow_sequences (name, next) VALUES (?, 1 + ?)"
            " ON CONFLICT (name) DO UPDATE SET next = next + ? RETURNING next"
        )
        after: int = yield from first_value(Read(sql, (name, size, size)))
        return after - size

    def park(self, row: Row) -> Steps[bool]:
        """Keep a payment."""
        return bool((yield Count(_PARK, row)))

    def postpone_parked(self, channel: str, reference: str, due_at_us: int) -> Steps[None]:
        """Look for a payment's order again at another time."""
        sql = "UPDATE ow_parked SET due_at_us = ?, tries = tries + 1 WHERE channel = ? AND reference = ?"
        yield Write(sql, (due_at_us, channel, reference))

    def release(self, channel: str, reference: str) -> Steps[bool]:
        """Let go of a payment."""
        sql = "DELETE FROM ow_parked WHERE channel = ? AND reference = ?"
        return bool((yield Count(sql, (channel, reference))))
