"""The mailbox: messages kept in the orders' own database, where no broker is to be run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from orderway.ports.queue import Buried

__all__ = ["Letter", "Mailbox"]


@dataclass(frozen=True, slots=True)
class Letter:
    """A message as the mailbox keeps it.

    Args:
        number: given by the mailbox; no two letters ever have the same.
        body: as it was put, at most 64 KiB.
        headers: as they were put.
        sent_at_us: when it was put, in microseconds since 1970.
        tries: how often it was taken before.
        taken_until_us: until when nobody else takes it; tells this taking from a later one.
    """

    number: int
    body: bytes
    headers: Mapping[str, str]
    sent_at_us: int
    tries: int
    taken_until_us: int


class Mailbox(Protocol):
    """Letters that are put, taken for a while, and removed. Every method is atomic, and durable when it returns.

    All raise ``Unavailable``. What is done to a letter that was taken is left undone, without an error, if the letter
    is gone or was taken again since: then it is another's.
    """

    async def put(self, body: bytes, headers: Mapping[str, str], sent_at_us: int, due_at_us: int) -> None:
        """Keep a letter, to be taken from this instant on."""

    async def take(self, now_us: int, until_us: int, limit: int) -> Sequence[Letter]:
        """Take letters that are due, the longest due first, at most ``limit`` (1 to 1,000).

        Nobody else gets them before ``until_us``; then they are due again. Two takers never get the same one at once.
        """

    async def put_back(self, letter: Letter, due_at_us: int) -> None:
        """Have a letter that was taken become due at this instant."""

    async def remove(self, letter: Letter) -> None:
        """Be done with a letter that was taken."""

    async def bury(self, letter: Letter, reason: str, at_us: int) -> None:
        """Keep a letter that was taken for people only, with the reason: nobody takes it any more."""

    async def buried(self, limit: int) -> Sequence[Buried]:
        """Buried letters, oldest first, at most ``limit`` (1 to 1,000)."""
