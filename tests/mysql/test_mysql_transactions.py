"""What a link does in how many trips, what stops a packet before its commit, and what is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from mysql_links import Connect, sent_by, until_waits, value_of

from orderway.errors import StaleOrder, Unavailable
from orderway.sql.dialects.mysql import MysqlServer
from orderway.sql.dialects.mysql.link import MOST_IDLE_S, MysqlLink
from orderway.sql.dialects.mysql.packets import Part, Role
from orderway.sql.network.database import NetworkDatabase
from orderway.sql.network.link import CommitLost
from orderway.sql.operations import Claim, Create, Hold, Operation, Park, Post, Record
from orderway.sql.steps import Busy, Conflict, Count, Duplicate, Failed, Mismatch, Read, Refused, Write
from orderway.sql.writes import Writes
from orderway.testing.conformance.builders import NOW_US, make_change, make_order, make_parked, make_posting, paid

ORDERS = "SELECT COUNT(*) FROM ow_orders_0"
ENTRIES = "SELECT COUNT(*) FROM ow_journal_0"


@pytest.mark.parametrize("count", [1, 2, 20])
async def test_create_and_record_take_one_trip_each(link: MysqlLink, writes: Writes, count: int) -> None:
    made = [make_order() for _ in range(count)]
    with sent_by(link) as packets:
        await link.transact(writes.together([Create(*each) for each in made]))
    [created] = packets
    with sent_by(link) as packets:
        await link.transact(writes.together([Record(make_change(order, paid(order))) for order, _ in made]))
    [recorded] = packets
    for packet in (created, recorded):
        assert packet[0] == "BEGIN"
        assert packet[1].endswith("LOCK IN SHARE MODE")
        assert packet[-1] == "COMMIT"
    assert await value_of(link, ENTRIES) == 2 * count


async def test_a_posting_takes_three_trips(link: MysqlLink, writes: Writes) -> None:
    with sent_by(link) as packets:
        await link.transact(writes.together([Post(make_posting("ann", 5), "f", "w", NOW_US)]))
    assert len(packets) == 3


async def test_a_taken_id_stops_everything_before_the_commit(link: MysqlLink, writes: Writes) -> None:
    taken, new = make_order(), make_order()
    await link.transact(writes.together([Create(*taken)]))
    with pytest.raises(Duplicate):
        await link.transact(writes.together([Create(*new), Create(*taken)]))
    assert not link.is_committing
    assert await link.send([Read("SELECT id FROM ow_orders_0")]) == [(taken[0].id,)]
    assert await value_of(link, ENTRIES) == 1


@pytest.mark.parametrize("stale", [1, 2, 5])
async def test_a_change_that_does_not_fit_stops_everything_before_the_commit(
    link: MysqlLink, other: MysqlLink, writes: Writes, stale: int
) -> None:
    made = [make_order() for _ in range(stale)]
    await link.transact(writes.together([Create(*each) for each in made]))
    changes = [make_change(order, paid(order)) for order, _ in made]
    await link.transact(writes.together([Record(make_change(made[-1][0], paid(made[-1][0])))]))
    operations: list[Operation[None]] = [Record(change) for change in changes]
    with sent_by(link) as packets, pytest.raises(Mismatch):
        await link.transact(writes.together(operations))
    assert [packet[-1] for packet in packets] == ["COMMIT", "ROLLBACK"]
    assert not link.is_committing
    assert await value_of(other, ENTRIES) == stale + 1
    await link.transact(writes.apart(operations))
    assert [type(operation.error) for operation in operations] == [*[type(None)] * (stale - 1), StaleOrder]


async def test_a_missing_order_stops_everything_before_the_commit(link: MysqlLink, writes: Writes) -> None:
    there, missing = make_order(), make_order()
    await link.transact(writes.together([Create(*there)]))
    changes = [make_change(order, paid(order)) for order, _ in (there, missing)]
    for group in (changes, changes[1:]):
        with pytest.raises(Mismatch):
            await link.transact(writes.together([Record(change) for change in group]))
    assert await value_of(link, ENTRIES) == 1


async def test_rows_that_are_as_they_should_be_count_as_touched(link: MysqlLink) -> None:
    await link.script(
        "CREATE TABLE goods (id INT PRIMARY KEY, n INT) ENGINE=InnoDB; INSERT INTO goods VALUES (1,1),(2,2)"
    )
    joined = "UPDATE (SELECT 1 AS id UNION ALL SELECT 2) AS v STRAIGHT_JOIN goods AS g ON g.id = v.id SET g.n = g.n"
    for sql in ("UPDATE goods SET n = n", joined):
        await link.send([Write(sql, expect=2)], begin=True, commit=True)
        with pytest.raises(Mismatch):
            await link.send([Write(sql, expect=3), Write("DELETE FROM goods")], begin=True, commit=True)
        with pytest.raises(Mismatch):
            await link.send([Write(sql, expect=1), Write("DELETE FROM goods")], begin=True, commit=True)
    assert await value_of(link, "SELECT COUNT(*) FROM goods") == 2
    assert await link.send([Count("UPDATE goods SET n = n")]) == 2


async def test_long_and_short_texts_are_changed_together(link: MysqlLink, writes: Writes) -> None:
    made = [make_order() for _ in range(3)]
    await link.transact(writes.together([Create(*each) for each in made]))
    changes = [make_change(order, paid(order)) for order, _ in made]
    for change, length in zip(changes, (3, 70_000, 5), strict=True):
        change.order.data_text = "🧾" * length
    await link.transact(writes.together([Record(change) for change in changes]))
    found = await link.perform(writes.orders.find_all([order.id for order, _ in made]))
    assert [len(found[order.id].data_text) for order, _ in made] == [3, 70_000, 5]


async def test_more_than_a_packet_holds_goes_in_several_and_commits_with_the_last(
    link: MysqlLink, writes: Writes
) -> None:
    object.__setattr__(link._session, "most_bytes", 1_200_000)
    made = [make_order(data="x" * 200_000) for _ in range(20)]
    with sent_by(link) as packets:
        await link.transact(writes.together([Create(*each) for each in made]))
    assert len(packets) > 2
    assert [packet[-1] == "COMMIT" for packet in packets] == [*[False] * (len(packets) - 1), True]
    assert all(sum(len(sql) + 1 for sql in packet) <= 1_200_000 for packet in packets)
    assert await value_of(link, ORDERS) == 20


async def test_what_no_packet_holds_is_refused_alone(link: MysqlLink, writes: Writes) -> None:
    good, large = make_order(), make_order(data="x" * link._session.most_bytes)
    operations: list[Operation[Any]] = [Create(*good), Create(*large)]
    with pytest.raises(Refused, match="max_allowed_packet"):
        await link.transact(writes.together(operations))
    await link.transact(writes.apart(operations))
    assert operations[0].error is None
    assert "max_allowed_packet" in str(operations[1].error)
    assert await link.send([Read("SELECT id FROM ow_orders_0")]) == [(good[0].id,)]


async def test_a_taken_parking_place_is_no_excuse_for_a_taken_id(link: MysqlLink, writes: Writes) -> None:
    taken = make_order()
    await link.transact(writes.together([Create(*taken)]))
    with pytest.raises(Duplicate):
        await link.transact(writes.together([Create(*taken), Park(make_parked("new"))]))
    parked = [Park(make_parked("R")), Park(make_parked("R"))]
    await link.transact(writes.together(parked))
    assert [each.result for each in parked] == [True, False]


@pytest.mark.parametrize(("guard", "is_written"), [(1, True), (2, False)])
@pytest.mark.parametrize("count", [1, 2])
async def test_a_change_is_decided_by_the_row_as_it_is_once_it_is_locked(
    link: MysqlLink, other: MysqlLink, writes: Writes, guard: int, is_written: bool, count: int
) -> None:
    made = [make_order(holder=guard) for _ in range(count)]
    await link.transact(writes.together([Create(*each) for each in made]))
    await other.send([Write("UPDATE ow_orders_0 SET attempts = 5, holder = 1")], begin=True)
    records = [Record(make_change(order, paid(order), guard=guard, keep_holder=True)) for order, _ in made]
    recorded = asyncio.create_task(link.transact(writes.together(records)))
    await until_waits(link, other)
    await other.send([], commit=True)
    if is_written:
        await recorded
    else:
        with pytest.raises(Mismatch):
            await recorded
    assert await link.send([Read("SELECT version, holder FROM ow_orders_0")]) == [(1 + is_written, 1)] * count
    assert await value_of(link, ENTRIES) == count * (1 + is_written)


async def test_a_hold_sees_who_has_joined_while_it_waited(
    link: MysqlLink, other: MysqlLink, connect: Connect, writes: Writes
) -> None:
    # Whoever holds the first is dead: to see that, the statement looks at the workers before it waits for the second.
    made = [make_order(holder=5), make_order()]
    await link.transact(writes.together([Create(*each) for each in made]))
    await other.send([Write(f"UPDATE ow_orders_0 SET holder = 7 WHERE id = '{made[1][0].id}'")], begin=True)
    holds = [Hold(order.id, 8, NOW_US) for order, _ in made]
    held = asyncio.create_task(link.transact(writes.together(holds)))
    await until_waits(link, await connect())
    await other.send([Write("INSERT INTO ow_workers (incarnation, name, beats) VALUES (7, 'late', 0)")], commit=True)
    await held
    assert [hold.result.holder for hold in holds] == [8, 7]


async def test_holds_and_claims_lock_nobody_in_the_workers_table(
    link: MysqlLink, other: MysqlLink, writes: Writes
) -> None:
    await link.script("INSERT INTO ow_workers (incarnation, name, beats) VALUES (7, 'me', 0), (8, 'you', 0)")
    made = [make_order(holder=7) for _ in range(2)]
    await link.transact(writes.together([Create(*each) for each in made]))
    await link.send([], begin=True)
    await link.perform(writes.together([Hold(made[0][0].id, 8, NOW_US), Claim([1], 8, NOW_US, NOW_US, 5)]))
    await other.script("SET SESSION innodb_lock_wait_timeout = 1")
    assert await other.send([Count("UPDATE ow_workers SET beats = beats + 1")]) == 2
    await link.roll_back()


async def test_a_claim_passes_over_what_others_are_claiming(link: MysqlLink, other: MysqlLink, writes: Writes) -> None:
    made = [make_order(due_at_us=NOW_US + at) for at in range(4)]
    await link.transact(writes.together([Create(*each) for each in made]))
    first, second = (Claim([1], holder, NOW_US + 9, NOW_US + 99, 2) for holder in (7, 8))
    await link.send([], begin=True)
    await link.perform(writes.together([first]))
    await other.transact(writes.together([second]))
    await link.send([], commit=True)
    assert [[order.id for order in claim.result] for claim in (first, second)] == [
        [order.id for order, _ in made[:2]],
        [order.id for order, _ in made[2:]],
    ]


async def test_who_takes_hold_of_half_a_table_waits_for_nobody_in_the_other_half(
    link: MysqlLink, other: MysqlLink, writes: Writes
) -> None:
    made = [make_order() for _ in range(50)]
    await link.transact(writes.together([Create(*each) for each in made]))
    ids = sorted(order.id for order, _ in made)
    await other.send([Write(f"UPDATE ow_orders_0 SET attempts = 5 WHERE id <= '{ids[24]}'")], begin=True)
    await link.transact(writes.together([Hold(order_id, 8, NOW_US) for order_id in ids[25:]]))
    await other.roll_back()
    assert await link.send([Read("SELECT id FROM ow_orders_0 WHERE holder = 8 ORDER BY id")]) == [
        (order_id,) for order_id in ids[25:]
    ]


@pytest.mark.parametrize("together", [True, False], ids=["one packet", "several"])
async def test_who_moves_shards_is_waited_for_and_then_another_map_is_refused(
    link: MysqlLink, other: MysqlLink, writes: Writes, together: bool
) -> None:
    await other.send([Write("UPDATE ow_meta SET epoch = 2 WHERE id = 1")], begin=True)
    create: list[Operation[Any]] = [Create(*make_order())]
    written = asyncio.create_task(link.transact(writes.together(create) if together else writes.apart(create)))
    await until_waits(link, other)
    await other.send([], commit=True)
    with pytest.raises(Unavailable, match="epoch 2, this process knows 1"):
        await written
    assert not link.is_committing
    assert await value_of(link, ORDERS) == 0


@pytest.mark.parametrize("together", [True, False], ids=["one packet", "several"])
async def test_who_moves_shards_for_long_is_not_overtaken(
    link: MysqlLink, other: MysqlLink, writes: Writes, together: bool
) -> None:
    await link.script("SET SESSION innodb_lock_wait_timeout = 1")
    await other.send([Write("UPDATE ow_meta SET epoch = 2 WHERE id = 1")], begin=True)
    create: list[Operation[Any]] = [Create(*make_order())]
    with pytest.raises(Unavailable, match="is being changed"):
        await link.transact(writes.together(create) if together else writes.apart(create))
    await other.roll_back()
    assert await value_of(link, ORDERS) == 0


async def test_a_transaction_of_several_trips_ends_where_it_stands_idle(link: MysqlLink) -> None:
    link._session = replace(link._session, idle_s=7)  # as on a server that has no limit just for transactions
    limit = Read("SELECT @@SESSION.wait_timeout")
    for end in (lambda: link.send([], commit=True), link.roll_back):
        assert await link.send([limit], begin=True) == [(7,)]
        await end()
        assert await link.send([limit]) == [(MOST_IDLE_S,)]
    with sent_by(link) as packets:
        await link.send([Write("DO 1")], begin=True, commit=True)
    assert [len(packet) for packet in packets] == [4]  # BEGIN, the fence, this, COMMIT


async def test_a_session_that_stands_idle_in_a_transaction_is_ended(
    link: MysqlLink, other: MysqlLink, writes: Writes
) -> None:
    await link.transact(writes.together([Create(*make_order())]))
    link._session = replace(link._session, idle_s=1)
    await link.send([Count("UPDATE ow_orders_0 SET attempts = 5")], begin=True)
    await other.send([Count("UPDATE ow_orders_0 SET attempts = attempts + 1")])  # waits for a second
    assert await value_of(other, "SELECT attempts FROM ow_orders_0") == 1
    with pytest.raises(Failed):
        await link.send([], commit=True)


async def test_a_map_that_is_gone_is_refused(link: MysqlLink, other: MysqlLink, writes: Writes) -> None:
    await other.script("DELETE FROM ow_meta")
    with pytest.raises(Unavailable, match="epoch None"):
        await link.transact(writes.together([Create(*make_order())]))


async def test_shards_cannot_be_moved_while_a_transaction_runs(
    link: MysqlLink, other: MysqlLink, connect: Connect
) -> None:
    await link.send([], begin=True)
    moved = asyncio.create_task(other.send([Count("UPDATE ow_meta SET epoch = 2")]))
    await until_waits(other, await connect())
    assert not moved.done()
    await link.roll_back()
    assert await moved == 1


async def test_a_lock_that_does_not_come_is_busy_and_the_transaction_goes_on(
    link: MysqlLink, other: MysqlLink, writes: Writes
) -> None:
    order, entry = make_order()
    await link.transact(writes.together([Create(order, entry)]))
    await link.script("SET SESSION innodb_lock_wait_timeout = 1; CREATE TABLE goods (id INT PRIMARY KEY) ENGINE=InnoDB")
    await other.send([Read("SELECT 1 FROM ow_orders_0 FOR UPDATE")], begin=True)
    await link.send([Write("INSERT INTO goods VALUES (1)")], begin=True)
    with pytest.raises(Busy):
        await link.send([Read("SELECT 1 FROM ow_orders_0 FOR UPDATE")])
    await link.send([], commit=True)
    await other.roll_back()
    assert await value_of(link, "SELECT COUNT(*) FROM goods") == 1


async def test_a_deadlock_is_a_conflict_and_ends_the_transaction(link: MysqlLink, other: MysqlLink) -> None:
    await link.script("CREATE TABLE goods (id INT PRIMARY KEY) ENGINE=InnoDB; INSERT INTO goods VALUES (1), (2)")
    lock = "SELECT id FROM goods WHERE id = {} FOR UPDATE"
    await link.send([Read(lock.format(1))], begin=True)
    await other.send([Read(lock.format(2))], begin=True)
    outcomes = await asyncio.gather(
        link.send([Read(lock.format(2))]), other.send([Read(lock.format(1))]), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Conflict", "list"]
    assert any(isinstance(outcome, Conflict) for outcome in outcomes)
    await asyncio.gather(link.roll_back(), other.roll_back())
    await link.send([Write("DELETE FROM goods", expect=2)], begin=True, commit=True)


async def test_a_lock_by_name_is_waited_for_in_its_database_only(
    link: MysqlLink, other: MysqlLink, mariadb_server: Any
) -> None:
    await link.lock("orderway schema", 1)
    with pytest.raises(Busy):
        await other.lock("orderway schema", 0.5)
    url = mariadb_server.new_database()
    elsewhere = await MysqlServer(url).connect(None)
    await elsewhere.lock("orderway schema", 1)
    await elsewhere.close()
    mariadb_server.drop(url)
    await link.unlock("orderway schema")
    await other.lock("orderway schema", 1)


@pytest.mark.parametrize("together", [True, False], ids=["commit on its way", "before the commit"])
async def test_exactly_the_named_session_is_ended_and_what_it_did_is_final(
    link: MysqlLink, other: MysqlLink, connect: Connect, writes: Writes, together: bool
) -> None:
    beside, judge = await connect(), await connect()
    order, entry = make_order()
    await link.transact(writes.together([Create(order, entry)]))
    await other.send([Read("SELECT 1 FROM ow_orders_0 FOR UPDATE")], begin=True)
    records: list[Operation[Any]] = [Record(make_change(order, paid(order)))]
    written = asyncio.create_task(link.transact(writes.together(records) if together else writes.apart(records)))
    await until_waits(link, other)
    await judge.end_session(link.name, 10)
    with pytest.raises((Failed, CommitLost)):
        await written
    await other.roll_back()
    assert await judge.perform(writes.is_written(records)) is False
    assert await value_of(beside, "SELECT 1") == 1
    with pytest.raises(Failed):
        await link.send([Read("SELECT 1")])
    await judge.end_session(link.name, 10)  # who is gone is gone


async def test_a_cancelled_trip_ends_the_session_and_what_it_did(
    link: MysqlLink, other: MysqlLink, writes: Writes
) -> None:
    order, entry = make_order()
    await link.transact(writes.together([Create(order, entry)]))
    await other.send([Read("SELECT 1 FROM ow_orders_0 FOR UPDATE")], begin=True)
    written = asyncio.create_task(link.transact(writes.together([Record(make_change(order, paid(order)))])))
    await until_waits(link, other)
    written.cancel()
    with pytest.raises(asyncio.CancelledError):
        await written
    assert link.is_committing
    with pytest.raises(Failed):
        await link.send([Read("SELECT 1")])
    await other.end_session(link.name, 10)
    await other.roll_back()
    assert await value_of(other, ENTRIES) == 1


@pytest.mark.parametrize("is_cut", ["before", "after"])
async def test_a_commit_without_an_answer_is_looked_up(
    database: NetworkDatabase, other: MysqlLink, monkeypatch: pytest.MonkeyPatch, is_cut: str
) -> None:
    talk, cut = MysqlLink._talk, []

    async def cutting(self: MysqlLink, packet: Sequence[Part], progress: Any) -> None:
        if packet[-1].role is Role.COMMIT and not cut:
            cut.append(packet)
            if is_cut == "after":
                await talk(self, packet, progress)
            self._connection.close()
            raise OSError("cut")
        await talk(self, packet, progress)

    monkeypatch.setattr(MysqlLink, "_talk", cutting)
    order, entry = make_order()
    if is_cut == "after":
        assert await database.write(Create(order, entry)) == order
    else:
        with pytest.raises(Unavailable, match="nothing was done"):
            await database.write(Create(order, entry))
    assert len(cut) == 1
    assert await value_of(other, ENTRIES) == (is_cut == "after")
    assert await database.write(Create(order, entry)) == order
