"""Tallies: counts that survive ``kill -9``, because they live in a memory-mapped file of the process."""

from __future__ import annotations

import mmap
from collections import Counter
from enum import StrEnum
from pathlib import Path
from struct import Struct

__all__ = ["Tally", "What", "read_tallies"]

_NUMBER = Struct("=q")


class What(StrEnum):
    """What shops count of themselves, because no database remembers it."""

    CREATED_AGAIN = "orders that existed already when they were created"
    TOPPED_UP_AGAIN = "top-ups that had been made already"
    WALLET_MOVED_AGAIN = "wallet charges, holds, captures and refunds that had been made already"
    CHANNEL_CHARGED_AGAIN = "channel charges that had been made already"
    CHANNEL_REFUNDED_AGAIN = "channel refunds that had been asked for already"
    OPERATED_AGAIN = "operators' actions that had been done already"
    NOTICES = "notifications received"
    NOTICES_ACCEPTED = "notifications with a true signature, answered"
    NOTICES_REFUSED = "notifications refused as forged"


_INDEX = {what: number for number, what in enumerate(What)}


class Tally:
    """The counts of one process. Adding is a write to memory; the kernel keeps it when the process is killed."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(_NUMBER.size * len(What)))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)

    def add(self, what: What) -> None:
        """Count one more."""
        at = _INDEX[what] * _NUMBER.size
        _NUMBER.pack_into(self._map, at, _NUMBER.unpack_from(self._map, at)[0] + 1)


def read_tallies(folder: Path) -> Counter[What]:
    """The sums over all processes that ever counted in this folder, the killed ones included."""
    sums: Counter[What] = Counter()
    for path in folder.glob("*.tally"):
        for what, (count,) in zip(What, _NUMBER.iter_unpack(path.read_bytes()), strict=False):
            sums[what] += count
    return sums
