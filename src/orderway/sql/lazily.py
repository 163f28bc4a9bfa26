"""What each shard needs, made when it is first asked for: a worker on a thousand tables is soon at work, and small."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

__all__ = ["Lazily"]

T = TypeVar("T")


class Lazily(Mapping[int, T]):
    """Something of each shard, by its number; made once.

    Args:
        make: makes it.
        shards: the numbers that there are.
    """

    def __init__(self, make: Callable[[int], T], shards: Sequence[int]) -> None:
        self._make = make
        self._shards = dict.fromkeys(shards)
        self._made: dict[int, T] = {}

    def __getitem__(self, shard: int) -> T:
        try:
            return self._made[shard]
        except KeyError:
            if shard not in self._shards:
                raise
            made = self._made[shard] = self._make(shard)
            return made

    def __iter__(self) -> Iterator[int]:
        return iter(self._shards)

    def __len__(self) -> int:
        return len(self._shards)
