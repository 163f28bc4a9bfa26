"""The memory adapters pass every conformance suite, as one shard and as three."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from orderway.adapters import memory_ports
from orderway.errors import DeliveryFailed, Unavailable
from orderway.memory import MemoryDatabase, MemoryStore, MemoryWorkers
from orderway.testing.conformance import (
    Backend,
    Connection,
    LedgerConformance,
    MailboxConformance,
    ParkingConformance,
    SequenceConformance,
    StoreConformance,
    WorkersConformance,
)
from orderway.testing.conformance.builders import finish, make_id, make_order


class MemoryBackend:
    """One memory database; a connection is a set of adapters of its own."""

    url = "memory://"
    capabilities: frozenset[str] = frozenset()

    def __init__(self, shards: int) -> None:
        self.shards = shards
        self.database = MemoryDatabase(shards)

    async def connect(self) -> Connection:
        ports = memory_ports(self.database)
        await ports.start()
        return Connection(ports.store, ports.workers, ports.ledger, ports.sequence, ports.parking, ports.mailbox)

    async def execute(self, sql: str) -> None:
        self.database.goods.execute(sql)

    async def fetch(self, sql: str) -> list[tuple[Any, ...]]:
        return self.database.goods.execute(sql).fetchall()


@pytest.fixture(params=[1, 3], ids=["1-shard", "3-shards"])
def backend(request: pytest.FixtureRequest) -> Backend:
    return MemoryBackend(request.param)


class TestStore(StoreConformance):
    pass


class TestWorkers(WorkersConformance):
    pass


class TestLedger(LedgerConformance):
    pass


class TestSequence(SequenceConformance):
    pass


class TestParking(ParkingConformance):
    pass


class TestMailbox(MailboxConformance):
    pass


async def test_event_loops_of_two_threads_share_a_database() -> None:
    database = MemoryDatabase()
    await MemoryWorkers(database).join(1, "shop")

    async def beat() -> list[bool]:
        return await asyncio.gather(*(MemoryWorkers(database).beat(1) for _ in range(500)))

    in_threads = [asyncio.to_thread(asyncio.run, beat()) for _ in range(2)]
    answers = await asyncio.gather(beat(), *in_threads)
    assert answers == [[True] * 500] * 3
    assert await MemoryWorkers(database).counters() == {1: (1500,)}


async def test_cancelled_writers_do_not_keep_the_gate() -> None:
    database = MemoryDatabase()
    workers = MemoryWorkers(database)
    async with MemoryStore(database).transaction(make_id("u"), 10):
        waiting = [asyncio.create_task(workers.join(n, "waiting")) for n in range(3)]
        for _ in range(3):
            await asyncio.sleep(0)
        assert len(database.gate) == 3
        waiting[0].cancel()
        waiting[2].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await workers.join(9, "after")
    assert sorted(await workers.counters()) == [1, 9]


async def test_transaction_that_a_statement_rolled_back_writes_nothing_more() -> None:
    database = MemoryDatabase()
    store = MemoryStore(database)
    database.goods.execute("CREATE TABLE goods (n INTEGER PRIMARY KEY)")
    order = await store.create(*make_order(amount_minor=0))
    async with store.transaction(make_id("u"), 10) as transaction:
        await transaction.execute("INSERT INTO goods VALUES (1)")
        with pytest.raises(DeliveryFailed, match="UNIQUE"):
            await transaction.execute("INSERT OR ROLLBACK INTO goods VALUES (1)")
        with pytest.raises(Unavailable):
            await transaction.execute("INSERT INTO goods VALUES (2)")
        with pytest.raises(Unavailable):
            await transaction.commit_with(finish(order))
    assert database.goods.execute("SELECT n FROM goods").fetchall() == []
    assert await store.get(order.id) == order


async def test_no_transaction_begins_while_another_one_has_the_database() -> None:
    store = MemoryStore(MemoryDatabase())
    async with store.transaction(make_id("u"), 10):
        with pytest.raises(Unavailable):
            await store.transaction(make_id("u"), 0.01).__aenter__()
    async with store.transaction(make_id("u"), 10) as transaction:
        assert await transaction.fetch("SELECT 1") == [(1,)]
