"""What a user of MariaDB or MySQL may do with the tables: its rights come from many places, so each is tried out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import Table

from orderway.sql.rights import Rights
from orderway.sql.steps import SETTLE, Forbidden, Read, Refused, Steps, Write

__all__ = ["rights"]

_TOGETHER = 100
"""So many statements in one trip, as long as none of them is refused."""


def rights(tables: Sequence[Table]) -> Steps[Rights]:
    """See which rights are missing. Explaining a statement takes the rights that it would take, and touches no row."""
    missing: dict[str, list[str]] = {}
    for right, statements in _explained(tables):
        missing[right] = yield from _refused(statements)
    [(account, database)] = yield Read("SELECT CURRENT_USER(), DATABASE()")
    name, _, host = account.rpartition("@")
    user = f"'{name}'@'{host}'"
    return Rights(user, missing, f"GRANT {', '.join(missing)} ON `{database}`.* TO {user}")


def _explained(tables: Sequence[Table]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """For each right, and each table, a statement that takes this right alone."""
    keys = [(table.name, next(iter(table.primary_key.columns)).name) for table in tables]
    yield "SELECT", [(name, f"EXPLAIN SELECT 1 FROM {name} WHERE 1 = 0") for name, _ in keys]
    yield "INSERT", [(name, f"EXPLAIN INSERT INTO {name} () VALUES ()") for name, _ in keys]
    yield "UPDATE", [(name, f"EXPLAIN UPDATE {name} SET `{key}` = NULL WHERE 1 = 0") for name, key in keys]
    yield "DELETE", [(name, f"EXPLAIN DELETE FROM {name} WHERE 1 = 0") for name, _ in keys]


def _refused(statements: Sequence[tuple[str, str]]) -> Steps[list[str]]:
    """The tables whose statement the user has not the right to; where one is refused, its group runs one by one."""
    refused: list[str] = []
    groups = [statements[first : first + _TOGETHER] for first in range(0, len(statements), _TOGETHER)]
    while groups:
        group = groups.pop(0)
        for _, sql in group:
            yield Write(sql)
        try:
            yield SETTLE
        except Refused as error:
            if len(group) > 1:
                groups[:0] = [[each] for each in group]
            elif isinstance(error, Forbidden):
                refused.append(group[0][0])
    return refused
