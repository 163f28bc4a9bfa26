"""What the user of a database on a server must be allowed to do with each table, and what to say where it is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orderway.errors import MissingRights

__all__ = ["NEEDED", "Rights"]

NEEDED = ("SELECT", "INSERT", "UPDATE", "DELETE")
"""On every table: even ``ow_meta``, which nobody writes to, is locked by each transaction, and that needs UPDATE."""
_MOST_TABLES = 5
"""By name, of those that have the same right missing."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What the user of a database lacks.

    Args:
        user: as the database knows it.
        missing: for each of ``NEEDED``, the tables on which the user has it not. A table that is not there is in none.
        grant: the statement that gives the user all of them on all tables.
    """

    user: str
    missing: Mapping[str, Sequence[str]]
    grant: str

    def check(self, where: str) -> None:
        """Refuse a user to whom something is missing.

        Raises:
            MissingRights: names each right and the tables, and the statement that mends it.
        """
        by_tables: dict[tuple[str, ...], list[str]] = {}
        for right, tables in self.missing.items():
            if tables:
                by_tables.setdefault(tuple(tables), []).append(right)
        if by_tables:
            lacks = "; ".join(f"{', '.join(rights)} on {_named(tables)}" for tables, rights in by_tables.items())
            raise MissingRights(f"{where}: the user {self.user} lacks {lacks}. To grant it: {self.grant}")


def _named(tables: Sequence[str]) -> str:
    more = len(tables) - _MOST_TABLES
    return ", ".join(tables[:_MOST_TABLES]) + (f" and {more:,} more tables" if more > 0 else "")
