"""The rules of the machine: what may happen to orders, and what each happening must answer."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from datetime import timedelta
from math import inf
from typing import Any, TypeVar, cast

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, precondition, rule

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
from orderway.core.order import Stage
from orderway.core.payment import GATEWAY, LegState
from orderway.errors import BadNotification, IllegalTransition, InsufficientBalance, KeyReused, OrderExists
from orderway.ports.business import Cancel, Hold, RetryIn
from orderway.testing.machine.base import Machine, leg_of
from orderway.testing.machine.books import CURRENCY
from orderway.testing.machine.world import CHOSEN_TYPES, DEADLINE, PAY_WITHIN

__all__ = ["JourneyMachine", "rule_names"]

C = TypeVar("C", bound=Callable[..., Any])
_NAMES: list[str] = []

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
HOOKS = st.sampled_from(["can_forward", "deliver", "inside", "finished", "ended"])


def counted(method: C) -> C:
    """Count a rule's executions."""
    _NAMES.append(method.__name__)

    @functools.wraps(method)
    def run(self: JourneyMachine, *args: Any, **kwargs: Any) -> Any:
        self.counts[method.__name__] += 1
        return method(self, *args, **kwargs)

    return cast(C, run)


def rule_names() -> list[str]:
    """The names of all rules."""
    return sorted(_NAMES)


class JourneyMachine(Machine):
    """What may happen to orders, over one database."""

    orders: Bundle[str] = Bundle("orders")

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
        leg = leg_of(after, reference)
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
        self._deliver_notifications(worker, 1 + twice)

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
        self._freeze(point, order_id, worker)

    @rule(
        target=orders,
        order_type=TYPES,
        uid=UIDS,
        price=PRICES,
        pay=st.sampled_from(["wallet", "scripted"]),
        point=POINTS,
    )
    @counted
    def worker_freezes_over_a_new_order(self, order_type: int, uid: str, price: int, pay: str, point: str) -> str:
        order_id = self._create(0, order_type, uid, at_once=False, amount=Money(price, CURRENCY), pay=pay)
        self._freeze(point, order_id)
        return order_id

    @rule(target=orders, order_type=TYPES, uid=UIDS, price=PRICES, cancelled=st.booleans(), topped_up=st.booleans())
    @counted
    def worker_is_overtaken_before_it_charges(
        self, order_type: int, uid: str, price: int, cancelled: bool, topped_up: bool
    ) -> str:
        """It wakes up when another one has brought the order to its end, and the money is there by now."""
        order_id = self._create(0, order_type, uid, at_once=False, amount=Money(price, CURRENCY), pay="wallet")
        self._freeze("before charge", order_id)
        self._bury()
        verdict = self._world.verdicts.get(order_type)
        if cancelled:
            self._world.verdicts[order_type] = Cancel("changed its mind")
        self.sweep(0)
        self._world.verdicts[order_type] = verdict
        if topped_up:
            self.top_up(uid, 2000, 0)
        self._thaw()
        return order_id

    @rule(target=orders, order_type=TYPES, uid=UIDS)
    @counted
    def worker_is_overtaken_while_it_delivers(self, order_type: int, uid: str) -> str:
        """Two have the order in hand, and only the one that holds it gets anything written."""
        order_id = self._create(0, order_type, uid, at_once=False)
        overtaken = self._freeze("deliver", order_id)
        self._bury()
        holder = self._freeze("deliver", order_id)
        before = self._row(order_id)
        if overtaken.frozen and holder.frozen and overtaken is not holder:
            overtaken.thaw()
            after = self._row(order_id)
            assert after == before, f"a worker that no longer holds {before} made it {after}"
        self._thaw()
        return order_id

    @precondition(lambda self: self.world is not None and len(self.world.awake) < len(self.world.workers))
    @rule()
    @counted
    def frozen_workers_thaw(self) -> None:
        self._thaw()

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
