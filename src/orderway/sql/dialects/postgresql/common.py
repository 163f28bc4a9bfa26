"""The statements over what a database has once, each atomic by itself at READ COMMITTED."""

from __future__ import annotations

from orderway.sql.dialect import Row
from orderway.sql.rows import PARKED_COLUMNS
from orderway.sql.steps import Count, Read, Steps, Write, first_value

__all__ = ["CommonStatements"]

_PARK = (
    f"INSERT INTO ow_parked ({', '.join(PARKED_COLUMNS)})"
    f" VALUES ({', '.join(f'${at}' for at in range(1, len(PARKED_COLUMNS) + 1))})"
    " ON CONFLICT (channel, reference) DO NOTHING"
)


class CommonStatements:
    """See ``orderway.sql.dialect.CommonStatements``."""

    def join(self, incarnation: int, name: str) -> Steps[None]:
        """Enter an incarnation."""
        yield Write(
            "INSERT INTO ow_workers (incarnation, name, beats) VALUES ($1, $2, 0) ON CONFLICT (incarnation) DO NOTHING",
            (incarnation, name),
        )

    def beat(self, incarnation: int) -> Steps[bool]:
        """Count a counter up."""
        return bool((yield Count("UPDATE ow_workers SET beats = beats + 1 WHERE incarnation = $1", (incarnation,))))

    def bury(self, incarnation: int) -> Steps[None]:
        """Take an incarnation out."""
        yield Write("DELETE FROM ow_workers WHERE incarnation = $1", (incarnation,))

    def next_block(self, name: str, size: int) -> Steps[int]:
        """Take numbers of a sequence; the row is locked until the end."""
        sql = (
            "INSERT INTO ow_sequences AS s (name, next) VALUES ($1, 1 + $2::bigint)"
            " ON CONFLICT (name) DO UPDATE SET next = s.next + $2::bigint RETURNING next"
        )
        after: int = yield from first_value(Read(sql, (name, size)))
        return after - size

    def park(self, row: Row) -> Steps[bool]:
        """Keep a payment."""
        return bool((yield Count(_PARK, row)))

    def postpone_parked(self, channel: str, reference: str, due_at_us: int) -> Steps[None]:
        """Look for a payment's order again at another time."""
        sql = "UPDATE ow_parked SET due_at_us = $1, tries = tries + 1 WHERE channel = $2 AND reference = $3"
        yield Write(sql, (due_at_us, channel, reference))

    def release(self, channel: str, reference: str) -> Steps[bool]:
        """Let go of a payment."""
        sql = "DELETE FROM ow_parked WHERE channel = $1 AND reference = $2"
        return bool((yield Count(sql, (channel, reference))))
