"""Writes of all sorts, alone and twenty in a transaction, and how often the database has each of them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from databases import Session

from orderway.adapters import Ports
from orderway.core.order import Order
from orderway.ports.ledger import FUNDING, WALLET, Line, Posting
from orderway.ports.store import Statement
from orderway.testing.conformance.builders import NOW_US, make_change, make_order, paid

__all__ = ["BATCHES", "SOME", "Write", "counted", "created", "creates", "done", "outcome_of", "prepared", "statements"]

_numbers = itertools.count(1)


@dataclass
class Write:
    """One write that a caller asks for, and how often the database has it, asked past the proxy."""

    do: Callable[[], Awaitable[Any]]
    count: str


async def created(ports: Ports) -> Order[Any]:
    return await ports.store.create(*make_order(uid=f"u{next(_numbers)}"))


async def creates(ports: Ports) -> Write:
    order, entry = make_order()
    count = f"SELECT count(*) FROM ow_journal_0 WHERE order_id = '{order.id}' AND version = 1"
    return Write(lambda: ports.store.create(order, entry), count)


async def records(ports: Ports) -> Write:
    order = await created(ports)
    change = make_change(order, paid(order))
    return Write(
        lambda: ports.store.record(change),
        f"SELECT count(*) FROM ow_journal_0 WHERE order_id = '{order.id}' AND version = 2",
    )


async def posts(ports: Ports) -> Write:
    uid = f"u{next(_numbers)}"
    posting = Posting("top-up", uid, "USD", (Line(WALLET, 1), Line(FUNDING, -1)))
    # Lines without a posting, or a balance that is not theirs, count as something else.
    return Write(
        lambda: ports.ledger.post(posting, NOW_US),
        f"SELECT coalesce(max(balance_minor), 0) + (SELECT count(*) FROM ow_postings_0 WHERE uid = '{uid}') * 10"
        f" + (SELECT count(*) FROM ow_lines_0 WHERE uid = '{uid}') * 100 - 210 * max(movements)"
        f" FROM ow_accounts_0 WHERE uid = '{uid}'",
    )


async def statements(ports: Ports) -> Write:
    order = await created(ports)
    statement = Statement("INSERT INTO goods VALUES (:name)", {"name": order.id}, 1)
    change = make_change(order, paid(order), statements=[statement])
    return Write(lambda: ports.store.record(change), f"SELECT count(*) FROM goods WHERE name = '{order.id}'")


async def transactions(ports: Ports) -> Write:
    order = await created(ports)
    change = make_change(order, paid(order))

    async def do() -> None:
        async with ports.store.transaction(order.id, 10) as transaction:
            await transaction.execute("INSERT INTO goods VALUES (:name)", {"name": order.id})
            await transaction.commit_with(change)

    return Write(do, f"SELECT count(*) FROM goods WHERE name = '{order.id}'")


Kind = Callable[[Ports], Awaitable[Write]]
BATCHES: dict[str, Sequence[Kind]] = {
    "a create": [creates],
    "20 creates": [creates] * 20,
    "a record": [records],
    "20 records": [records] * 20,
    "a posting": [posts],
    "20 postings": [posts] * 20,
    "own statement": [statements],
    "20 with own statements": [statements] * 20,
    "own transaction": [transactions],
    "20 of all sorts": [creates, records, posts, statements] * 5,
}


SOME = ("a create", "20 of all sorts", "own transaction")
"""One for each way to commit."""


async def prepared(ports: Ports, kinds: Sequence[Kind]) -> list[Write]:
    return list(await asyncio.gather(*(kind(ports) for kind in kinds)))


async def done(writes: Sequence[Write]) -> list[Any]:
    """The outcomes of writes that are asked for at the same time, and so share a transaction."""
    async with asyncio.timeout(30):
        return await asyncio.gather(*(write.do() for write in writes), return_exceptions=True)


async def counted(session: Session, writes: Sequence[Write]) -> list[int]:
    """How often each was written."""
    return [(await session.run(write.count))[0][0] or 0 for write in writes]


def outcome_of(result: Any) -> str:
    return type(result).__name__ if isinstance(result, BaseException) else "done"
