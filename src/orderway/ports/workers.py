"""The workers' table: who is alive. A worker that is not in it holds nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

__all__ = ["Workers"]


class Workers(Protocol):
    """Incarnations of workers and their heartbeat counters; each method is atomic. No wall clock of theirs is involved.

    All methods raise ``Unavailable`` when the database does not answer.

    Where orders are spread over several databases there is a table in each. One that does not answer keeps nobody from
    the others: only where none answers is ``Unavailable`` raised. What did not reach a table can be seen there: an
    incarnation that stands still, or is missing.
    """

    async def join(self, incarnation: int, name: str) -> None:
        """Enter a new incarnation (a random integer of 63 bits) with counter 0. Idempotent."""

    async def beat(self, incarnation: int) -> bool:
        """Count the incarnation's counter up by one; False if it is missing from a table (declared dead there)."""

    async def counters(self) -> Mapping[int, tuple[int | None, ...]]:
        """The counters of all incarnations, one a database; None where it is missing, or the database silent."""

    async def names(self) -> Mapping[int, str]:
        """The names of all incarnations in the table, for people."""

    async def now_us(self) -> int | None:
        """The database's own time in microseconds since 1970, UTC: of the first one, where there are several.

        Some time between call and return. None where the database has no time of its own: that of its process is right.
        """

    async def bury(self, incarnation: int) -> None:
        """Take an incarnation out of the table: whatever it holds may be claimed by others. Idempotent."""
