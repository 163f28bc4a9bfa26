"""The shard map: which range of slots lives in which shard's tables."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orderway.core.ids import SLOTS, slot_of_order, slot_of_uid
from orderway.errors import ConfigError, InvalidValue

if TYPE_CHECKING:
    from orderway.sql.database import Database

__all__ = ["ShardMap", "not_alike"]

_LONGEST_SHOWN = 60


@dataclass(frozen=True, slots=True)
class ShardMap:
    """Contiguous slot ranges, one a shard; and in which database each of them lives.

    Args:
        firsts: the first slot of each shard, ascending from 0.
        databases: for each shard, the number of its database, from 0; () where there is only one.
    """

    firsts: tuple[int, ...]
    databases: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.firsts[:1] != (0,) or list(self.firsts) != sorted(set(self.firsts)) or self.firsts[-1] >= SLOTS:
            raise ConfigError(f"shard map {self.text}: ranges begin at 0, ascend, and end below {SLOTS}")
        if self.databases and len(self.databases) != len(self.firsts):
            raise ConfigError(f"shard map: {len(self.firsts)} shards, and databases for {len(self.databases)} of them")
        ascend = list(self.databases) == sorted(self.databases)
        if self.databases and not (ascend and {*self.databases} == {*range(self.database_count)}):
            raise ConfigError(f"shard map {self.text}: databases are numbered from 0, ascend, and each has a shard")

    @staticmethod
    def even(count: int, databases: int = 1) -> ShardMap:
        """A map of this many shards of about equal size, each database with about as many of them.

        Raises:
            ConfigError: the count is not 1 to 65,536, or there are more databases than shards.
        """
        if not 1 <= count <= SLOTS:
            raise ConfigError(f"shards={count}: 1 to {SLOTS} are allowed, and one to four per database advised")
        if databases > count:
            raise ConfigError(
                f"shards={count} for {databases} databases: each needs at least one, so give at least {databases}"
            )
        firsts = tuple(-(-shard * SLOTS // count) for shard in range(count))
        return ShardMap(firsts, tuple(shard * databases // count for shard in range(count)) if databases > 1 else ())

    @staticmethod
    def parse(text: str) -> tuple[ShardMap, int]:
        """The map from its stored text, and which of its databases the text was stored in.

        Raises:
            ConfigError: nothing of ours has written this text.
        """
        try:
            found = json.loads(text)
            ranges, database = (found, 0) if isinstance(found, list) else (found["shards"], found["database"])
            shards = ShardMap(tuple(each[0] for each in ranges), tuple(each[2] for each in ranges if len(each) > 2))
            is_ours = json.loads(shards.stored(database)) == found and database in range(shards.database_count)
        except (ValueError, TypeError, LookupError, ConfigError):
            is_ours = False
        if not is_ours:
            raise ConfigError(f"no shard map can be read in {text[:_LONGEST_SHOWN]!r}")
        return shards, database

    def unlike(self, other: ShardMap) -> str:
        """The first thing that this map has other than another one, for people: ``has ..., not ...``; "" if nothing."""
        if len(self) != len(other):
            return f"has {_shards(len(self))}, not {len(other)}"
        for shard, (first, expected) in enumerate(zip(self.firsts, other.firsts, strict=True)):
            if first != expected:
                return f"has shard {shard} begin at slot {first}, not {expected}"
        if self.database_count != other.database_count:
            return f"spreads its shards over {self.database_count} databases, not {other.database_count}"
        for shard, (number, expected) in enumerate(zip(self.databases, other.databases, strict=True)):
            if number != expected:
                return f"has shard {shard} in database {number + 1}, not {expected + 1}"
        return ""

    @property
    def text(self) -> str:
        """The map for people: a list of [first slot, last slot], one a shard, with its database if there are more."""
        ends = (*self.firsts[1:], SLOTS)
        ranges = [[first, end - 1] for first, end in zip(self.firsts, ends, strict=True)]
        if self.databases:
            ranges = [[*each, database] for each, database in zip(ranges, self.databases, strict=True)]
        return json.dumps(ranges)

    def stored(self, database: int) -> str:
        """The map as it is stored in this database."""
        return f'{{"database": {database}, "shards": {self.text}}}' if self.databases else self.text

    @property
    def database_count(self) -> int:
        """How many databases there are."""
        return max(self.databases, default=0) + 1

    def of_database(self, database: int) -> range:
        """The shards that live in this database."""
        if not self.databases:
            return range(len(self.firsts))
        first = self.databases.index(database)
        return range(first, first + self.databases.count(database))

    def __len__(self) -> int:
        return len(self.firsts)

    def of_slot(self, slot: int) -> int:
        """The shard that this slot lives in."""
        return bisect_right(self.firsts, slot) - 1

    def of_order(self, order_id: str) -> int:
        """The shard that this order lives in.

        Raises:
            InvalidValue: this is no order id.
        """
        return self.of_slot(slot_of_order(order_id))

    def of_uid(self, uid: str) -> int:
        """The shard that this user's orders and accounts live in.

        Raises:
            InvalidValue: the uid is no Unicode text.
        """
        try:
            return 0 if len(self.firsts) == 1 else self.of_slot(slot_of_uid(uid))
        except UnicodeEncodeError as error:
            raise InvalidValue(f"uid {uid!r} is no Unicode text ({error.reason})") from None


def not_alike(databases: Sequence[Database]) -> str:
    """How databases that are to belong together differ, and what to do; "" if they do not."""
    first = databases[0]
    for other in databases[1:]:
        if problem := other.shards.unlike(first.shards):
            return (
                f"{other.where} {problem} as {first.where}: they do not belong together. Give the databases that were"
                " made together, in that order"
            )
        if other.epoch != first.epoch:
            return (
                f"{other.where} has epoch {other.epoch} of the shard map, and {first.where} has {first.epoch}: the map"
                f" is the same, so end all processes, and set `epoch` in both tables ow_meta to"
                f" {max(other.epoch, first.epoch)}"
            )
    return ""


def _shards(count: int) -> str:
    return "1 shard" if count == 1 else f"{count} shards"
