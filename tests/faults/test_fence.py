"""The fence for moving shards: while somebody holds the shard map's row for himself, no transaction is begun."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

import pytest
from databases import Session, open_session
from fault_writes import BATCHES, SOME, counted, created, done, outcome_of, prepared

from orderway.adapters import Ports, open_ports
from orderway.errors import Unavailable

T = TypeVar("T")


@pytest.fixture
async def ports(url: str) -> AsyncIterator[Ports]:
    """The database, without a proxy, and with time to wait for locks."""
    ports = await open_ports(url)
    yield ports
    await ports.close()


async def hold(session: Session) -> None:
    """Have the shard map's row for oneself, in an open transaction."""
    await session.run("BEGIN")
    await session.run("SELECT epoch FROM ow_meta WHERE id = 1 FOR UPDATE")


async def waiting(work: Coroutine[Any, Any, T], url: str) -> asyncio.Task[T]:
    """Work that waits for a lock, as the database itself says."""
    async with open_session(url) as watcher, asyncio.timeout(60):
        task = asyncio.create_task(work)
        while not await watcher.is_waited_for():
            assert not task.done(), "it did not wait"
    return task


@pytest.mark.parametrize("batch", SOME)
async def test_writers_wait_for_the_holder_and_go_on(ports: Ports, session: Session, url: str, batch: str) -> None:
    writes = await prepared(ports, BATCHES[batch])
    await hold(session)
    outcomes = await waiting(done(writes), url)
    assert await counted(session, writes) == [0] * len(writes)
    await session.run("ROLLBACK")
    assert {outcome_of(result) for result in await outcomes} == {"done"}
    assert await counted(session, writes) == [1] * len(writes)


@pytest.mark.parametrize("batch", SOME)
async def test_writers_that_waited_refuse_another_map(ports: Ports, session: Session, url: str, batch: str) -> None:
    writes = await prepared(ports, BATCHES[batch])
    await hold(session)
    outcomes = await waiting(done(writes), url)
    await session.run("UPDATE ow_meta SET epoch = epoch + 1")
    await session.run("COMMIT")
    for result in [*await outcomes, *await done(writes)]:  # and so does whoever comes later
        assert type(result) is Unavailable
        assert "shard map has changed" in str(result)
    assert await counted(session, writes) == [0] * len(writes)


async def test_a_holder_waits_for_the_transactions_that_are_open(ports: Ports, session: Session, url: str) -> None:
    [write] = await prepared(ports, BATCHES["a create"])
    order = await created(ports)
    async with ports.store.transaction(order.id, 10):
        holding = await waiting(hold(session), url)
    await holding
    await session.run("ROLLBACK")
    assert {outcome_of(result) for result in await done([write])} == {"done"}
