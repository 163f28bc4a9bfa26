"""One operation that is refused fails alone; the others of its transaction succeed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from sqlite_file import Faults, Open, Opened

from orderway.errors import (
    DeliveryFailed,
    HoldLost,
    InsufficientBalance,
    InvalidValue,
    KeyReused,
    OrderExists,
    OrderNotFound,
    StaleOrder,
)
from orderway.ports.store import Statement
from orderway.sql.operations import Operation, Park
from orderway.testing.conformance.builders import (
    NOW_US,
    finish,
    make_change,
    make_id,
    make_order,
    make_parked,
    make_posting,
    paid,
)

T = TypeVar("T")


async def refused(opened: Opened, case: str) -> Awaitable[Any]:
    """An operation that will be refused, and what it needs to be so."""
    if case == "hold: no such order":
        return opened.store.hold(make_id("u"), 7, NOW_US)
    if case.startswith("create"):
        return await refused_creation(opened, case)
    if case.startswith("record"):
        return await refused_change(opened, case)
    if case == "post: key reused":
        await opened.ledger.post(make_posting("u", 5, key="k"), NOW_US)
        return opened.ledger.post(make_posting("u", 6, key="k"), NOW_US)
    if case == "post: not Unicode":
        return opened.ledger.post(make_posting("u", 5, memo="\ud800"), NOW_US)
    if case == "park: not Unicode":
        return opened.parking.park(make_parked("R-1", cause="\ud800"))
    if case == "park: past every check":
        return written(opened, Park(make_parked("R" * 129)))
    assert case == "post: no money"
    return opened.ledger.post(make_posting("u", -1), NOW_US)


async def written(opened: Opened, operation: Operation[T]) -> T:
    return await opened.database.write(operation)


async def refused_creation(opened: Opened, case: str) -> Awaitable[Any]:
    order, entry = make_order("u" * 129 if case == "create: a uid too long" else "u")
    if case == "create: not Unicode":
        order.remark = "\ud800"
    elif case == "create: beyond 64 bits":
        order.due_at_us = 2**63
    elif case == "create: another content":
        await opened.store.create(*make_order("u", order_id=order.id, remark="other"))
    return opened.store.create(order, entry)


async def refused_change(opened: Opened, case: str) -> Awaitable[Any]:
    stored = await opened.store.create(*make_order(amount_minor=0, holder=7))
    statements = {
        "record: statement without a row": [Statement("UPDATE goods SET n = 1 WHERE id = 9", {}, 1)],
        "record: statement that ends the transaction": [Statement("/* x */ commit", {}, None)],
    }
    change = finish(stored, statements=statements.get(case, []), guard=8 if case == "record: held by another" else 7)
    if case == "record: stale":
        await opened.store.record(finish(stored))
    elif case == "record: no such order":
        change = finish(make_order(amount_minor=0)[0])
    elif case == "record: more refunding than is left":
        stored = await opened.store.create(*make_order(holder=7))
        change = make_change(stored, paid(stored), guard=7)
        change.order.legs = (replace(change.order.legs[0], refunding_minor=501),)
    elif case == "record: not Unicode":
        change.order.why = "\ud800"
    return opened.store.record(change)


CASES = {
    "create: another content": OrderExists,
    "create: a uid too long": InvalidValue,
    "create: not Unicode": InvalidValue,
    "create: beyond 64 bits": InvalidValue,
    "record: stale": StaleOrder,
    "record: held by another": HoldLost,
    "record: no such order": OrderNotFound,
    "record: not Unicode": InvalidValue,
    "record: more refunding than is left": InvalidValue,
    "record: statement without a row": DeliveryFailed,
    "record: statement that ends the transaction": DeliveryFailed,
    "hold: no such order": OrderNotFound,
    "post: no money": InsufficientBalance,
    "post: key reused": KeyReused,
    "post: not Unicode": InvalidValue,
    "park: not Unicode": InvalidValue,
    "park: past every check": InvalidValue,
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("shards", [1, 3])
async def test_refused_operation_fails_alone(open_file: Open, faults: Faults, case: str, shards: int) -> None:
    opened = await open_file(factory=faults.connection, shards=shards)
    store = opened.store
    opened.run("CREATE TABLE goods (id INTEGER PRIMARY KEY, n INTEGER)")
    opened.run("INSERT INTO goods VALUES (1, 0)")
    free = await store.create(*make_order(amount_minor=0))
    stored = await store.create(*make_order(amount_minor=0))
    add = Statement("UPDATE goods SET n = n + 1 WHERE id = :id", {"id": 1}, 1)
    bad = await refused(opened, case)
    new = [make_order(f"user-{number}") for number in range(4)]
    before = faults.commits
    results = await asyncio.gather(
        store.create(*new[0]),
        store.record(finish(stored, statements=[add])),
        opened.ledger.post(make_posting("rich", 5), NOW_US),
        bad,
        opened.parking.park(make_parked("R-9")),
        store.hold(free.id, 9, NOW_US + 5),
        *(store.create(*each) for each in new[1:]),
        return_exceptions=True,
    )
    assert faults.commits - before == 1, "the operations did not share a transaction"
    error = results.pop(3)
    assert type(error) is CASES[case], error
    assert [type(result).__name__ for result in results] == [
        *("Order", "NoneType", "bool", "bool", "Order"),
        *["Order"] * 3,
    ]
    for order, entry in new:
        assert await store.get(order.id) == order
        assert await store.entries(order.id) == [entry]
    assert (await store.get(stored.id)).version == 3
    assert (await store.get(free.id)).holder == 9
    assert await opened.ledger.balance("rich", "USD") == 5
    assert opened.run("SELECT n FROM goods") == [(1,)]
    assert list(await opened.parking.list()) == [make_parked("R-9")]


async def test_two_creations_of_one_order_in_one_transaction(open_file: Open, faults: Faults) -> None:
    opened = await open_file(factory=faults.connection)
    order, entry = make_order("u")
    twin, twin_entry = make_order("u", order_id=order.id)
    before = faults.commits
    got = await asyncio.gather(opened.store.create(order, entry), opened.store.create(twin, twin_entry))
    assert faults.commits - before == 1
    assert got[0] == got[1] == await opened.store.get(order.id)
    assert await opened.store.entries(order.id) == [entry]


async def test_two_records_on_one_version_in_one_transaction(open_file: Open, faults: Faults) -> None:
    opened = await open_file(factory=faults.connection)
    order = await opened.store.create(*make_order(amount_minor=0))
    changes = [finish(order), finish(order)]
    before = faults.commits
    results = await asyncio.gather(*map(opened.store.record, changes), return_exceptions=True)
    assert faults.commits - before == 1
    assert [type(result) for result in results] == [type(None), StaleOrder]
    assert list(await opened.store.entries(order.id))[1:] == list(changes[0].entries)


async def test_postings_of_one_wallet_in_one_transaction_apply_in_order(open_file: Open, faults: Faults) -> None:
    opened = await open_file(factory=faults.connection)
    postings = [make_posting("u", amount, key=f"k{n}") for n, amount in enumerate((10, -7, -7, 4, -7))]
    before = faults.commits
    results = await asyncio.gather(
        *(opened.ledger.post(posting, NOW_US) for posting in postings),
        opened.ledger.post(postings[0], NOW_US),
        return_exceptions=True,
    )
    assert faults.commits - before == 1
    assert isinstance(results.pop(2), InsufficientBalance)
    assert results == [True, True, True, True, False]
    lines, cursor = await opened.ledger.statement("u", "USD")
    assert [(line.key, line.balance_minor) for line in lines] == [("k0", 10), ("k1", 3), ("k3", 7), ("k4", 0)]
    assert cursor is None
