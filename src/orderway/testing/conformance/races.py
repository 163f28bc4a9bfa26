"""What every store must do: races between two connections, and between two processes, have one winner."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from orderway.errors import OrderExists, StaleOrder
from orderway.ports.store import Query, Statement
from orderway.testing.conformance.backend import PROCESSES, Backend, require
from orderway.testing.conformance.builders import HOUR_US, NOW_US, finish, make_change, make_id, make_order, paid
from orderway.testing.conformance.racing import ProcessRaces, Racers
from orderway.testing.conformance.recording import make_goods

__all__ = ["RaceConformance"]

ROUNDS = 50
PROCESS_ROUNDS = 25
HOLDERS = (11, 22)


@pytest.mark.asyncio
class RaceConformance(ProcessRaces):
    """Two at once: connections in this process, then processes."""

    async def test_two_connections_create_one_id_with_the_same_content(self, backend: Backend) -> None:
        one, other = await backend.connect(), await backend.connect()
        for _ in range(ROUNDS):
            order_id = make_id("u")
            first, second = make_order("u", order_id=order_id), make_order("u", order_id=order_id)
            got = await asyncio.gather(one.store.create(*first), other.store.create(*second))
            assert got[0] == got[1]
            assert [entry.digest for entry in await one.store.entries(order_id)] == [got[0].digest]
        assert len((await one.store.list(Query(limit=1000))).orders) == ROUNDS

    async def test_two_connections_create_one_id_with_different_content(self, backend: Backend) -> None:
        one, other = await backend.connect(), await backend.connect()
        for _ in range(ROUNDS):
            order_id = make_id("u")
            first, second = make_order("u", order_id=order_id, remark="1"), make_order("u", order_id=order_id)
            results = await asyncio.gather(
                one.store.create(*first), other.store.create(*second), return_exceptions=True
            )
            assert sorted(type(result).__name__ for result in results) == ["Order", OrderExists.__name__]
            stored = await one.store.get(order_id)
            assert stored in results
            assert [entry.digest for entry in await other.store.entries(order_id)] == [stored.digest]

    async def test_two_connections_record_on_one_version(self, backend: Backend) -> None:
        await make_goods(backend)
        one, other = await backend.connect(), await backend.connect()
        coin = Statement("UPDATE goods SET coins = coins + 1 WHERE uid = :uid", {"uid": "u"}, 1)
        for _ in range(ROUNDS):
            order = await one.store.create(*make_order(amount_minor=0))
            changes = [finish(order, statements=[coin]) for _ in range(2)]
            results = await asyncio.gather(
                one.store.record(changes[0]), other.store.record(changes[1]), return_exceptions=True
            )
            assert results.count(None) == 1
            assert sum(isinstance(result, StaleOrder) for result in results) == 1
            winner = changes[results.index(None)]
            assert await other.store.get(order.id) == winner.order
            assert list(await one.store.entries(order.id))[1:] == list(winner.entries)
        assert await backend.fetch("SELECT coins FROM goods") == [(100 + ROUNDS,)]

    async def test_two_connections_claim_the_same_due_orders(self, backend: Backend) -> None:
        connections = [await backend.connect(), await backend.connect()]
        for holder in HOLDERS:
            await connections[0].workers.join(holder, "racer")
        for round_ in range(ROUNDS):
            orders = [await connections[0].store.create(*make_order(f"u{n}")) for n in range(3)]
            claims = [
                connection.store.claim([1], holder, NOW_US, NOW_US + HOUR_US + round_, 2)
                for connection, holder in zip(connections, HOLDERS, strict=True)
            ]
            claimed = await asyncio.gather(*claims)
            ids = [order.id for each in claimed for order in each]
            assert len(ids) == len(set(ids))
            assert set(ids) <= {order.id for order in orders}
            for holder, each in zip(HOLDERS, claimed, strict=True):
                assert {(await connections[0].store.get(order.id)).holder for order in each} <= {holder}
            left = await connections[0].store.claim([1], HOLDERS[0], NOW_US, NOW_US + HOUR_US, 10)
            assert {order.id for order in left} == {order.id for order in orders} - set(ids)

    async def test_two_connections_hold_one_order(self, backend: Backend) -> None:
        connections = [await backend.connect(), await backend.connect()]
        for holder in HOLDERS:
            await connections[0].workers.join(holder, "racer")
        for _ in range(ROUNDS):
            order = await connections[0].store.create(*make_order())
            held = await asyncio.gather(
                *(c.store.hold(order.id, holder, NOW_US) for c, holder in zip(connections, HOLDERS, strict=True))
            )
            winner = (await connections[0].store.get(order.id)).holder
            assert [each.holder for each in held] == [winner, winner]
            assert winner in HOLDERS

    async def test_holder_and_thief_race_for_the_last_word(self, backend: Backend) -> None:
        # A holder that was buried records while another claims: if it wins, the other gets a finished order or none.
        one, other = await backend.connect(), await backend.connect()
        await one.workers.join(HOLDERS[1], "thief")
        for _ in range(ROUNDS):
            order = await one.store.create(*make_order(amount_minor=0, holder=HOLDERS[0]))
            recorded, claimed = await asyncio.gather(
                one.store.record(finish(order, guard=HOLDERS[0])),
                other.store.claim([1], HOLDERS[1], NOW_US, NOW_US + HOUR_US, 10),
                return_exceptions=True,
            )
            assert not isinstance(claimed, BaseException)
            stored = await one.store.get(order.id)
            assert stored.is_final is (recorded is None)
            assert [each.id for each in claimed] == ([] if recorded is None else [order.id])

    async def test_two_processes_create_one_id(self, backend: Backend, racers: Racers) -> None:
        require(backend, PROCESSES)
        store = (await backend.connect()).store
        outcomes: Counter[str] = Counter()
        for round_ in range(PROCESS_ROUNDS):
            order_id = make_id("u")
            same = round_ % 2 == 0
            remarks = ["same", "same"] if same else ["first", "second"]
            answers = await racers.race(backend, "create", uid="u", order_id=order_id, remarks=remarks)
            stored = await store.get(order_id)
            assert [entry.digest for entry in await store.entries(order_id)] == [stored.digest]
            if same:
                assert answers == [{"digest": stored.digest}] * 2
            else:
                assert answers.count({"digest": stored.digest}) == 1
                assert answers.count({"error": OrderExists.code}) == 1
            outcomes[stored.remark] += 1
        assert outcomes.total() == PROCESS_ROUNDS

    async def test_two_processes_record_on_one_version(self, backend: Backend, racers: Racers) -> None:
        require(backend, PROCESSES)
        store = (await backend.connect()).store
        for _ in range(PROCESS_ROUNDS):
            order = await store.create(*make_order())
            answers = await racers.race(backend, "record", order_id=order.id)
            stored = await store.get(order.id)
            assert answers.count({"digest": stored.digest}) == 1
            assert answers.count({"error": StaleOrder.code}) == 1
            assert [entry.version for entry in await store.entries(order.id)] == [1, 2]
            with pytest.raises(StaleOrder):  # this process too goes by what the others have written
                await store.record(make_change(order, paid(order)))

    async def test_two_processes_claim_the_same_due_orders(self, backend: Backend, racers: Racers) -> None:
        require(backend, PROCESSES)
        one = await backend.connect()
        for holder in HOLDERS:
            await one.workers.join(holder, "racer")
        for _ in range(PROCESS_ROUNDS):
            orders = [await one.store.create(*make_order(f"u{n}")) for n in range(3)]
            answers = await racers.race(backend, "claim", holders=HOLDERS, due_at_us=NOW_US + HOUR_US, limit=3)
            ids = [order_id for answer in answers for order_id in answer["claimed"]]
            assert sorted(ids) == sorted(order.id for order in orders)
            for holder, answer in zip(HOLDERS, answers, strict=True):
                assert {(await one.store.get(order_id)).holder for order_id in answer["claimed"]} <= {holder}
