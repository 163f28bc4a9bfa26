"""A full disk, a locked file, a commit that fails and one whose answer is lost: every caller is told the truth."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
from sqlite_file import Faults, Open, Opened

from orderway.core.order import Order
from orderway.errors import CommitUnknown, DeliveryFailed, OrderNotFound, Unavailable
from orderway.ports.store import Statement
from orderway.testing.conformance.builders import NOW_US, finish, make_id, make_order, make_posting

Fault = Callable[[Callable[[], Any]], Any]


def fail_before(commit: Callable[[], Any]) -> None:
    raise sqlite3.OperationalError("disk I/O error")


def lose_the_answer(commit: Callable[[], Any]) -> None:
    commit()
    raise sqlite3.OperationalError("disk I/O error")


async def truth(opened: Opened, orders: list[Any]) -> list[bool]:
    try:
        created = await opened.store.get(orders[0].id) == orders[0]
    except OrderNotFound:
        created = False
    recorded = (await opened.store.get(orders[1].id)).version == 3
    return [created, recorded, await opened.ledger.find("u", "k") is not None]


@pytest.mark.parametrize(("fault", "written"), [(fail_before, False), (lose_the_answer, True)])
async def test_commit_without_an_answer(open_file: Open, faults: Faults, fault: Fault, written: bool) -> None:
    opened = await open_file(factory=faults.connection)
    stored = await opened.store.create(*make_order(amount_minor=0))
    order, entry = make_order()
    faults.at_commit = fault
    outcomes = await asyncio.gather(
        opened.store.create(order, entry),
        opened.store.record(finish(stored)),
        opened.ledger.post(make_posting("u", 5, key="k"), NOW_US),
        return_exceptions=True,
    )
    assert faults.at_commit is None, "the fault was not reached"
    assert [type(outcome) is not Unavailable for outcome in outcomes] == [written] * 3
    assert await truth(opened, [order, stored]) == [written] * 3
    await opened.store.create(*make_order())


async def test_lost_answer_of_a_posting_alone(open_file: Open, faults: Faults) -> None:
    opened = await open_file(factory=faults.connection)
    faults.at_commit = lose_the_answer
    assert await opened.ledger.post(make_posting("u", 5, key="k"), NOW_US) is True
    assert faults.at_commit is None
    assert await opened.ledger.balance("u", "USD") == 5


async def test_lost_answer_that_cannot_be_looked_up(open_file: Open, faults: Faults) -> None:
    opened = await open_file(factory=faults.connection)

    def lose_and_go_away(commit: Callable[[], Any]) -> None:
        faults.refuse_to_open = True
        lose_the_answer(commit)

    faults.at_commit = lose_and_go_away
    order, entry = make_order()
    with pytest.raises(CommitUnknown) as caught:
        await opened.store.create(order, entry)
    assert caught.value.order_id == order.id
    faults.refuse_to_open = False
    assert await opened.store.get(order.id) == order
    assert await opened.store.create(order, entry) == order


async def test_lost_answer_of_what_leaves_no_trace_of_its_own(open_file: Open, faults: Faults) -> None:
    opened = await open_file(factory=faults.connection)
    faults.at_commit = lose_the_answer
    with pytest.raises(CommitUnknown):
        await opened.workers.join(5, "shop")
    assert await opened.workers.counters() == {5: (0,)}


@pytest.mark.parametrize(("fault", "written"), [(fail_before, False), (lose_the_answer, True)])
async def test_user_transaction_whose_commit_gives_no_answer(
    open_file: Open, faults: Faults, fault: Fault, written: bool
) -> None:
    opened = await open_file(factory=faults.connection)
    opened.run("CREATE TABLE goods (n INTEGER)")
    order = await opened.store.create(*make_order(amount_minor=0))

    async def deliver() -> None:
        async with opened.store.transaction(make_id("u"), 10) as transaction:
            await transaction.execute("INSERT INTO goods VALUES (1)")
            faults.at_commit = fault
            await transaction.commit_with(finish(order))

    [outcome] = await asyncio.gather(deliver(), return_exceptions=True)
    assert (outcome is None) is written
    assert isinstance(outcome, Unavailable | None)
    assert opened.run("SELECT count(*) FROM goods") == [(int(written),)]
    assert (await opened.store.get(order.id)).version == (3 if written else 1)


async def test_user_transaction_whose_commit_cannot_be_looked_up(open_file: Open, faults: Faults) -> None:
    opened = await open_file(factory=faults.connection)
    order = await opened.store.create(*make_order(amount_minor=0))

    def lose_and_go_away(commit: Callable[[], Any]) -> None:
        faults.refuse_to_open = True
        lose_the_answer(commit)

    async with opened.store.transaction(make_id("u"), 10) as transaction:
        faults.at_commit = lose_and_go_away
        with pytest.raises(CommitUnknown) as caught:
            await transaction.commit_with(finish(order))
        with pytest.raises(Unavailable):
            await transaction.execute("DELETE FROM ow_workers")
    assert caught.value.order_id == order.id
    faults.refuse_to_open = False
    assert (await opened.store.get(order.id)).version == 3
    await use_a_transaction(opened)


async def use_a_transaction(opened: Opened) -> None:
    async with asyncio.timeout(60), opened.store.transaction(make_id("u"), 10) as transaction:
        assert await transaction.fetch("SELECT 1") == [(1,)]


async def test_broken_connection_of_user_transactions_is_replaced(open_file: Open, faults: Faults) -> None:
    opened = await open_file(factory=faults.connection)
    await use_a_transaction(opened)
    connection = faults.opened[-1]
    await opened.store.create(*make_order())  # it gets the lock once the transaction is quite over
    connection.close()
    with pytest.raises(Unavailable, match="closed"):
        await use_a_transaction(opened)
    await use_a_transaction(opened)
    await opened.store.create(*make_order())


async def test_connection_that_breaks_inside_a_user_transaction_is_replaced(open_file: Open, faults: Faults) -> None:
    opened = await open_file(factory=faults.connection)
    async with asyncio.timeout(60), opened.store.transaction(make_id("u"), 10) as transaction:
        await transaction.fetch("SELECT 1")
        faults.opened[-1].close()
        for _ in range(2):
            with pytest.raises(Unavailable):
                await transaction.execute("DELETE FROM ow_workers")
    await use_a_transaction(opened)
    await opened.store.create(*make_order())


async def test_a_mistake_of_ours_ends_one_user_transaction_not_all(open_file: Open) -> None:
    opened = await open_file()
    [meta] = opened.run("SELECT * FROM ow_meta")
    opened.run("DELETE FROM ow_meta")  # a row that we take for granted
    for _ in range(2):
        with pytest.raises(Unavailable):
            await use_a_transaction(opened)
    opened.run("INSERT INTO ow_meta VALUES (?, ?, ?, ?)", *meta)
    await use_a_transaction(opened)


async def test_user_transaction_that_a_full_disk_rolled_back_writes_nothing_more(
    open_file: Open, faults: Faults
) -> None:
    opened = await open_file(factory=faults.connection)
    opened.run("CREATE TABLE goods (n TEXT)")
    order = await opened.store.create(*make_order(amount_minor=0))
    async with opened.store.transaction(make_id("u"), 10) as transaction:
        await transaction.execute("INSERT INTO goods VALUES ('kept?')")
        [[pages]] = await transaction.fetch("SELECT page_count FROM pragma_page_count")
        faults.opened[-1].execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(Unavailable, match="full"):
            await transaction.execute("INSERT INTO goods VALUES (zeroblob(100000))")
        with pytest.raises(Unavailable):
            await transaction.execute("INSERT INTO goods VALUES ('alone')")
        with pytest.raises(Unavailable):
            await transaction.commit_with(finish(order))
    assert opened.run("SELECT n FROM goods") == []
    assert await opened.store.get(order.id) == order
    await use_a_transaction(opened)


async def test_user_transaction_that_a_statement_rolled_back_writes_nothing_more(open_file: Open) -> None:
    opened = await open_file()
    opened.run("CREATE TABLE goods (n INTEGER PRIMARY KEY)")
    opened.run("INSERT INTO goods VALUES (1)")
    order = await opened.store.create(*make_order(amount_minor=0))
    async with opened.store.transaction(make_id("u"), 10) as transaction:
        await transaction.execute("INSERT INTO goods VALUES (2)")
        with pytest.raises(DeliveryFailed, match="UNIQUE"):
            await transaction.execute("INSERT OR ROLLBACK INTO goods VALUES (1)")
        with pytest.raises(Unavailable):
            await transaction.execute("INSERT INTO goods VALUES (3)")
        with pytest.raises(Unavailable):
            await transaction.commit_with(finish(order))
    assert opened.run("SELECT n FROM goods") == [(1,)]
    assert await opened.store.get(order.id) == order


async def test_full_disk_fails_what_does_not_fit_and_nothing_else(open_file: Open, faults: Faults) -> None:
    opened = await open_file(factory=faults.connection)
    kept = await opened.store.create(*make_order(amount_minor=0))
    for connection in faults.opened:
        try:
            [(pages,)] = connection.execute("PRAGMA page_count").fetchall()
        except sqlite3.ProgrammingError:
            continue  # the one that made the tables is closed already
        connection.execute(f"PRAGMA max_page_count = {pages + 4}")
    orders = [make_order(data='"' + "x" * 40_000 + '"') for _ in range(3)]
    outcomes = await asyncio.gather(*(opened.store.create(*each) for each in orders), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 3
    assert "full" in str(outcomes[0])
    for order, _ in orders:
        with pytest.raises(OrderNotFound):
            await opened.store.get(order.id)
    assert await opened.store.get(kept.id) == kept
    # The writer has a new connection, without the limit: the disk has room again.
    stored: list[Order[Any]] = [await opened.store.create(*each) for each in orders]
    assert [await opened.store.get(order.id) for order in stored] == stored


async def test_file_locked_by_a_stranger(open_file: Open) -> None:
    opened = await open_file(lock_timeout_s=0.05)
    stranger = sqlite3.connect(opened.database.path, isolation_level=None)
    stranger.execute("BEGIN IMMEDIATE")
    orders = [make_order(amount_minor=0) for _ in range(6)]
    ids = [order.id for order, _ in orders]
    outcomes = await asyncio.gather(
        *(opened.store.create(*each) for each in orders[:2]),
        opened.store.record(finish(orders[2][0])),
        opened.store.hold(ids[3], 7, NOW_US),
        opened.store.postpone(ids[4], 1, 7, NOW_US, 1, ""),
        opened.store.hint(ids[5], NOW_US),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 6
    assert [outcome.order_id for outcome in outcomes if isinstance(outcome, Unavailable)] == ids
    stranger.execute("ROLLBACK")
    stranger.close()
    for order, entry in orders[:2]:
        with pytest.raises(OrderNotFound):
            await opened.store.get(order.id)
        assert await opened.store.create(order, entry) == order


async def test_writer_gives_up_behind_a_transaction_that_is_held_open(open_file: Open) -> None:
    opened = await open_file(lock_timeout_s=0.05)
    order, entry = make_order()
    async with opened.store.transaction(make_id("u"), 30) as transaction:
        await transaction.fetch("SELECT 1")
        for _ in range(2):
            with pytest.raises(Unavailable):
                await opened.store.create(order, entry)
    assert await opened.store.create(order, entry) == order
    async with opened.store.transaction(make_id("u"), 30) as transaction:
        assert await transaction.fetch("SELECT 1") == [(1,)]


async def test_transaction_of_code_that_never_comes_back_is_ended(open_file: Open) -> None:
    opened = await open_file()
    opened.run("CREATE TABLE goods (n INTEGER)")
    hanging = asyncio.Event()

    async def hang() -> None:
        async with opened.store.transaction(make_id("u"), 0.05) as transaction:
            await transaction.execute("INSERT INTO goods VALUES (1)")
            hanging.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hang())
    await hanging.wait()
    await opened.store.create(*make_order())  # it gets the lock although the task still hangs
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert opened.run("SELECT count(*) FROM goods") == [(0,)]


async def test_query_that_never_ends_is_interrupted(open_file: Open) -> None:
    opened = await open_file()
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    async with opened.store.transaction(make_id("u"), 0.05) as transaction:
        with pytest.raises(Unavailable):
            await transaction.fetch(endless)
        with pytest.raises(Unavailable):
            await transaction.fetch("SELECT 1")
    await opened.store.create(*make_order())


async def test_cancelled_caller_leaves_its_write_and_the_others(open_file: Open) -> None:
    opened = await open_file()
    orders = [make_order() for _ in range(3)]
    tasks = [asyncio.create_task(opened.store.create(*each)) for each in orders]
    await asyncio.sleep(0)
    tasks[1].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome).__name__ for outcome in outcomes] == ["Order", "CancelledError", "Order"]
    await opened.store.create(*make_order())  # the transaction after it
    for order, _ in orders:
        assert await opened.store.get(order.id) == order


async def test_statement_on_a_full_disk_is_no_failed_delivery(open_file: Open, faults: Faults) -> None:
    opened = await open_file(factory=faults.connection)
    opened.run("CREATE TABLE goods (n TEXT)")
    order = await opened.store.create(*make_order(amount_minor=0))
    [(pages,)] = faults.opened[-1].execute("PRAGMA page_count").fetchall()
    faults.opened[-1].execute(f"PRAGMA max_page_count = {pages + 2}")
    big = Statement("INSERT INTO goods VALUES (:n)", {"n": "x" * 100_000}, 1)
    with pytest.raises(Unavailable, match="full"):
        await opened.store.record(finish(order, statements=[big]))
    assert await opened.store.get(order.id) == order
