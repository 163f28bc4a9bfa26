"""The rules of the machine: what may happen to orders, and what each happening must answer."""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from math import inf
from typing import Any, ClassVar, TypeVar, cast

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from orderway.app import App
from orderway.channels.scripted import (
    DOUBLED,
    LOST,
    NeverPays,
    Notice,
    PaysAtOnce,
    PaysLater,
    PaysTwice,
    PaysWrongAmount,
    Refuses,
    TimesOutAfter,
    TimesOutBefore,
    Unreachable,
)
from orderway.core.money import Money
from orderway.core.order import Order, Stage
from orderway.core.payment import GATEWAY, Leg, LegState
from orderway.errors import BadNotification, IllegalTransition, InsufficientBalance, KeyReused, OrderExists
from orderway.ports.business import Cancel, Hold, RetryIn
from orderway.testing.machine.books import CURRENCY, Books
from orderway.testing.machine.grounds import Grounds, MemoryGrounds
from orderway.testing.machine.world import CHOSEN_TYPES, DEADLINE, PAY_WITHIN, World

__all__ = ["JourneyMachine", "rule_names"]

C = TypeVar("C", bound=Callable[..., Any])

TYPES = st.sampled_from(CHOSEN_TYPES)
UIDS = st.sampled_from(["ann", "bob", "eve"])
PRICES = st.sampled_from([1, 250, 990])
SMALL = st.integers(0, 5)
POINTS = st.sampled_from(["before charge", "after charge", "deliver", "after goods"])
BEHAVIOURS = st.sampled_from(
    [
        PaysAtOnce(),
        PaysAtOnce(DOUBLED),
        PaysLater(timedelta(seconds=5)),
        PaysLater(timedelta(seconds=40), DOUBLED),
        PaysLater(timedelta(seconds=20), LOST),
        PaysLater(timedelta(seconds=2), (Notice(forged="signature"), Notice(timedelta(seconds=3), forged="amount"))),
        PaysLater(timedelta(seconds=9), (Notice(timedelta(minutes=15)),)),
        PaysTwice(timedelta(seconds=3), timedelta(seconds=30)),
        PaysWrongAmount(off_by=1),
        NeverPays(),
        TimesOutAfter(),
        (TimesOutBefore(), PaysLater(timedelta(seconds=1))),
        (Unreachable(), TimesOutBefore(), PaysAtOnce()),
        Refuses(),
    ]
)
VERDICTS = st.sampled_from([None, None, Cancel("sold out"), Hold("ask me"), RetryIn(timedelta(seconds=7), "wait")])
MENDED_AT = 12
"""In which turn of the settling hooks and verdicts are mended, so that both a deadline and a recovery are seen."""
MOST_TURNS = 200
HOOKS = st.sampled_from(["can_forward", "deliver", "inside", "finished", "ended"])


def counted(method: C) -> C:
    """Count a rule's executions."""

    @functools.wraps(method)
    def run(self: JourneyMachine, *args: Any, **kwargs: Any) -> Any:
        self.counts[method.__name__] += 1
        return method(self, *args, **kwargs)

    return cast(C, run)


def rule_names() -> list[str]:
    """The names of all rules."""
    rules = cast(Any, JourneyMachine).rules  # a function of the class to hypothesis, a list to its type hints
    return sorted({each.function.__name__ for each in rules()})


class JourneyMachine(RuleBasedStateMachine):
    """The rules over one database. A subclass says in ``open_grounds`` where, and has ``counts`` of its own."""

    open_grounds: ClassVar[Callable[[], Grounds]] = MemoryGrounds
    counts: ClassVar[Counter[str]] = Counter()

    orders: Bundle[str] = Bundle("orders")

    def __init__(self) -> None:
        super().__init__()
        self.world: World | None = None

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        self.world = World(type(self).open_grounds(), seed)
        self.books = Books(self.world)
        self.numbers = 0
        self.world.join()
        self.world.join()

    # ---- creating -------------------------------------------------------------------------------------------------

    @rule(target=orders, order_type=TYPES, uid=UIDS, worker=SMALL, at_once=st.booleans())
    @counted
    def create_with_nothing_to_pay(self, order_type: int, uid: str, worker: int, at_once: bool) -> str:
        return self._create(worker, order_type, uid, at_once=at_once)

    @rule(target=orders, order_type=TYPES, uid=UIDS, price=PRICES, worker=SMALL, at_once=st.booleans())
    @counted
    def create_prepaid(self, order_type: int, uid: str, price: int, worker: int, at_once: bool) -> str:
        return self._create(worker, order_type, uid, at_once=at_once, amount=Money(price, CURRENCY), pay="wallet")

    @rule(target=orders, order_type=TYPES, uid=UIDS, price=PRICES, worker=SMALL)
    @counted
    def create_for_the_gateway(self, order_type: int, uid: str, price: int, worker: int) -> str:
        return self._create(worker, order_type, uid, at_once=False, amount=Money(price, CURRENCY), pay=GATEWAY)

    @rule(
        target=orders, order_type=TYPES, uid=UIDS, price=PRICES, behaves=BEHAVIOURS, worker=SMALL, at_once=st.booleans()
    )
    @counted
    def create_for_the_channel(
        self, order_type: int, uid: str, price: int, behaves: Any, worker: int, at_once: bool
    ) -> str:
        app = self._world.worker(worker).app
        order_id = app.new_order_id(order_type, uid)
        self._world.behaviours[order_id] = behaves
        amount = Money(price, CURRENCY)
        return self._create(worker, order_type, uid, at_once=at_once, amount=amount, pay="scripted", order_id=order_id)

    @rule(target=orders, order_type=TYPES, uid=UIDS, price=PRICES, first=SMALL, second=SMALL, other=st.booleans())
    @counted
    def create_twice(self, order_type: int, uid: str, price: int, first: int, second: int, other: bool) -> str:
        """With the same own number: the same order, or a refusal where the content is another one."""
        number = self._number()
        amount = Money(price, CURRENCY)
        order_id = self._create(first, order_type, uid, at_once=False, amount=amount, pay="wallet", own_number=number)
        again = self._world.worker(second).app.create(
            order_type, uid, data={"for": uid}, amount=Money(price + other, CURRENCY), pay="wallet", own_number=number
        )
        if other:
            self._refused(OrderExists, again)
        else:
            assert self._world.run(again).id == order_id
        return order_id

    # ---- moving ---------------------------------------------------------------------------------------------------

    @rule(order_id=orders, worker=SMALL)
    @counted
    def forward(self, order_id: str, worker: int) -> None:
        before = self._row(order_id)
        goes_through = self._goes_through(before)
        after = self._world.run(self._world.worker(worker).app.forward(order_id))
        assert after.version >= before.version
        if goes_through:
            assert after.stage is Stage.FINISHED, f"nothing was in the way of {after}"

    @rule(order_id=orders, worker=SMALL)
    @counted
    def hint(self, order_id: str, worker: int) -> None:
        before = self._row(order_id)
        assert self._world.run(self._world.worker(worker).app.hint(order_id)) is not before.is_final

    @rule(worker=SMALL)
    @counted
    def sweep(self, worker: int) -> None:
        swept = self._world.worker(worker)
        self._world.run(swept.app.sweep())
        now_us = self._world.clock.now_us()
        for row in self._list(swept.app):
            overdue = row.due_at_us is not None and row.due_at_us <= now_us
            assert not overdue or row.holder is not None, f"{row.id} was due and free, and was not carried"

    @rule(order_id=orders, worker=SMALL)
    @counted
    def resume(self, order_id: str, worker: int) -> None:
        before = self._row(order_id)
        resumed = self._world.worker(worker).app.resume(order_id, actor="ops", reason="mended")
        if before.stage in {Stage.STUCK, Stage.FAILING}:
            assert self._world.run(resumed).stage is before.resume_stage
        else:
            self._refused(IllegalTransition, resumed)

    # ---- wallets --------------------------------------------------------------------------------------------------

    @rule(uid=UIDS, amount=st.sampled_from([1, 300, 2000]), worker=SMALL)
    @counted
    def top_up(self, uid: str, amount: int, worker: int) -> None:
        key = self._number()
        app = self._world.worker(worker).app
        assert self._world.run(app.wallet.top_up(uid, Money(amount, CURRENCY), key=key))
        self.books.wallets[uid] += amount
        self.books.keys[uid, key] = amount

    @precondition(lambda self: self.books.keys)
    @rule(choice=st.integers(0, 99), other=st.booleans(), worker=SMALL)
    @counted
    def move_again_under_the_same_key(self, choice: int, other: bool, worker: int) -> None:
        (uid, key), moved = list(self.books.keys.items())[choice % len(self.books.keys)]
        wallet = self._world.worker(worker).app.wallet
        again = (wallet.top_up if moved > 0 else wallet.debit)(uid, Money(abs(moved) + other, CURRENCY), key=key)
        if other:
            self._refused(KeyReused, again)
        else:
            assert self._world.run(again) is False

    @rule(uid=UIDS, amount=st.sampled_from([1, 200]), worker=SMALL)
    @counted
    def debit(self, uid: str, amount: int, worker: int) -> None:
        app, key = self._world.worker(worker).app, self._number()
        balance = self._world.run(app.wallet.balance(uid, CURRENCY))
        debit = app.wallet.debit(uid, Money(amount, CURRENCY), key=key)
        if balance.amount_minor < amount:
            self._refused(InsufficientBalance, debit)
        else:
            assert self._world.run(debit)
            self.books.wallets[uid] -= amount
            self.books.keys[uid, key] = -amount

    # ---- payments from outside ------------------------------------------------------------------------------------

    @rule(order_id=orders, worker=SMALL, off_by=st.sampled_from([0, 0, 0, 1]))
    @counted
    def record_payment(self, order_id: str, worker: int, off_by: int) -> None:
        """The right amount or a wrong one, for whatever order: it is kept, as paid or as unexpected."""
        before = self._row(order_id)
        amount, reference = max(before.amount_minor + off_by, 1), self._number()
        after = self._pay(order_id, amount, reference, worker)
        leg = _leg_of(after, reference)
        asked = next((each for each in before.legs if each.channel == GATEWAY and each.is_open), None)
        awaited = Stage.CREATED in {before.stage, before.resume_stage}
        right = asked is not None and asked.amount_minor == amount
        assert leg.state is (LegState.PAID if awaited and right else LegState.UNEXPECTED)
        if before.stage is Stage.CREATED and not right:
            assert after.stage in {Stage.FAILING, Stage.STUCK}
            assert after.why == "unexpected_payment"

    @precondition(lambda self: self.books.told)
    @rule(choice=st.integers(0, 99), worker=SMALL)
    @counted
    def record_payment_again(self, choice: int, worker: int) -> None:
        """The same payment told again changes nothing that is kept."""
        order_id = list(self.books.told)[choice % len(self.books.told)]
        reference, amount = next(iter(self.books.told[order_id].items()))
        before = self._row(order_id)
        after = self._pay(order_id, amount, reference, worker)
        assert sum(leg.captured_minor for leg in after.legs) == sum(leg.captured_minor for leg in before.legs)

    @rule(worker=SMALL, twice=st.booleans())
    @counted
    def deliver_notifications(self, worker: int, twice: bool) -> None:
        app = self._world.worker(worker).app
        for body, headers in self._world.channel.pop_notifications() * (1 + twice):
            said = json.loads(body)
            told = app.notify("scripted", body, headers)
            if _is_genuine(self._world, said["order_id"]):
                after = self._world.run(told)
                assert _leg_of(after, said["reference"]).captured_minor == said["amount_minor"]
            else:
                self._refused(BadNotification, told)

    @rule(order_id=orders, worker=SMALL)
    @counted
    def forge_a_notification(self, order_id: str, worker: int) -> None:
        before = self._row(order_id)
        says = {"order_id": order_id, "key": "k", "amount_minor": 1, "currency": CURRENCY, "reference": "forged"}
        app = self._world.worker(worker).app
        self._refused(BadNotification, app.notify("scripted", json.dumps(says).encode(), {"Scripted-Signature": "0"}))
        assert self._row(order_id) == before

    # ---- trouble --------------------------------------------------------------------------------------------------

    @rule(order_type=TYPES, hook=HOOKS, times=st.sampled_from([1, 2, inf]))
    @counted
    def hook_begins_to_fail(self, order_type: int, hook: str, times: float) -> None:
        self._world.failing[order_type, hook] = times

    @rule()
    @counted
    def hooks_are_mended(self) -> None:
        self._world.failing.clear()

    @rule(order_type=TYPES, verdict=VERDICTS)
    @counted
    def business_changes_its_verdict(self, order_type: int, verdict: Any) -> None:
        self._world.verdicts[order_type] = verdict

    @rule(order_id=orders, worker=SMALL, turns=st.integers(0, 60))
    @counted
    def worker_dies_while_forwarding(self, order_id: str, worker: int, turns: int) -> None:
        dying = self._world.worker(worker)
        dying.begin(dying.app.forward(order_id), turns)
        dying.die()
        if not self._world.awake:
            self._world.join()

    @rule(order_id=orders, worker=SMALL, point=POINTS)
    @counted
    def worker_freezes(self, order_id: str, worker: int, point: str) -> None:
        freezing = self._world.worker(worker)
        freezing.freeze(point, freezing.app.forward(order_id))
        if not self._world.awake:
            self._world.join()

    @precondition(lambda self: self.world is not None and len(self.world.awake) < len(self.world.workers))
    @rule()
    @counted
    def frozen_workers_thaw(self) -> None:
        for worker in self._world.workers:
            worker.thaw()

    @precondition(lambda self: self.world is not None and len(self.world.workers) < 4)
    @rule()
    @counted
    def worker_joins(self) -> None:
        self._world.join()

    @rule(worker=SMALL)
    @counted
    def beat(self, worker: int) -> None:
        self._world.run(self._world.worker(worker).app.membership.beat())

    @rule()
    @counted
    def the_dead_are_buried(self) -> None:
        """All who are awake beat, over longer than a dead one has."""
        self._bury()

    @rule(seconds=st.sampled_from([0.1, 1.1, 3.1, 12, 31, DEADLINE.total_seconds(), PAY_WITHIN.total_seconds() + 1]))
    @counted
    def time_passes(self, seconds: float) -> None:
        self._world.run(self._world.clock.advance(seconds))

    # ---- looking --------------------------------------------------------------------------------------------------

    @rule(uid=st.none() | UIDS, limit=st.integers(1, 7), descending=st.booleans(), worker=SMALL)
    @counted
    def turn_pages(self, uid: str | None, limit: int, descending: bool, worker: int) -> None:
        app, found = self._world.worker(worker).app, []
        after: str | None = None
        while True:
            page = self._world.run(app.list(uid=uid, limit=limit, descending=descending, after=after))
            found += [order.id for order in page.orders]
            after = page.next
            if after is None:
                break
        expected = [order_id for order_id, row in self.books.rows.items() if uid in {None, row.uid}]
        assert found == sorted(expected, reverse=descending)

    @rule(order_id=orders, worker=SMALL)
    @counted
    def explain(self, order_id: str, worker: int) -> None:
        explained = self._world.run(self._world.worker(worker).app.explain(order_id))
        assert explained.order.version == self._row(order_id).version
        assert (explained.at is None) is explained.order.is_final

    # ---- what always holds ----------------------------------------------------------------------------------------

    @invariant()
    def books_balance(self) -> None:
        if self.world is not None:
            self.world.run(self.books.check())

    def teardown(self) -> None:
        """Everything comes to its end, whatever happened before."""
        if self.world is None:
            return
        try:
            self._settle()
            self.books.check_settled()
        finally:
            self.world.close()

    # ---- inside ---------------------------------------------------------------------------------------------------

    @property
    def _world(self) -> World:
        assert self.world is not None
        return self.world

    def _number(self) -> str:
        self.numbers += 1
        return f"n{self.numbers}"

    def _create(self, worker: int, order_type: int, uid: str, *, at_once: bool, **asked: Any) -> str:
        app = self._world.worker(worker).app
        order = self._world.run(app.create(order_type, uid, data={"for": uid}, **asked))
        assert order.stage is (Stage.CREATED if "amount" in asked else Stage.PAID)
        self.books.created.add(order.id)
        if at_once:
            self._world.run(app.forward(order))
        return order.id

    def _pay(self, order_id: str, amount: int, reference: str, worker: int) -> Order[Any]:
        app = self._world.worker(worker).app
        after = self._world.run(app.record_payment(order_id, Money(amount, CURRENCY), reference=reference))
        self.books.told[order_id][reference] = amount
        return after

    def _row(self, order_id: str) -> Order[Any]:
        return self._world.run(self._world.observer.store.get(order_id))

    def _list(self, app: App) -> Sequence[Order[Any]]:
        return self._world.run(app.list(limit=1000)).orders

    def _refused(self, error: type[Exception], call: Coroutine[Any, Any, Any]) -> None:
        try:
            answer = self._world.run(call)
        except error:
            return
        raise AssertionError(f"{error.__name__} was expected, not {answer!r}")

    def _goes_through(self, row: Order[Any]) -> bool:
        """True if nothing is in the way: forwarded now, the order must come to its end at once."""
        world = self._world
        troubled = world.verdicts.get(row.type) or any(
            left > 0 for (order_type, _), left in world.failing.items() if order_type == row.type
        )
        if troubled or row.holder is not None:
            return False
        if row.stage is Stage.CREATED and row.legs[0].channel == "wallet":
            balance = world.run(world.observer.ledger.balance(row.uid, CURRENCY))
            return balance >= row.amount_minor and row.deadline_at_us > world.clock.now_us()
        return row.stage is Stage.PAID

    def _bury(self) -> None:
        world = self._world
        for worker in world.awake:
            world.run(worker.app.membership.beat())
        world.run(world.clock.advance(3.1))
        for worker in world.awake:
            world.run(worker.app.membership.beat())
        left = set(world.run(world.observer.workers.counters()))
        assert left == {worker.app.membership.incarnation for worker in world.awake}

    def _settle(self) -> None:
        world = self._world
        for worker in world.workers:
            worker.thaw()
        for turn in range(MOST_TURNS):
            self._bury()
            self.deliver_notifications.__wrapped__(self, turn, False)  # type: ignore[attr-defined]
            for worker in world.awake:
                world.run(worker.app.sweep())
            world.run(self.books.check())
            due = [row.due_at_us for row in self.books.rows.values() if row.due_at_us is not None]
            if turn == MENDED_AT:
                world.failing.clear()
                world.verdicts.clear()
            if due:
                world.run(world.clock.advance(max(min(due) - world.clock.now_us(), 0) / 1e6))
            elif turn > MENDED_AT:
                return
            else:
                world.run(world.clock.advance(PAY_WITHIN.total_seconds()))  # notifications may still be on their way
        raise AssertionError(f"not settled after {MOST_TURNS} turns: {self.books.rows}")


def _leg_of(order: Order[Any], reference: str) -> Leg:
    return next(leg for leg in order.legs if leg.reference == reference and leg.captured_minor)


def _is_genuine(world: World, order_id: str) -> bool:
    behaves = world.behaviours.get(order_id)
    return not (isinstance(behaves, PaysLater) and any(notice.forged for notice in behaves.notices))
