"""A commit whose answer is lost is looked up, and neither repeated nor guessed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from cutting_proxy import CuttingProxy, cutting_proxy
from postgresql_links import Connection

from orderway.adapters import Ports, open_ports
from orderway.errors import Unavailable
from orderway.ports.store import Change, Statement
from orderway.testing.conformance.builders import NOW_US, make_change, make_order, make_posting, paid


@pytest.fixture
async def proxy(postgresql_url: str) -> AsyncIterator[CuttingProxy]:
    parts = urlsplit(postgresql_url)
    assert parts.hostname is not None
    assert parts.port is not None
    async with cutting_proxy(parts.hostname, parts.port) as proxy:
        yield proxy


@pytest.fixture
async def ports(proxy: CuttingProxy, postgresql_url: str) -> AsyncIterator[Ports]:
    """Over the proxy; the statements that the tests use are prepared, so that each is one request."""
    ports = await open_ports(postgresql_url.replace(f":{urlsplit(postgresql_url).port}/", f":{proxy.port}/"))
    await ports.store.record(await _to_be_paid(ports))
    yield ports
    await ports.close()


async def _to_be_paid(ports: Ports, *statements: Statement) -> Change:
    order, entry = make_order()
    await ports.store.create(order, entry)
    return make_change(order, paid(order), statements=statements)


async def test_a_create_whose_answer_is_lost_has_happened_once(
    ports: Ports, proxy: CuttingProxy, other: Connection
) -> None:
    order, entry = make_order()
    proxy.cut_answer = order.id.encode()
    assert await ports.store.create(order, entry) == order
    assert proxy.cuts == 1
    assert await other.fetchval("SELECT count(*) FROM ow_journal_0 WHERE order_id = $1", order.id) == 1


async def test_a_create_whose_request_is_lost_has_not_happened(
    ports: Ports, proxy: CuttingProxy, other: Connection
) -> None:
    order, entry = make_order()
    proxy.cut_request = order.id.encode()
    with pytest.raises(Unavailable, match="nothing was done"):
        await ports.store.create(order, entry)
    assert proxy.cuts == 1
    assert await other.fetchval("SELECT count(*) FROM ow_orders_0 WHERE id = $1", order.id) == 0
    assert await ports.store.create(order, entry) == order


async def test_a_change_whose_answer_is_lost_has_happened_once(ports: Ports, proxy: CuttingProxy) -> None:
    change = await _to_be_paid(ports)
    proxy.cut_answer = change.order.id.encode()
    await ports.store.record(change)
    assert proxy.cuts == 1
    assert await ports.store.get(change.order.id) == change.order


@pytest.mark.parametrize("is_committed", [True, False])
async def test_goods_and_their_fact_share_the_fate_of_a_lost_commit(
    ports: Ports, proxy: CuttingProxy, other: Connection, is_committed: bool
) -> None:
    await other.execute("CREATE TABLE goods (id int PRIMARY KEY)")
    change = await _to_be_paid(ports, Statement("INSERT INTO goods VALUES (:id)", {"id": 1}, 1))
    if is_committed:
        proxy.cut_answer = b"COMMIT"
        await ports.store.record(change)
    else:
        proxy.cut_request = b"COMMIT"
        with pytest.raises(Unavailable, match="nothing was done"):
            await ports.store.record(change)
    assert proxy.cuts == 1
    assert await other.fetchval("SELECT count(*) FROM goods") == is_committed
    assert (await ports.store.get(change.order.id)).version == 1 + is_committed


@pytest.mark.parametrize("is_committed", [True, False])
async def test_a_transaction_of_the_users_own_whose_commit_is_lost(
    ports: Ports, proxy: CuttingProxy, other: Connection, is_committed: bool
) -> None:
    await other.execute("CREATE TABLE goods (id int PRIMARY KEY)")
    change = await _to_be_paid(ports)
    async with ports.store.transaction(change.order.id, 30) as transaction:
        await transaction.execute("INSERT INTO goods VALUES (:id)", {"id": 1})
        if is_committed:
            proxy.cut_answer = b"COMMIT"
            await transaction.commit_with(change)
        else:
            proxy.cut_request = b"COMMIT"
            with pytest.raises(Unavailable, match="nothing was done"):
                await transaction.commit_with(change)
    assert proxy.cuts == 1
    assert await other.fetchval("SELECT count(*) FROM goods") == is_committed
    assert (await ports.store.get(change.order.id)).version == 1 + is_committed


async def test_a_connection_lost_before_the_commit_leaves_nothing(
    ports: Ports, proxy: CuttingProxy, other: Connection
) -> None:
    await other.execute("CREATE TABLE goods (id int PRIMARY KEY)")
    change = await _to_be_paid(ports, Statement("INSERT INTO goods VALUES (:id)", {"id": 1}, 1))
    proxy.cut_answer = b"INSERT INTO goods"
    with pytest.raises(Unavailable, match="nothing was done"):
        await ports.store.record(change)
    assert proxy.cuts == 1
    assert await other.fetchval("SELECT count(*) FROM goods") == 0
    await ports.store.record(change)
    assert await other.fetchval("SELECT count(*) FROM goods") == 1


async def test_all_writes_of_a_batch_share_the_fate_of_its_commit(
    ports: Ports, proxy: CuttingProxy, other: Connection
) -> None:
    await ports.ledger.post(make_posting("ann", 500), NOW_US)
    made = [make_order() for _ in range(5)]
    creates = [ports.store.create(*each) for each in made]
    proxy.cut_answer = b"COMMIT"
    *created, posted = await asyncio.gather(*creates, ports.ledger.post(make_posting("ann", 7), NOW_US))
    assert proxy.cuts == 1
    assert [order.id for order in created] == [order.id for order, _ in made]
    assert posted is True
    assert await ports.ledger.balance("ann", "USD") == 507
    assert await other.fetchval("SELECT count(*) FROM ow_orders_0") == 6
