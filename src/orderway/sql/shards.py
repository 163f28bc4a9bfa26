"""The shard map: which range of slots lives in which shard's tables."""

from __future__ import annotations

import json
from bisect import bisect_right
from dataclasses import dataclass

from orderway.core.ids import SLOTS, slot_of_order, slot_of_uid
from orderway.errors import ConfigError, InvalidValue

__all__ = ["ShardMap"]


@dataclass(frozen=True, slots=True)
class ShardMap:
    """Contiguous slot ranges, one a shard.

    Args:
        firsts: the first slot of each shard, ascending from 0.
    """

    firsts: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.firsts[:1] != (0,) or list(self.firsts) != sorted(set(self.firsts)) or self.firsts[-1] >= SLOTS:
            raise ConfigError(f"shard map {self.text}: ranges begin at 0, ascend, and end below {SLOTS}")

    @staticmethod
    def even(count: int) -> ShardMap:
        """A map of this many shards of about equal size.

        Raises:
            ConfigError: the count is not 1 to 65,536.
        """
        if not 1 <= count <= SLOTS:
            raise ConfigError(f"shards={count}: 1 to {SLOTS} are allowed, and one to four per database advised")
        return ShardMap(tuple(-(-shard * SLOTS // count) for shard in range(count)))

    @staticmethod
    def parse(text: str) -> ShardMap:
        """The map from its stored text."""
        return ShardMap(tuple(first for first, _ in json.loads(text)))

    @property
    def text(self) -> str:
        """The map as stored: a JSON list of [first slot, last slot], one a shard."""
        ends = (*self.firsts[1:], SLOTS)
        return json.dumps([[first, end - 1] for first, end in zip(self.firsts, ends, strict=True)])

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
