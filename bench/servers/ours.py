"""Orderway, by the URL of its database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.contestants import CONTESTANTS, HEADLINE
from bench.drive import check_finished
from bench.servers.original import connect
from bench.servers.place import Carry, Place
from orderway import App, Status
from orderway.adapters import open_ports

__all__ = ["count_finished", "opened", "prepare"]

TABLES_A_QUERY = 100


async def prepare(place: Place) -> None:
    """Make the tables."""
    await (await open_ports(place.url, shards=place.tables)).close()


@asynccontextmanager
async def opened(place: Place) -> AsyncIterator[Carry]:
    """With the sweeper beside the callers, as it comes."""
    contestant = CONTESTANTS[HEADLINE]
    app = App(place.url, shards=place.tables)
    app.register(contestant.shop())
    make = contestant.carry
    assert make is not None

    async def carry(uid: str) -> None:
        check_finished(await make(app, uid))

    async with app:
        yield carry


async def count_finished(place: Place) -> int:
    """So many orders are finished, and have the journal of a finished one."""
    orders = await _count(place, "ow_orders", f"status = {int(Status.FINISHED)}")
    facts = await _count(place, "ow_journal", "fact = 'Finished'")
    if orders != facts:
        raise RuntimeError(f"{orders} orders are finished, {facts} journals say so")
    return orders


async def _count(place: Place, table: str, condition: str) -> int:
    plain = await connect(place)
    total = 0
    for first in range(0, place.tables, TABLES_A_QUERY):
        counts = (
            f"SELECT count(*) FROM {table}_{shard} WHERE {condition}"
            for shard in range(first, min(first + TABLES_A_QUERY, place.tables))
        )
        total += sum(int(row[0]) for row in await plain.fetch(" UNION ALL ".join(counts)))
    await plain.close()
    return total
