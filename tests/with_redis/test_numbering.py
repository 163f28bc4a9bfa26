"""Ids by sequence: what happens when the sequence begins again, or does not answer."""

from __future__ import annotations

from typing import Any

import pytest

from orderway import App, Business, ConfigError, Money, OrderExists, Unavailable
from orderway.adapters import memory_ports
from orderway.memory import MemoryDatabase
from orderway.testing.clock import VirtualClock

PRICE = Money(500, "CNY")
BY_SEQUENCE, BY_TIME = 20, 22


class Shop(Business[dict[str, Any]]):
    order_type = 1

    async def deliver(self, order: Any, delivery: Any) -> None:
        delivery.execute("INSERT INTO goods VALUES (:id)", {"id": order.id}, expect=1)


class BreakableSequence:
    """Counts from where it is told; does not answer when told."""

    def __init__(self) -> None:
        self.last = 0
        self.is_gone = False
        self.asked = 0

    async def next(self, name: str) -> int:
        self.asked += 1
        if self.is_gone:
            raise Unavailable("the sequence is gone")
        self.last += 1
        return self.last


@pytest.fixture
def sequence() -> BreakableSequence:
    return BreakableSequence()


@pytest.fixture
def app(sequence: BreakableSequence) -> App:
    database = MemoryDatabase()
    database.goods.execute("CREATE TABLE goods (id TEXT)")
    ports = memory_ports(database)
    object.__setattr__(ports, "sequence", sequence)
    app = App(ports, clock=VirtualClock(), ids="sequence")
    app.register(Shop())
    return app


async def test_orders_get_ids_by_sequence(app: App, sequence: BreakableSequence) -> None:
    async with app:
        ids = [(await app.create(1, "alice", amount=PRICE, pay="gateway")).id for _ in range(3)]
    assert [len(order_id) for order_id in ids] == [BY_SEQUENCE] * 3
    assert ids == sorted(ids)
    assert sequence.last == 3


async def test_an_id_that_the_caller_brings_is_not_drawn(app: App, sequence: BreakableSequence) -> None:
    async with app:
        order_id = app.new_order_id(1, "alice")
        assert (await app.create(1, "alice", amount=PRICE, pay="gateway", order_id=order_id)).id == order_id
        await app.create(1, "alice", amount=PRICE, pay="gateway", own_number="A-1")
    assert sequence.asked == 0


@pytest.mark.parametrize("amount", [PRICE, Money(501, "CNY")], ids=["same-content", "other-content"])
async def test_a_taken_id_is_drawn_again(app: App, sequence: BreakableSequence, amount: Money) -> None:
    """An order of the same content, too, is another order: a user may buy the same thing twice."""
    async with app:
        first = await app.create(1, "alice", amount=PRICE, pay="gateway")
        sequence.last = 0  # as FLUSHALL would
        second = await app.create(1, "alice", amount=amount, pay="gateway")
        assert second.id != first.id
        assert sequence.last == 2
        assert (await app.get(first.id)).amount_minor == PRICE.amount_minor
        assert (await app.get(second.id)).amount_minor == amount.amount_minor


async def test_a_free_order_can_be_forwarded_under_its_second_id(app: App, sequence: BreakableSequence) -> None:
    async with app:
        first = await app.forward(await app.create(1, "alice"))
        sequence.last = 0
        second = await app.forward(await app.create(1, "alice"))
        assert first.is_final
        assert second.is_final
        assert {first.id, second.id} == {order.id for order in (await app.list(uid="alice")).orders}


async def test_after_a_few_draws_the_order_gets_an_id_by_time(app: App, sequence: BreakableSequence) -> None:
    async with app:
        for _ in range(10):
            await app.create(1, "alice", amount=PRICE, pay="gateway")
        sequence.last = 0
        order = await app.create(1, "alice", amount=PRICE, pay="gateway")
    assert len(order.id) == BY_TIME
    assert sequence.last == 8


async def test_orders_go_on_without_the_sequence_with_one_warning(
    app: App, sequence: BreakableSequence, caplog: pytest.LogCaptureFixture
) -> None:
    async with app:
        sequence.is_gone = True
        orders = [await app.create(1, "alice", amount=PRICE, pay="gateway") for _ in range(10)]
        assert {len(order.id) for order in orders} == {BY_TIME}
        assert sequence.asked == 1
        with pytest.raises(Unavailable, match="the sequence is gone"):
            await app.next_order_id(1, "alice")
        sequence.is_gone = False
        assert isinstance(app.clock, VirtualClock)
        await app.clock.advance(5)
        assert len((await app.create(1, "alice", amount=PRICE, pay="gateway")).id) == BY_SEQUENCE
    assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 1


async def test_the_caller_hears_of_an_own_id_that_is_taken(app: App) -> None:
    async with app:
        order_id = await app.next_order_id(1, "alice")
        await app.create(1, "alice", amount=PRICE, pay="gateway", order_id=order_id)
        with pytest.raises(OrderExists):
            await app.create(1, "alice", amount=Money(501, "CNY"), pay="gateway", order_id=order_id)


def test_there_is_no_third_way() -> None:
    with pytest.raises(ConfigError, match='ids is \'random\': "time" and "sequence" are allowed'):
        App(ids="random")  # type: ignore[arg-type]  # what is not allowed
