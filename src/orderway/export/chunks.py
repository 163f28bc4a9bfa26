"""Orders and their journal, page by page: memory does not grow with their number."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from orderway.core.order import Order
from orderway.export.documents import ENTRY_COLUMNS, ORDER_COLUMNS, entry_document, order_document
from orderway.export.formats import Format, encode
from orderway.ports.store import Query, Store

__all__ = ["Chunk", "Write", "export_journal", "export_orders"]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of an export.

    Args:
        text: whole records, and before the first ones the header.
        records: how many of them.
        cursor: where the export goes on after this chunk; None: it is complete.
    """

    text: str
    records: int
    cursor: str | None


_ALL = Query(limit=500)

Write = Callable[[Chunk], Awaitable[None]]
"""Takes the chunks of an export, one after the other; the next one is read when it returns."""


async def export_orders(
    store: Store,
    write: Write,
    form: Format = Format.JSONL,
    query: Query = _ALL,
    after: str | None = None,
    *,
    private: bool = False,
    guard: bool = True,
) -> int:
    """Write the orders that satisfy a query, by id, one record an order; returns how many records were written.

    Every order that was there at the start comes exactly once, as it was when its page was read. One that is made
    meanwhile comes once or not at all.

    Args:
        store: the orders.
        write: takes the chunks; there is at least one.
        form: the format.
        query: which orders; its ``limit`` is how many a chunk holds at most, its ``after`` is not used.
        after: the cursor of the last chunk that was kept, to go on with an interrupted export.
        private: with business data, remarks, error texts and results, which may be personal.
        guard: see ``formats.encode``.

    Raises:
        Unavailable: the database does not answer; what was written so far is good, and its cursor goes on.
    """

    async def records(orders: Sequence[Order[Any]]) -> list[dict[str, Any]]:
        return [order_document(order, private=private) for order in orders]

    return await _export(store, write, form, ORDER_COLUMNS, records, replace(query, after=after), guard)


async def export_journal(
    store: Store,
    write: Write,
    form: Format = Format.JSONL,
    query: Query = _ALL,
    after: str | None = None,
    *,
    private: bool = False,
    guard: bool = True,
) -> int:
    """Write the journals of the orders that satisfy a query, one record an entry; otherwise as ``export_orders``.

    A chunk holds whole journals, each oldest first, as they were when the chunk was read.
    """

    async def records(orders: Sequence[Order[Any]]) -> list[dict[str, Any]]:
        journals = await asyncio.gather(*(store.entries(order.id) for order in orders))
        return [entry_document(entry, private=private) for entries in journals for entry in entries]

    return await _export(store, write, form, ENTRY_COLUMNS, records, replace(query, after=after), guard)


async def _export(
    store: Store,
    write: Write,
    form: Format,
    columns: Sequence[str],
    records: Callable[[Sequence[Order[Any]]], Awaitable[list[dict[str, Any]]]],
    query: Query,
    guard: bool,
) -> int:
    written, header = 0, query.after is None
    while True:
        page = await store.list(query)
        if page.unreadable:
            raise page.unreadable[0]  # what is exported is whole, or it is not there
        documents = await records(page.orders)
        text = encode(form, columns, documents, header=header, guard=guard)
        await write(Chunk(text, len(documents), page.next))
        written, header = written + len(documents), False
        if page.next is None:
            return written
        query = replace(query, after=page.next)
