"""Writes with the fence inside: committed by itself, one statement is a whole transaction."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from orderway.sql.steps import Write

__all__ = ["Fenced", "Part", "together"]

MOST_TOGETHER = 2
"""So many writes make one statement, to whatever shards. Each combination is prepared, for some milliseconds and half a
megabyte of the server's for each write: with more there would be too many."""
MOST_OF_NEIGHBOURS = 4
"""So many do if they are to two neighbouring shards: all that a database with two shards is asked for at once."""

_FENCE = "fence AS MATERIALIZED (SELECT 1 FROM ow_meta WHERE id = 1 AND epoch = $1 FOR SHARE)"
"""A shared lock on the shard map's epoch, whose value is the first parameter. Where it waits for whoever changes the
epoch, the condition is looked at again with what was committed then."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What one write adds to a statement; parameters count from ``$1``, and ``#`` makes names its own.

    Args:
        locks: common table expressions that lock the rows to be changed; may read ``fence``.
        whole: a condition that holds if all of them were found; "" where there are none.
        writes: common table expressions that write, each of them from ``whole``, which has one row or none.
        touched: how many rows were written.
        width: how many parameters there are.
    """

    locks: tuple[str, ...]
    whole: str
    writes: tuple[str, ...]
    touched: str
    width: int


class Fenced(Write):
    """A write to one or more shards, that the connection gives the epoch to, as the first parameter.

    It does all or nothing, and returns one row: whether the fence was passed, and how many rows it touched, which are
    ``expect`` or none.
    """

    __slots__ = ("parts", "shards")

    def __init__(self, shards: tuple[int, ...], parts: tuple[Part, ...], values: Sequence[Any], expect: int) -> None:
        super().__init__(_statement(parts), values, expect)
        self.shards = shards
        self.parts = parts


def together(writes: Sequence[Fenced]) -> Fenced | None:
    """One write that does all of these, or nothing; None where it would be one of too many that are rarely needed."""
    if len(writes) == 1:
        return writes[0]
    shards = tuple([shard for write in writes for shard in write.shards])
    most = MOST_OF_NEIGHBOURS if min(shards) // 2 == max(shards) // 2 else MOST_TOGETHER
    if len(writes) > most:
        return None
    parts = tuple([part for write in writes for part in write.parts])
    values = [value for write in writes for value in write.values]
    return Fenced(shards, parts, values, sum([write.expect or 0 for write in writes]))


@lru_cache(maxsize=4096)
def _statement(parts: tuple[Part, ...]) -> str:
    # Rows are locked, then counted; where one is missing, or the fence was not passed, nothing is written.
    expressions, conditions, writes, touched = [_FENCE], [], [], []
    before = 1
    for number, part in enumerate(parts):
        expressions += [_placed(text, number, before) for text in part.locks]
        conditions += [_placed(part.whole, number, before)] if part.whole else []
        writes += [_placed(text, number, before) for text in part.writes]
        touched.append(_placed(part.touched, number, before))
        before += part.width
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    expressions += [f"whole AS MATERIALIZED (SELECT 1 FROM fence{where})", *writes]
    return f"WITH {', '.join(expressions)} SELECT (SELECT count(*) FROM fence), {' + '.join(touched)}"


def _placed(text: str, number: int, before: int) -> str:
    """With its own names, and its parameters after so many others."""
    return re.sub(r"\$(\d+)", lambda match: f"${int(match[1]) + before}", text).replace("#", str(number))
