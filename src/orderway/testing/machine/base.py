"""What the rules stand on: the beginning, the steps that they share, what always holds, and the end."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant

from orderway.app import App
from orderway.channels.scripted import PaysLater
from orderway.core.money import Money
from orderway.core.order import Order, Stage
from orderway.core.payment import Leg
from orderway.errors import BadNotification
from orderway.testing.machine.books import CURRENCY, Books
from orderway.testing.machine.grounds import Grounds, MemoryGrounds
from orderway.testing.machine.world import PAY_WITHIN, Worker, World

__all__ = ["Machine", "leg_of"]

MENDED_AT = 12
"""In which turn of the settling hooks and verdicts are mended, so that both a deadline and a recovery are seen."""
MOST_TURNS = 200


class Machine(RuleBasedStateMachine):
    """A machine without rules. A subclass says in ``open_grounds`` where it runs, and has ``counts`` of its own."""

    open_grounds: ClassVar[Callable[[], Grounds]] = MemoryGrounds
    counts: ClassVar[Counter[str]] = Counter()

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

    def _deliver_notifications(self, worker: int, times: int) -> None:
        app = self._world.worker(worker).app
        for body, headers in self._world.channel.pop_notifications() * times:
            said = json.loads(body)
            told = app.notify("scripted", body, headers)
            if _is_genuine(self._world, said["order_id"]):
                after = self._world.run(told)
                assert leg_of(after, said["reference"]).captured_minor == said["amount_minor"]
            else:
                self._refused(BadNotification, told)

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

    def _freeze(self, point: str, order_id: str, number: int = 0) -> Worker:
        """Have a worker forward an order, and stand still at this point if it comes there."""
        worker = self._world.worker(number)
        worker.freeze(point, worker.app.forward(order_id))
        if not self._world.awake:
            self._world.join()
        return worker

    def _thaw(self) -> None:
        for worker in self._world.workers:
            worker.thaw()

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
        self._thaw()
        for turn in range(MOST_TURNS):
            self._bury()
            self._deliver_notifications(turn, times=1)
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


def leg_of(order: Order[Any], reference: str) -> Leg:
    return next(leg for leg in order.legs if leg.reference == reference and leg.captured_minor)


def _is_genuine(world: World, order_id: str) -> bool:
    behaves = world.behaviours.get(order_id)
    return not (isinstance(behaves, PaysLater) and any(notice.forged for notice in behaves.notices))
