"""Group commit: by itself, with a database that commits when the test says so, and in front of SQLite."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from sqlite_file import Faults, Open

from orderway.errors import Unavailable
from orderway.sql.commit import GroupCommit
from orderway.sql.operations import Beat, Operation
from orderway.testing.conformance.builders import NOW_US, finish, make_order, uids_in_shards

Batch = list[Operation[Any]]


class Manual:
    """Keeps each batch until it is committed by hand."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self._flying: tuple[Batch, Callable[[Batch], None]] | None = None

    def begin(self, batch: Batch, landed: Callable[[Batch], None]) -> None:
        assert self._flying is None, "a batch began before the one before was over"
        self.batches.append([operation.incarnation for operation in batch if isinstance(operation, Beat)])
        self._flying = (batch, landed)

    def commit(self, error: Exception | None = None) -> None:
        assert self._flying is not None
        (batch, landed), self._flying = self._flying, None
        for operation in batch:
            operation.result, operation.error = True, error
        landed(batch)


async def turns(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_arrives_while_a_transaction_is_in_flight_goes_into_the_next() -> None:
    manual = Manual()
    group = GroupCommit(manual.begin)
    first = group.submit(Beat(1))
    await turns()
    later = [group.submit(Beat(number)) for number in (2, 3, 4)]
    await turns()
    assert manual.batches == [[1]]
    assert not first.done()
    manual.commit()
    assert manual.batches == [[1], [2, 3, 4]]
    assert await first is True
    assert not any(future.done() for future in later)
    manual.commit()
    assert await asyncio.gather(*later) == [True] * 3


async def test_callers_that_are_ready_together_share_the_first_transaction() -> None:
    manual = Manual()
    group = GroupCommit(manual.begin)
    futures = [group.submit(Beat(number)) for number in range(5)]
    await turns()
    assert manual.batches == [[0, 1, 2, 3, 4]]
    manual.commit()
    assert await asyncio.gather(*futures) == [True] * 5


async def test_what_some_ask_for_next_is_under_way_while_the_others_are_told() -> None:
    manual = Manual()
    group = GroupCommit(manual.begin, told_together=2)

    async def ask_twice(number: int) -> bool:
        return await group.submit(Beat(number)) and await group.submit(Beat(number + 10))

    callers = [asyncio.create_task(ask_twice(number)) for number in range(5)]
    await turns()
    manual.commit()
    await turns(8)
    assert manual.batches == [[0, 1, 2, 3, 4], [10, 11]]
    manual.commit()
    assert manual.batches[2:] == [[12, 13, 14]]
    manual.commit()
    assert await asyncio.gather(*callers) == [True] * 5


async def test_batches_have_a_largest_size() -> None:
    manual = Manual()
    group = GroupCommit(manual.begin, largest_batch=2)
    futures = [group.submit(Beat(number)) for number in range(5)]
    await turns()
    for _ in range(3):
        manual.commit()
    assert manual.batches == [[0, 1], [2, 3], [4]]
    assert await asyncio.gather(*futures) == [True] * 5


async def test_callers_past_the_bound_stand_in_line_and_are_let_in_by_turn() -> None:
    manual = Manual()
    group = GroupCommit(manual.begin, most_waiting=2)
    flying = group.submit(Beat(0))
    await turns()
    futures = [group.submit(Beat(number)) for number in range(1, 7)]
    assert (group.waiting, group.in_line) == (2, 4)
    manual.commit()
    assert await flying is True
    assert (group.waiting, group.in_line) == (2, 2)
    for _ in range(3):
        manual.commit()
    assert manual.batches == [[0], [1, 2], [3, 4], [5, 6]]
    assert await asyncio.gather(*futures) == [True] * 6
    assert (group.waiting, group.in_line) == (0, 0)


async def test_cancelled_in_line_is_not_run_cancelled_once_accepted_is() -> None:
    manual = Manual()
    group = GroupCommit(manual.begin, most_waiting=1)
    flying = group.submit(Beat(0))
    await turns()
    accepted, in_line, last = (group.submit(Beat(number)) for number in (1, 2, 3))
    accepted.cancel()
    in_line.cancel()
    for _ in range(3):
        manual.commit()
    assert manual.batches == [[0], [1], [3]]
    assert await flying is True
    assert await last is True


async def test_close_finishes_what_was_accepted_and_refuses_the_rest() -> None:
    manual = Manual()
    group = GroupCommit(manual.begin, most_waiting=1)
    flying = group.submit(Beat(0))
    await turns()
    accepted, in_line = group.submit(Beat(1)), group.submit(Beat(2))
    closing = asyncio.create_task(group.close())
    await turns()
    with pytest.raises(Unavailable):
        group.submit(Beat(3))
    with pytest.raises(Unavailable):
        await in_line
    assert not closing.done()
    manual.commit()
    manual.commit()
    await closing
    assert manual.batches == [[0], [1]]
    assert [await flying, await accepted] == [True, True]


async def test_sweeper_with_nothing_to_do_writes_nothing(open_file: Open, faults: Faults) -> None:
    opened = await open_file(factory=faults.connection, shards=2)
    await opened.workers.join(8, "alive")
    for uid in uids_in_shards(2):
        await opened.store.create(*make_order(uid, due_at_us=NOW_US + 1))
        await opened.store.create(*make_order(uid, holder=8))
        await opened.store.create(*make_order(uid, order_type=2))
    before = faults.commits
    assert await opened.store.claim([1, 3], 7, NOW_US, NOW_US + 5, 10) == []
    assert await opened.store.claim([1, 2], 7, NOW_US, NOW_US + 5, 0) == []
    assert await opened.store.claim([], 7, NOW_US, NOW_US + 5, 10) == []
    assert faults.commits == before
    assert len(await opened.store.claim([1, 2], 7, NOW_US, NOW_US + 5, 10)) == 2
    assert faults.commits == before + 1


@pytest.mark.parametrize("callers", [1, 64])
async def test_transactions_are_shared_by_callers(open_file: Open, faults: Faults, callers: int) -> None:
    opened = await open_file(factory=faults.connection)
    before = faults.commits

    async def caller(number: int) -> None:
        for _ in range(5):
            order = await opened.store.create(*make_order(f"user-{number}", amount_minor=0))
            await opened.store.record(finish(order))

    await asyncio.gather(*map(caller, range(callers)))
    assert faults.commits - before == 10 if callers == 1 else faults.commits - before <= 40
