"""Commits whose answer never comes: each caller is told what happened, and nothing is written twice."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable

import pytest
from databases import Session
from fault_writes import BATCHES, SOME, counted, created, creates, done, outcome_of, prepared, statements

from orderway.adapters import Ports
from orderway.errors import CommitUnknown, Unavailable
from orderway.testing.servers.proxy import Proxy

ROUNDS = 5


async def test_a_hundred_cut_commits_are_resolved(
    ports: Ports, proxy: Proxy, session: Session, summarize: Callable[[str, str], None], url: str
) -> None:
    for name, answered, _ in itertools.product(BATCHES, (True, False), range(ROUNDS)):
        writes = await prepared(ports, BATCHES[name])
        fault = proxy.cut(answered=answered)
        results = await done(writes)
        assert fault.reached.is_set()
        told = Counter(map(outcome_of, results))
        assert told == {"done" if answered else "Unavailable": len(writes)}, (name, results)
        assert await counted(session, writes) == [int(answered)] * len(writes), name
    assert proxy.cuts == 100
    summarize("commits cut before their OK", f"{url.partition(':')[0]}: {proxy.cuts} cut, each resolved right")


@pytest.mark.parametrize("batch", SOME)
async def test_after_a_commit_that_was_not_passed_on_the_same_write_goes_through(
    ports: Ports, proxy: Proxy, session: Session, batch: str
) -> None:
    writes = await prepared(ports, BATCHES[batch])
    proxy.cut(answered=False)
    assert {outcome_of(result) for result in await done(writes)} == {"Unavailable"}
    assert {outcome_of(result) for result in await done(writes)} == {"done"}
    assert await counted(session, writes) == [1] * len(writes)


@pytest.mark.parametrize("batch", SOME)
async def test_a_commit_that_nobody_can_look_up_is_unknown(
    ports: Ports, proxy: Proxy, session: Session, batch: str
) -> None:
    for answered in (True, False):
        writes = await prepared(ports, BATCHES[batch])
        fault = proxy.cut(answered=answered)
        outcomes = asyncio.create_task(done(writes))
        await fault.reached.wait()
        proxy.refuses = True
        results = await outcomes
        assert {type(result) for result in results} == {CommitUnknown}, results
        assert await counted(session, writes) == [int(answered)] * len(writes)
        proxy.refuses = False


@pytest.mark.parametrize("batch", SOME)
async def test_a_commit_whose_answer_stalls_is_looked_up(
    ports: Ports, proxy: Proxy, session: Session, batch: str
) -> None:
    writes = await prepared(ports, BATCHES[batch])
    fault = proxy.stall(answered=True)
    assert {outcome_of(result) for result in await done(writes)} == {"done"}
    assert fault.reached.is_set()
    assert await counted(session, writes) == [1] * len(writes)


@pytest.mark.parametrize("batch", SOME)
async def test_a_commit_that_is_still_on_its_way_never_arrives(
    ports: Ports, proxy: Proxy, session: Session, batch: str
) -> None:
    writes = await prepared(ports, BATCHES[batch])
    fault = proxy.stall(answered=False)
    assert {outcome_of(result) for result in await done(writes)} == {"Unavailable"}
    assert fault.reached.is_set()
    fault.released.set()
    async with asyncio.timeout(60):
        await fault.over.wait()
    assert await counted(session, writes) == [0] * len(writes)


async def test_a_database_that_falls_silent_is_given_up_and_taken_up_again(
    ports: Ports, proxy: Proxy, session: Session
) -> None:
    order = await created(ports)
    writes = await prepared(ports, [creates, statements])
    proxy.flows.clear()
    async with asyncio.timeout(10):
        read, *written = await asyncio.gather(
            ports.store.get(order.id), *(write.do() for write in writes), return_exceptions=True
        )
    for result in (read, *written):
        assert isinstance(result, Unavailable)
        assert "0.5 s" in str(result)
    proxy.flows.set()
    assert (await ports.store.get(order.id)).id == order.id
    assert {outcome_of(result) for result in await done(await prepared(ports, [creates, statements]))} == {"done"}
