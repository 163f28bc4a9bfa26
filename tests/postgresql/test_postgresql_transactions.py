"""What a link does in how many trips, what it refuses, and what it waits for."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from postgresql_links import Connect, Connection, sent_by, until, until_blocked_by
from sqlalchemy import literal, select

from orderway.errors import StaleOrder, Unavailable
from orderway.sql.dialects.postgresql import PostgresqlServer
from orderway.sql.dialects.postgresql.dialect import POSTGRESQL
from orderway.sql.network.database import NetworkDatabase
from orderway.sql.network.link import CommitLost
from orderway.sql.operations import Create, Hold, Operation, Record
from orderway.sql.schema import Expected
from orderway.sql.shards import ShardMap
from orderway.sql.steps import (
    Busy,
    Conflict,
    Duplicate,
    Failed,
    Mismatch,
    Own,
    OwnRead,
    Read,
    Refused,
    Write,
    unless_refused,
)
from orderway.sql.writes import Writes
from orderway.testing.conformance.builders import NOW_US, finish, make_change, make_order, paid

HOSTILE = [
    "'",
    '"',
    "\\",
    "\\'",
    "'; DROP TABLE ow_meta; --",
    "$1",
    ":name",
    "%s",
    "{}",
    "{1,2}",
    "NULL",
    "🧾",
    "a\tb\nc",
]


async def test_create_and_record_take_one_trip_each_and_both_together(connect: Connect, writes: Writes) -> None:
    link = await connect()
    for _ in range(2):  # the first time it prepares the statements
        (order, entry), new = make_order(), make_order()
        async with sent_by(link) as created:
            await link.transact(writes.together([Create(order, entry)]))
        async with sent_by(link) as recorded:
            change = make_change(order, paid(order))
            await link.transact(writes.together([Record(change)]))
        async with sent_by(link) as both:
            await link.transact(writes.together([Create(*new), Record(finish(change.order))]))
    assert (len(created), len(recorded), len(both)) == (1, 1, 1)
    assert await link.send([Read("SELECT count(*), max(version) FROM ow_journal_0")]) == [(10, 4)]


async def test_writes_to_two_neighbouring_shards_take_one_trip_together(postgresql_url: str) -> None:
    shards = ShardMap.even(4)
    database = NetworkDatabase(PostgresqlServer(postgresql_url), expected=Expected(shards))
    await database.start()
    link = await PostgresqlServer(postgresql_url).connect(1)
    uids = {shards.of_uid(uid): uid for uid in map("user-{}".format, range(100))}
    writes = Writes(POSTGRESQL, shards, range(4))
    try:
        for _ in range(2):  # the first time it prepares the statements
            made = {shard: (make_order(uids[shard]), make_order(uids[shard], amount_minor=0)) for shard in range(4)}
            trips = []
            for of in ((0, 1), (2, 3), (1, 2)):
                await link.transact(writes.together([Create(*made[shard][0]) for shard in of]))
                changes = [Record(make_change(order, paid(order))) for order, _ in (made[shard][0] for shard in of)]
                async with sent_by(link) as sent:
                    await link.transact(writes.together([*(Create(*made[shard][1]) for shard in of), *changes]))
                trips.append(len(sent))
                made |= {shard: (make_order(uids[shard]), make_order(uids[shard])) for shard in of}
        assert trips == [1, 1, 6]
        counts = [await link.send([Read(f"SELECT count(*), sum(version) FROM ow_orders_{at}")]) for at in range(4)]
        assert counts == [[(4, 6)], [(8, 12)], [(8, 12)], [(4, 6)]]
    finally:
        await link.close()
        await database.close()


async def test_statements_without_values_travel_together(connect: Connect) -> None:
    link = await connect()
    async with sent_by(link) as sent:
        await link.send([Write("SAVEPOINT a"), Read("SELECT 1")], begin=True)
        await link.send([Write("ROLLBACK TO SAVEPOINT a"), Write("RELEASE SAVEPOINT a")], commit=True)
    begun, asked, ended = sent
    assert begun.startswith("BEGIN; SELECT 1 / count(*)")
    assert begun.endswith("; SAVEPOINT a")
    assert asked == "SELECT 1"
    assert ended == "ROLLBACK TO SAVEPOINT a; RELEASE SAVEPOINT a; COMMIT"


@pytest.mark.parametrize("text", HOSTILE)
async def test_texts_come_back_as_they_were(connect: Connect, writes: Writes, text: str) -> None:
    link = await connect()
    order, entry = make_order(uid=text, remark=text, own_number=text, currency=text[:16])
    await link.transact(writes.together([Create(order, entry)]))
    assert (await link.perform(writes.orders.find_all([order.id])))[order.id] == order


async def test_what_no_column_can_hold_is_refused_alone(connect: Connect, writes: Writes) -> None:
    link = await connect()
    good, bad, broken, large = (make_order() for _ in range(4))
    operations = [
        Create(*good),
        Create(replace(bad[0], remark="a\0b"), bad[1]),
        Create(replace(broken[0], remark="\ud800"), broken[1]),
        Create(replace(large[0], amount_minor=2**63), large[1]),
    ]
    with pytest.raises(Refused):
        await link.transact(writes.together(operations))
    await link.transact(writes.apart(operations))
    assert [type(operation.error).__name__ for operation in operations] == ["NoneType", *["InvalidValue"] * 3]
    assert await link.send([Read("SELECT id FROM ow_orders_0")]) == [(good[0].id,)]


async def test_a_change_that_does_not_fit_writes_nothing_of_its_batch(connect: Connect, writes: Writes) -> None:
    link = await connect()
    first, second = make_order(), make_order()
    await link.transact(writes.together([Create(*first), Create(*second)]))
    fits, stale = (make_change(order, paid(order)) for order, _ in (first, second))
    await link.transact(writes.together([Record(make_change(second[0], paid(second[0])))]))
    operations: list[Operation[Any]] = [Record(fits), Record(stale)]
    with pytest.raises(Mismatch):
        await link.transact(writes.together(operations))
    assert not link.is_committing
    assert await link.send([Read("SELECT order_id FROM ow_journal_0 WHERE version = 2")]) == [(second[0].id,)]
    await link.transact(writes.apart(operations))
    assert operations[0].error is None
    assert isinstance(operations[1].error, StaleOrder)


async def test_a_change_that_does_not_fit_keeps_the_orders_of_its_batch_out(connect: Connect, writes: Writes) -> None:
    link = await connect()
    (order, entry), new = make_order(), make_order()
    await link.transact(writes.together([Create(order, entry)]))
    record = Record(make_change(order, paid(order)))
    await link.transact(writes.together([record]))
    batch: list[Operation[Any]] = [Create(*new), record]
    with pytest.raises(Mismatch):
        await link.transact(writes.together(batch))
    assert await link.send([Read("SELECT count(*) FROM ow_orders_0")]) == [(1,)]
    assert await link.send([Read("SELECT count(*) FROM ow_journal_0")]) == [(2,)]
    await link.transact(writes.apart(batch))
    assert [type(operation.error).__name__ for operation in batch] == ["NoneType", "StaleOrder"]


async def test_a_taken_id_is_a_duplicate_and_nothing_of_its_batch_stays(connect: Connect, writes: Writes) -> None:
    link = await connect()
    taken, new = make_order(), make_order()
    await link.transact(writes.together([Create(*taken)]))
    with pytest.raises(Duplicate):
        await link.transact(writes.together([Create(*new), Create(*taken)]))
    assert not link.is_committing
    assert await link.send([Read("SELECT id FROM ow_orders_0")]) == [(taken[0].id,)]


@pytest.mark.parametrize(("guard", "is_written"), [(1, True), (2, False)])
async def test_a_change_is_decided_by_the_row_as_it_is_once_it_is_locked(
    connect: Connect, writes: Writes, other: Connection, guard: int, is_written: bool
) -> None:
    link = await connect()
    order, entry = make_order(holder=guard)
    await link.transact(writes.together([Create(order, entry)]))
    async with other.transaction():
        await other.execute("UPDATE ow_orders_0 SET attempts = 5, holder = 1")
        record = Record(make_change(order, paid(order), guard=guard, keep_holder=True))
        recorded = asyncio.create_task(link.transact(writes.together([record])))
        await until_blocked_by(other)
    if is_written:
        await recorded
    else:
        with pytest.raises(Mismatch):
            await recorded
    assert await link.send([Read("SELECT version, holder FROM ow_orders_0")]) == [(1 + is_written, 1)]
    assert await link.send([Read("SELECT count(*) FROM ow_journal_0")]) == [(1 + is_written,)]


async def test_a_hold_sees_who_has_joined_while_it_waited(connect: Connect, writes: Writes, other: Connection) -> None:
    link = await connect()
    order, entry = make_order()
    await link.transact(writes.together([Create(order, entry)]))
    transaction = other.transaction()
    await transaction.start()
    await other.execute("UPDATE ow_orders_0 SET holder = 7")
    hold = Hold(order.id, 8, NOW_US)
    held = asyncio.create_task(link.transact(writes.together([hold])))
    await until_blocked_by(other)
    await other.execute("INSERT INTO ow_workers (incarnation, name, beats) VALUES (7, 'late', 0)")
    await transaction.commit()
    await held
    assert hold.result.holder == 7


@pytest.mark.parametrize("together", [True, False], ids=["one statement", "several"])
async def test_who_moves_shards_is_waited_for_and_then_another_map_is_refused(
    connect: Connect, writes: Writes, other: Connection, together: bool
) -> None:
    link = await connect()
    operations = [Create(*make_order())]
    transaction = other.transaction()
    await transaction.start()
    await other.execute("UPDATE ow_meta SET epoch = 2 WHERE id = 1")
    steps = writes.together(operations) if together else writes.apart(operations)
    written = asyncio.create_task(link.transact(steps))
    await until_blocked_by(other)
    await transaction.commit()
    with pytest.raises(Unavailable, match="epoch 2, this process knows 1"):
        await written
    assert await link.send([Read("SELECT count(*) FROM ow_orders_0")]) == [(0,)]


async def test_a_map_that_is_gone_is_refused(connect: Connect, writes: Writes, other: Connection) -> None:
    link = await connect()
    await other.execute("DELETE FROM ow_meta")
    with pytest.raises(Unavailable, match="epoch None"):
        await link.transact(writes.apart([Create(*make_order())]))
    with pytest.raises(Unavailable, match="epoch None"):
        await link.transact(writes.together([Create(*make_order())]))


@pytest.mark.parametrize("together", [True, False], ids=["one statement", "several"])
async def test_shards_cannot_be_moved_while_a_transaction_runs(
    connect: Connect, writes: Writes, other: Connection, postgresql_url: str, together: bool
) -> None:
    link, mover = await connect(), await asyncpg.connect(postgresql_url)
    order, entry = make_order()
    await link.transact(writes.together([Create(order, entry)]))
    async with other.transaction():
        await other.execute("SELECT 1 FROM ow_orders_0 FOR UPDATE")
        record = [Record(make_change(order, paid(order)))]
        recorded = asyncio.create_task(link.transact(writes.together(record) if together else writes.apart(record)))
        await until_blocked_by(other)
        moved = asyncio.create_task(mover.execute("UPDATE ow_meta SET epoch = 2"))
        await until(other, "SELECT count(*) = 2 FROM pg_locks WHERE NOT granted")
    await recorded
    await moved
    await mover.close()


async def test_a_lock_that_does_not_come_is_busy_and_the_transaction_goes_on(
    connect: Connect, writes: Writes, other: Connection
) -> None:
    link = await connect()
    order, entry = make_order()
    await link.transact(writes.together([Create(order, entry)]))
    async with other.transaction():
        await other.execute("SELECT 1 FROM ow_orders_0 FOR UPDATE")
        await link.send([Write("SET LOCAL lock_timeout = 1")], begin=True)
        with pytest.raises(Busy):
            await link.perform(writes.together([Record(make_change(order, paid(order)))]))
        await link.roll_back()
        await link.send([Write("SET LOCAL lock_timeout = 1")], begin=True)
        states = unless_refused(writes.orders.of_order(order.id).states([order.id]), None)
        assert await link.perform(states) is None
        assert await link.send([Read("SELECT 1")]) == [(1,)]
        await link.roll_back()


async def test_a_deadlock_is_a_conflict_and_ends_the_transaction(connect: Connect) -> None:
    one, two = await connect(), await connect()
    await one.script("CREATE TABLE goods (id int PRIMARY KEY); INSERT INTO goods VALUES (1), (2)")
    lock = "SELECT 1 FROM goods WHERE id = $1 FOR UPDATE"
    for link in (one, two):
        await link.send([Write("SET LOCAL deadlock_timeout = 10"), Write("SET LOCAL lock_timeout = 0")], begin=True)
    await one.send([Read(lock, (1,))])
    await two.send([Read(lock, (2,))])
    outcomes = await asyncio.gather(one.send([Read(lock, (2,))]), two.send([Read(lock, (1,))]), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Conflict", "list"]
    assert any(isinstance(outcome, Conflict) for outcome in outcomes)


async def test_statements_of_the_users_own(connect: Connect) -> None:
    link = await connect()
    await link.script("CREATE TABLE goods (id text PRIMARY KEY, note jsonb, at timestamptz)")
    sql = "INSERT INTO goods (id, note) VALUES (:id, '{\":id\": \"it''s :id\"}'::jsonb) -- :none\n RETURNING :id::text"
    assert await link.send([Own(sql, {"id": "a'b", "unused": 1})]) == 1
    found = await link.send([OwnRead("SELECT id, note ->> ':id' FROM goods WHERE id = $1", ["a'b"])])
    assert found == [("a'b", "it's :id")]
    assert await link.send([Own("DELETE FROM goods", ())]) == 1
    assert await link.send([Own("DELETE FROM goods", {})]) == 0


@pytest.mark.parametrize(
    ("sql", "parameters", "words"),
    [
        ("DELETE FROM goods; COMMIT", (), "multiple commands"),
        ("DELETE FROM goods WHERE id = :id", {}, ":id"),
        ("DELETE FROM goods WHERE id = $1", [], "expects 1 argument"),
        ("DELETE FROM goods WHERE id = $1", [1, 2], "expects 1 argument"),
        ("DELETE FROM goods WHERE id = :id", {"id": "one"}, "integer"),
        ("DELETE FROM goods WHERE id = :id", {"id": 2**70}, "int32"),
        ("DELETE FROM bads", (), "bads"),
        ("DELEET", (), "syntax"),
        ("INSERT INTO goods VALUES (1)", (), "unique"),
        ("INSERT INTO goods VALUES (-1)", (), "check"),
    ],
)
async def test_a_statement_of_the_users_own_is_refused_with_the_databases_words(
    connect: Connect, sql: str, parameters: dict[str, object], words: str
) -> None:
    link = await connect()
    await link.script("CREATE TABLE goods (id int PRIMARY KEY CHECK (id > 0)); INSERT INTO goods VALUES (1)")
    await link.send([Write("SAVEPOINT own")], begin=True)
    with pytest.raises(Refused, match=words):
        await link.send([Own(sql, parameters)])
    await link.send([Write("ROLLBACK TO SAVEPOINT own")], commit=True)
    assert await link.send([Read("SELECT count(*) FROM goods")]) == [(1,)]


async def test_what_is_checked_at_the_end_is_refused_by_the_commit(connect: Connect) -> None:
    link = await connect()
    await link.script(
        "CREATE TABLE goods (id int PRIMARY KEY, next int REFERENCES goods DEFERRABLE INITIALLY DEFERRED)"
    )
    await link.send([Own("INSERT INTO goods VALUES (1, 2)", ())], begin=True)
    with pytest.raises(Refused, match="foreign key"):
        await link.send([], commit=True)
    assert not link.is_committing
    await link.roll_back()
    assert await link.send([Read("SELECT count(*) FROM goods")]) == [(0,)]


@pytest.mark.parametrize("alone", [True, False], ids=["one statement", "several"])
async def test_exactly_the_named_session_is_ended_and_what_it_did_is_final(
    connect: Connect, writes: Writes, other: Connection, alone: bool
) -> None:
    link, beside, judge = await connect(), await connect(), await connect()
    order, entry = make_order()
    await link.transact(writes.together([Create(order, entry)]))
    transaction = other.transaction()
    await transaction.start()
    await other.execute("SELECT 1 FROM ow_orders_0 FOR UPDATE")
    record = [Record(make_change(order, paid(order)))]
    steps = writes.together(record) if alone else writes.apart(record)
    written = asyncio.create_task(link.transact(steps))
    await until_blocked_by(other)
    await judge.end_session(link.name, 10)
    with pytest.raises(CommitLost if alone else Failed):
        await written
    await transaction.rollback()
    assert await judge.perform(writes.is_written(record)) is False
    assert await beside.send([Read("SELECT 1")]) == [(1,)]
    with pytest.raises(Failed):
        await link.send([Read("SELECT 1")])


async def test_a_lock_by_name_is_waited_for(connect: Connect) -> None:
    one, two = await connect(), await connect()
    await one.lock("orderway schema", 1)
    with pytest.raises(Busy):
        await two.lock("orderway schema", 0.001)
    await one.unlock("orderway schema")
    await two.lock("orderway schema", 10)
    assert await two.send([Read("SHOW lock_timeout")]) == [("2s",)]


async def test_a_table_that_is_locked_for_too_long_is_nobodys_mistake(
    database: NetworkDatabase, other: Connection
) -> None:
    query = select(literal(1)).select_from(database.tables.shards[0].orders)
    async with other.transaction():
        await other.execute("LOCK TABLE ow_orders_0 IN ACCESS EXCLUSIVE MODE")
        gets = [database.get(make_order()[0].id) for _ in range(20)]
        outcomes = await asyncio.gather(*gets, database.fetch(query), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {Unavailable}
    assert all("lock timeout" in str(outcome) for outcome in outcomes)
