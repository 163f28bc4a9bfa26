"""Tests of the tests: each rule that keeps orders safe is broken on purpose, and the explorer must notice."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from orderway import operations, outside, settling
from orderway.adapters import Ports
from orderway.app import App
from orderway.core.changes import PROBLEMS
from orderway.core.facts import Fact, PaymentClosed, RefundRequested, Stuck
from orderway.core.journal import Entry
from orderway.core.money import Money
from orderway.core.order import TRANSITIONS, Order, Stage
from orderway.core.payment import Leg, Refund
from orderway.core.refunds import Share
from orderway.errors import HoldLost
from orderway.memory import MemoryStore, store
from orderway.moves import Move, record
from orderway.odd import payment_facts
from orderway.paying import Paying
from orderway.payments import Payments
from orderway.ports.channel import ClosedThere, Outcome
from orderway.ports.store import Change
from orderway.recorder import Recorder
from orderway.run import Run
from orderway.testing.crash import Fault
from orderway.testing.explorer import Scenario, explore
from orderway.testing.report import Report
from orderway.testing.scenarios import SCENARIOS
from orderway.testing.world import InMemory, Worker

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
pytestmark = pytest.mark.slow


async def explore_broken(scenario: str | Scenario, broken: type[MemoryStore] = MemoryStore, **options: Any) -> set[str]:
    """What the explorer finds wrong, with this store in the place of the right one."""

    class Broken(InMemory):
        def ports(self) -> Ports:
            return replace(super().ports(), store=broken(self._database))

    chosen = BY_NAME[scenario] if isinstance(scenario, str) else scenario
    report: Report = await explore(chosen, database=Broken, **{"second_faults": 0, **options})
    return {violation.problem for violation in report.violations}


def finds(problems: set[str], words: str) -> bool:
    return any(words in problem for problem in problems)


async def test_a_fresh_key_for_each_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    def fresh(order: Order[Any], leg: Leg) -> str:
        return f"{order.id}-{secrets.token_hex(2)}"

    monkeypatch.setattr(Order, "payment_key", fresh)
    assert finds(await explore_broken("pay later"), "was charged 2 times")


async def test_no_due_at(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Recorder.change

    def without_due_at(recorder: Recorder, *arguments: Any, **named: Any) -> Change:
        change = right(recorder, *arguments, **named)
        change.order.due_at_us = None
        return change

    monkeypatch.setattr(Recorder, "change", without_due_at)
    assert finds(await explore_broken("prepaid from the wallet"), "has no due_at: nobody will ever look at it")


async def test_no_due_at_on_creation() -> None:
    class Forgetful(MemoryStore):
        async def create(self, order: Order[Any], entry: Entry) -> Order[Any]:
            return await super().create(replace(order, due_at_us=None), entry)

    # An order that nobody comes back to is waited for to the end of its world: few points are enough to see one.
    problems = await explore_broken("prepaid from the wallet", Forgetful, faults=[Fault.CRASH], most_points=12)
    assert finds(problems, "has no due_at")


async def test_no_version_check() -> None:
    class Unversioned(MemoryStore):
        def _check_current(self, change: Change) -> None:
            row = self._database.shard_of_order(change.order.id).orders[change.order.id]
            if change.guard not in {None, row.holder}:
                raise HoldLost

    assert finds(await explore_broken("own gateway", Unversioned), "is missing: version")


async def test_no_holder_check() -> None:
    class Unguarded(MemoryStore):
        async def record(self, change: Change) -> None:
            await super().record(replace(change, guard=None))

    problems = await explore_broken(
        "prepaid from the wallet", Unguarded, faults=[Fault.FREEZE], second_faults=300
    )  # it shows when one comes back while the one that took over stands still
    assert finds(problems, "who does not hold it")


async def test_success_lowered_by_a_late_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def stuck_for_extra_money(order: Order[Any], *arguments: Any) -> Sequence[Fact]:
        facts = payment_facts(order, *arguments)
        late = facts and order.stage is Stage.FINISHED
        return (*facts, Stuck(why="unexpected_payment")) if late else facts

    monkeypatch.setattr(outside, "payment_facts", stuck_for_extra_money)
    refused = await explore_broken("paid twice")
    assert not finds(refused, "was finished and is"), "the table alone must refuse the late failure"

    monkeypatch.setitem(TRANSITIONS[Stage.FINISHED], Stuck, Stage.FAILING)
    assert finds(await explore_broken("paid twice"), "was finished and is stuck now")


async def test_delivery_outside_its_transaction() -> None:
    class Torn(MemoryStore):
        async def record(self, change: Change) -> None:
            for statement in change.statements:
                self._database.goods.execute(statement.sql, dict(statement.parameters))
            await super().record(replace(change, statements=()))

    assert finds(await explore_broken("prepaid from the wallet", Torn), "its goods were handed over 2 times")


async def test_a_message_believed_instead_of_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    async def believe(app: App, channel: str, body: bytes, headers: Mapping[str, str]) -> Order[Any]:
        said = app.payments.channel(channel).verify(body, headers)
        order = await app.get(said.order_id)
        if order.stage is Stage.CREATED:
            order = replace(order, stage=Stage.PAID, holder=app.membership.incarnation)
            return await app.journey.forward(order)
        return order

    monkeypatch.setattr(App, "notify", believe)
    problems = await explore_broken("pay later")
    assert finds(problems, "was delivered, but 0 of 990 minor units are recorded")
    assert finds(problems, "the journal cannot be replayed")


async def test_a_caller_s_copy_believed_instead_of_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    right = App.forward

    async def forward(app: App, order: Order[Any] | str) -> Order[Any]:
        if isinstance(order, str):
            return await right(app, order)
        return await app.journey.forward(replace(order, holder=app.membership.incarnation, version=order.version))

    async def take_old_copy_on(worker: Worker) -> None:
        price = Money(990, "CNY")
        order = await worker.app.create(1, "ann", amount=price, pay="gateway", own_number="1")
        worker.world.pay_outside(order.id, price, "R1")
        order.stage = Stage.PAID  # as a message or an old page has it
        await worker.app.forward(order)
        await worker.work()

    scenario = replace(BY_NAME["own gateway"], name="old copy", drive=take_old_copy_on)
    assert not await explore_broken(scenario), "the row counts, whatever the copy says"
    monkeypatch.setattr(App, "forward", forward)

    class Unguarded(MemoryStore):  # the holder check would refuse the copy as well
        async def record(self, change: Change) -> None:
            await super().record(replace(change, guard=None))

    assert finds(await explore_broken(scenario, Unguarded), "was delivered, but 0 of 990 minor units are recorded")


async def test_the_unbroken_store_passes_in_the_same_harness() -> None:
    assert await explore_broken("prepaid from the wallet") == set()


# ---- money in every shape


async def test_a_hold_that_is_not_released(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Payments.close

    async def close(payments: Payments, order: Order[Any], legs: Sequence[Leg]) -> Sequence[Outcome]:
        if any(leg.authorized_minor for leg in legs):
            return [ClosedThere() for _ in legs]
        return await right(payments, order, legs)

    monkeypatch.setattr(Payments, "close", close)
    problems = await explore_broken("mixed: the channel refuses", most_points=10)
    assert finds(problems, "wallet holds 400 minor units")


async def test_refunds_without_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    def generous(order: Order[Any], worth_minor: int, _: Any) -> Sequence[Share]:
        return [(order.legs[0], worth_minor, worth_minor)]

    monkeypatch.setattr(operations, "allocate", generous)
    refused = await explore_broken("refunds that ask for too much", most_points=10)
    assert not finds(refused, "gives back more"), "the core alone must refuse it"

    monkeypatch.delitem(PROBLEMS, RefundRequested)
    refused = await explore_broken("refunds that ask for too much", most_points=10)
    assert not finds(refused, "gives back more"), "the store alone must refuse it"

    monkeypatch.setattr(store, "misfit_in_order", lambda order: None)
    problems = await explore_broken("refunds that ask for too much", most_points=10)
    assert finds(problems, "gives back more than it was paid")


async def test_a_refund_sent_before_it_is_reserved(monkeypatch: pytest.MonkeyPatch) -> None:
    right = App.refund

    async def send_first(app: App, order_id: str, amount: Money, *, key: str, **named: Any) -> Order[Any]:
        order = await app.get(order_id)
        if not order.refunds:
            refund = Refund(1, 0, amount.amount_minor, amount.amount_minor, key, "", 0)
            await app.payments.give_back(order, refund)
        return await right(app, order_id, amount, key=key, **named)

    monkeypatch.setattr(App, "refund", send_first)

    async def gives_up(worker: Worker) -> None:  # who asked for it is gone when its process dies
        if len(worker.world.workers) == 1:
            await BY_NAME["refund of a part"].drive(worker)

    scenario = replace(BY_NAME["refund of a part"], name="asked once", drive=gives_up, check=None)
    assert finds(await explore_broken(scenario), "scripted gave back 300 minor units")


async def test_closed_without_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    async def end(_: Paying, run: Run, end: Any) -> Move:
        return record(*[PaymentClosed(leg=leg.number) for leg in run.order.legs if leg.is_open], end)

    monkeypatch.setattr(Paying, "end_unpaid", end)
    problems = await explore_broken("paid in silence, just before it is closed", most_points=10)
    assert finds(problems, "scripted took 990 minor units")


def dropping(stage: Stage) -> Any:
    def facts(order: Order[Any], *arguments: Any) -> Sequence[Fact]:
        return () if order.stage is stage else payment_facts(order, *arguments)

    return facts


async def test_a_late_payment_that_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "payment_facts", dropping(Stage.CLOSED))
    problems = await explore_broken("closed, then paid, given back", most_points=10)
    assert finds(problems, "scripted took 990 minor units")


async def test_a_second_payment_that_is_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "payment_facts", dropping(Stage.FINISHED))
    monkeypatch.setattr(settling, "payment_facts", dropping(Stage.FINISHED))
    problems = await explore_broken("paid twice", most_points=10)
    assert finds(problems, "scripted took 990 minor units")


async def test_goods_taken_back_twice() -> None:
    class Torn(MemoryStore):
        async def record(self, change: Change) -> None:
            for statement in change.statements:
                self._database.goods.execute(statement.sql, dict(statement.parameters))
            await super().record(replace(change, statements=()))

    assert finds(await explore_broken("cancelled after delivery", Torn), "goods were taken back 2 times")
