"""The workers' table: who is alive. A worker that is not in it holds nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

__all__ = ["Workers"]


class Workers(Protocol):
    """Incarnations of workers and their heartbeat counters; each method is atomic. No wall clock is involved.

    All methods raise ``Unavailable`` when the database does not answer.
    """

    async def join(self, incarnation: int, name: str) -> None:
        """Enter a new incarnation (a random integer of 63 bits) with counter 0. Idempotent."""

    async def beat(self, incarnation: int) -> bool:
        """Count the incarnation's counter up by one; False if it is not in the table any more (declared dead)."""

    async def counters(self) -> Mapping[int, int]:
        """The counters of all incarnations in the table."""

    async def names(self) -> Mapping[int, str]:
        """The names of all incarnations in the table, for people."""

    async def bury(self, incarnation: int) -> None:
        """Take an incarnation out of the table: whatever it holds may be claimed by others. Idempotent."""
