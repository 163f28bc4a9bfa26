"""The sequence: numbers that grow, for ids by sequence."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Sequence"]


class Sequence(Protocol):
    """Numbers that grow, per name, from 1 on; no number is given out twice, though some may be left out."""

    async def next(self, name: str) -> int:
        """The next number of this sequence, unique among all processes.

        Raises:
            Unavailable: the database does not answer.
        """
