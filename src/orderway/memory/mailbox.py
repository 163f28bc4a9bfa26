"""The mailbox, in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orderway.memory.database import MemoryDatabase
from orderway.ports.limits import check_page
from orderway.ports.mailbox import Letter
from orderway.ports.queue import Buried

__all__ = ["MemoryMailbox"]


@dataclass(slots=True)
class Kept:
    """A letter in the box."""

    body: bytes
    headers: Mapping[str, str]
    sent_at_us: int
    due_at_us: int
    tries: int = field(default=0)

    def is_taken_as(self, letter: Letter) -> bool:
        return self.tries == letter.tries + 1 and self.due_at_us == letter.taken_until_us


class MemoryMailbox:
    """The mailbox on a :class:`MemoryDatabase`; see :class:`orderway.ports.mailbox.Mailbox`."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def put(self, body: bytes, headers: Mapping[str, str], sent_at_us: int, due_at_us: int) -> None:
        """Keep a letter, to be taken from this instant on."""
        async with self._database.writing():
            self._database.last_letter += 1
            self._database.letters[self._database.last_letter] = Kept(body, dict(headers), sent_at_us, due_at_us)

    async def take(self, now_us: int, until_us: int, limit: int) -> Sequence[Letter]:
        """Take letters that are due, the longest due first."""
        check_page(limit)
        async with self._database.writing():
            letters = self._database.letters
            due = sorted((kept.due_at_us, number) for number, kept in letters.items() if kept.due_at_us <= now_us)
            taken = []
            for _, number in due[:limit]:
                kept = letters[number]
                taken.append(Letter(number, kept.body, kept.headers, kept.sent_at_us, kept.tries, until_us))
                kept.tries, kept.due_at_us = kept.tries + 1, until_us
            return taken

    async def put_back(self, letter: Letter, due_at_us: int) -> None:
        """Have a letter that was taken become due at this instant."""
        async with self._database.writing():
            if (kept := self._taken(letter)) is not None:
                kept.due_at_us = due_at_us

    async def remove(self, letter: Letter) -> None:
        """Be done with a letter that was taken."""
        async with self._database.writing():
            if self._taken(letter) is not None:
                del self._database.letters[letter.number]

    async def bury(self, letter: Letter, reason: str, at_us: int) -> None:
        """Keep a letter that was taken for people only."""
        async with self._database.writing():
            if self._taken(letter) is not None:
                del self._database.letters[letter.number]
                self._database.buried.append(Buried(letter.body, reason, at_us))

    async def buried(self, limit: int) -> Sequence[Buried]:
        """Buried letters, oldest first."""
        check_page(limit)
        async with self._database.reading():
            return sorted(self._database.buried, key=lambda each: each.buried_at_us)[:limit]

    def _taken(self, letter: Letter) -> Kept | None:
        kept = self._database.letters.get(letter.number)
        return kept if kept is not None and kept.is_taken_as(letter) else None
