"""The workers' table and the sequence, in memory."""

from __future__ import annotations

from collections.abc import Mapping

from orderway.memory.database import MemoryDatabase, check_storable

__all__ = ["MemorySequence", "MemoryWorkers"]


class MemoryWorkers:
    """The workers' table on a :class:`MemoryDatabase`; see :class:`orderway.ports.workers.Workers`."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def join(self, incarnation: int, name: str) -> None:
        """Enter a new incarnation with counter 0."""
        check_storable(f"worker {incarnation}", (incarnation, name))
        async with self._database.writing():
            self._database.workers.setdefault(incarnation, 0)
            self._database.worker_names.setdefault(incarnation, name)

    async def beat(self, incarnation: int) -> bool:
        """Count up by one; False if the incarnation is not in the table any more."""
        async with self._database.writing():
            if incarnation not in self._database.workers:
                return False
            self._database.workers[incarnation] += 1
            return True

    async def counters(self) -> Mapping[int, tuple[int | None, ...]]:
        """The counters of all incarnations in the table."""
        async with self._database.reading():
            return {incarnation: (beats,) for incarnation, beats in self._database.workers.items()}

    async def names(self) -> Mapping[int, str]:
        """The names of all incarnations in the table."""
        async with self._database.reading():
            return dict(self._database.worker_names)

    async def now_us(self) -> int | None:
        """None: whoever is in this memory has the same clock."""
        return None

    async def bury(self, incarnation: int) -> None:
        """Take an incarnation out of the table."""
        async with self._database.writing():
            self._database.workers.pop(incarnation, None)
            self._database.worker_names.pop(incarnation, None)


class MemorySequence:
    """The sequence on a :class:`MemoryDatabase`; see :class:`orderway.ports.sequence.Sequence`."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def next(self, name: str) -> int:
        """The next number of this sequence."""
        check_storable("sequence", (name,))
        async with self._database.writing():
            number = self._database.sequences.get(name, 0) + 1
            self._database.sequences[name] = number
            return number
