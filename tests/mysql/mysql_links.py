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
    """Returns when the link waits for a row that another transaction has locked."""
    waits = _waits_on_mariadb if "MariaDB" in await value_of(watcher, "SELECT VERSION()") else _waits_on_mysql
    while not await waits(link._connection.thread_id(), watcher):
        continue


async def _waits_on_mariadb(connection: int, watcher: MysqlLink) -> bool:
    # The table innodb_trx would be shorter to ask, but whoever asks it often is shown an old copy, again and again.
    [(_, _, status)] = await watcher.send([Read("SHOW ENGINE INNODB STATUS")])
    me = f"thread id {connection},"
    return any(me in each and "LOCK WAIT" in each for each in status.split("---TRANSACTION"))


async def _waits_on_mysql(connection: int, watcher: MysqlLink) -> bool:
    # Its status leaves out who waits for a shared lock.
    query = (
        "SELECT COUNT(*) FROM performance_schema.data_lock_waits JOIN performance_schema.threads"
        f" ON thread_id = requesting_thread_id WHERE processlist_id = {connection}"
    )
    return bool(await value_of(watcher, query))
