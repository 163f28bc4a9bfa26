"""Links under test: what they send, and when they wait for a lock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from orderway.sql.dialects.mysql.link import MysqlLink
from orderway.sql.dialects.mysql.packets import Part
from orderway.sql.steps import Read


class Connect(Protocol):
    async def __call__(self, epoch: int | None = 1) -> MysqlLink: ...


@contextmanager
def sent_by(link: MysqlLink) -> Iterator[list[list[str]]]:
    """The packets that the link sends inside, each a list of statements: each is one trip."""
    packets: list[list[str]] = []
    talk = link._talk

    async def noted(packet: Sequence[Part], progress: Any) -> None:
        packets.append([part.sql.decode() for part in packet])
        await talk(packet, progress)

    link._talk = noted  # type: ignore[method-assign]
    yield packets
    del link._talk


async def value_of(link: MysqlLink, sql: str) -> Any:
    [(value,)] = await link.send([Read(sql)])
    return value


async def until_waits(link: MysqlLink, watcher: MysqlLink) -> None:
    """Returns when the link waits for a row that another transaction has locked.

    The table innodb_trx would be shorter to ask, but whoever asks it often is shown an old copy, again and again.
    """
    me = f"thread id {link._connection.thread_id()},"
    while True:
        [(_, _, status)] = await watcher.send([Read("SHOW ENGINE INNODB STATUS")])
        if any(me in each and "LOCK WAIT" in each for each in status.split("---TRANSACTION")):
            return
