"""What the rules stand on: the beginning, the steps that they share, what always holds, and the end."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, Literal, TypeVar, cast

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant

from orderway.channels.scripted import SIGNATURE_HEADER, ScriptedChannel
from orderway.core.money import Money
from orderway.core.order import Order, Stage
from orderway.core.payment import GATEWAY, Leg, RefundState
from orderway.errors import BadNotification, InvalidValue, OrderwayError, Unavailable
from orderway.ports.channel import Returned
from orderway.testing.machine.books import Books
from orderway.testing.machine.grounds import Grounds, MemoryGrounds
from orderway.testing.machine.shops import PAY_WITHIN, TYPES
from orderway.testing.machine.worker import Worker
from orderway.testing.machine.world import CURRENCY, POINTS, SECRETS, World

__all__ = ["MOSTLY", "ORDER_TYPES", "PRICES", "UIDS", "WHO", "Machine", "counted", "leg_of", "rule_names"]

T = TypeVar("T")
C = TypeVar("C", bound=Callable[..., Any])
_NAMES: list[str] = []

ORDER_TYPES = st.sampled_from(TYPES)
UIDS = st.sampled_from(["ann", "bob", "eve"])
WEALTHY = ("ann", "bob")
"""Whose wallets are full in the beginning."""
MOSTLY = st.sampled_from([True, True, True, False])
PRICES = st.sampled_from([1, 250, 990])
WHO: dict[str, Any] = {"actor": "ops", "reason": "asked for"}
MENDED_AT = 6
"""In which turn of the settling all trouble is mended, so that both a deadline and a recovery are seen."""
MOST_TURNS = 200
MOST_RESUMES = 5
STEP_S = 120.0
"""What is due so soon after what is due first is looked at together with it."""


def counted(method: C) -> C:
    """Count a rule's executions."""
    _NAMES.append(method.__name__)

    @functools.wraps(method)
    def run(self: Machine, *args: Any, **kwargs: Any) -> Any:
        self.counts[method.__name__] += 1
        self.broken = True
        answer = method(self, *args, **kwargs)
        self.broken = False
        return answer

    return cast(C, run)


def rule_names() -> list[str]:
    """The names of all rules."""
    return sorted(_NAMES)


class Machine(RuleBasedStateMachine):
    """A machine without rules. A subclass says in ``open_grounds`` where it runs, and has ``counts`` of its own."""

    open_grounds: ClassVar[Callable[[], Grounds]] = MemoryGrounds
    counts: ClassVar[Counter[str]] = Counter()
    orders: Bundle[str] = Bundle("orders")

    def __init__(self) -> None:
        super().__init__()
        self.begun: World | None = None
        self.broken = False
        """True once a step has failed: then there is no use in going on."""

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        self.begun = World(type(self).open_grounds(), seed)
        self.books = Books(self.begun)
        self.numbers = 0
        self.expected: dict[str, tuple[int, str, int]] = {}
        """Orders that were paid before they were made, by own number: type, uid, price."""
        self.disputes: dict[str, ScriptedChannel] = {}
        """Disputes that are open, by their references."""
        self.disputed: set[str] = set()
        """Payments that were disputed."""
        self.untold: list[tuple[ScriptedChannel, bytes, dict[str, str]]] = []
        """Notifications that could not be taken: the channels tell them again."""
        self.begun.join()
        self.begun.join()
        for uid in WEALTHY:
            self._top_up(uid, Money(5000, CURRENCY))
            self._top_up(uid, Money(150, POINTS))

    # ---- what always holds ----------------------------------------------------------------------------------------

    @invariant()
    def books_balance(self) -> None:
        if self.begun is not None:
            self.broken = True
            self.world.run(self.books.check())
            self.broken = False

    def teardown(self) -> None:
        """Everything comes to its end, whatever happened before, once a person has sent on what was stuck."""
        if self.begun is None:
            return
        try:
            if not self.broken:
                self._come_to_an_end()
        finally:
            self.world.close()

    # ---- inside: asking and telling -------------------------------------------------------------------------------

    @property
    def world(self) -> World:
        """Everything around the orders."""
        assert self.begun is not None
        return self.begun

    def _number(self) -> str:
        self.numbers += 1
        return f"n{self.numbers}"

    def _create(self, order_type: int, uid: str, *, at_once: bool = False, **asked: Any) -> str:
        app = self.world.worker().app
        order = self.world.run(app.create(order_type, uid, data={"for": uid}, **asked))
        assert order.stage is (Stage.CREATED if asked.get("amount") else Stage.PAID)
        self.books.created.add(order.id)
        if at_once:
            self.world.run(app.forward(order))
        return order.id

    def _top_up(self, uid: str, amount: Money) -> None:
        key = self._number()
        assert self.world.run(self.world.worker().app.wallet.top_up(uid, amount, key=key))
        self.books.wallet_keys[uid, amount.currency, key] = amount.amount_minor
        self.books.till.put_in[amount.currency] += amount.amount_minor

    def _pay(self, order_id: str, amount: Money, reference: str) -> Order[Any]:
        told = self.world.worker().app.record_payment(order_id, amount, reference=reference)
        after = self.world.run(told)
        assert after is not None, f"{order_id} is there, and its payment was parked"
        self.books.till.told[order_id][reference] = amount.amount_minor, amount.currency
        return after

    def _deliver_notifications(self, times: int) -> int:
        """Tell what the channels have to tell; what could not be taken is told again later, as they do."""
        popped = [(channel, *each) for channel in self.world.channels for each in channel.pop_notifications()]
        self.world.stirred |= bool(popped)
        told = [*self.untold, *popped * times]
        self.untold = []
        for channel, body, headers in told:
            if not _is_genuine(channel.name, body, headers):
                self._refused(BadNotification, self.world.worker().app.notify(channel.name, body, headers))
            elif not self._tell(channel, body, headers):
                self.untold.append((channel, body, headers))
        return len(popped)

    def _tell(self, channel: ScriptedChannel, body: bytes, headers: dict[str, str]) -> bool:
        """Tell one notification; False if it is to be told again."""
        said = json.loads(body)
        notified = self.world.worker().app.notify(channel.name, body, headers)
        if said["about"] == "dispute":
            if said["state"] == "opened":
                self.disputes[said["reference"]] = channel
            return self._tried(notified, Unavailable) is not None  # it may not know of this payment yet
        after = self.world.run(notified)
        assert after is not None, f"there is an order, and this was parked: {said}"
        if said["about"] == "payment":
            self.books.till.heard.add(said["reference"])
            assert leg_of(after, said["reference"]).captured_minor == said["amount_minor"]
        return True

    def _before(self, order_id: str) -> Order[Any]:
        """The order as the last step has left it."""
        return self.books.rows[order_id]

    def _row(self, order_id: str) -> Order[Any]:
        """The order as it is now."""
        return self.world.run(self.world.observer.store.get(order_id))

    def _refused(self, error: type[Exception], call: Coroutine[Any, Any, Any]) -> None:
        try:
            answer = self.world.run(call)
        except error:
            return
        raise AssertionError(f"{error.__name__} was expected, not {answer!r}")

    def _tried(self, call: Coroutine[Any, Any, T], *refusals: type[OrderwayError]) -> T | None:
        """What an action came to; None if it was refused in one of these ways."""
        try:
            return self.world.run(call)
        except refusals:
            return None

    # ---- inside: workers ------------------------------------------------------------------------------------------

    def _freeze(self, point: str, order_id: str) -> Worker:
        """Have a worker forward an order, and stand still at this point if it comes there."""
        worker = self.world.worker(0)
        worker.freeze(point, worker.app.forward(order_id))
        if not self.world.awake:
            self.world.join()
        return worker

    def _thaw(self) -> None:
        for worker in self.world.workers:
            worker.thaw()

    def _bury(self) -> None:
        world = self.world
        for worker in world.awake:
            world.run(worker.app.membership.beat())
        world.advance(3.1)
        for worker in world.awake:
            world.run(worker.app.membership.beat())
        left = set(world.run(world.observer.workers.counters()))
        assert left == {worker.app.membership.incarnation for worker in world.awake}

    # ---- inside: the end ------------------------------------------------------------------------------------------

    def _come_to_an_end(self) -> None:
        self._settle()
        for nth in range(MOST_RESUMES):
            if not self._answer_what_waits_for_people(patient=nth < MOST_RESUMES - 1):
                break
            self._settle()
        self.books.check_settled()

    def _settle(self) -> None:
        world = self.world
        self._thaw()
        self._bury()
        quiet = 0
        for turn in range(MOST_TURNS):
            if turn == MENDED_AT:
                world.mend()
            told = self._deliver_notifications(times=1)
            app = world.worker().app
            world.run(app.parked.match())
            world.run(app.sweep())
            world.run(self.books.check())
            due = [row.due_at_us for row in self.books.rows.values() if row.due_at_us is not None]
            if due:
                world.advance(max(min(due) - world.clock.now_us(), 0) / 1e6 + STEP_S)
                continue
            parked = world.run(world.observer.parking.list(None, 1000))
            waits = any(payment.order_id in self.books.rows for payment in parked)
            quiet = 0 if told or waits else quiet + 1
            if turn > MENDED_AT and quiet >= 3:
                return
            world.advance(PAY_WITHIN.total_seconds())  # notifications may still be on their way, and parked payments
        unsettled = [row for row in self.books.rows.values() if row.due_at_us is not None]
        raise AssertionError(f"not settled after {MOST_TURNS} turns: {unsettled or self.untold or 'always told anew'}")

    def _answer_what_waits_for_people(self, *, patient: bool) -> bool:
        """Do what a person is asked for: pay out, decide disputes, and send on what is stuck; True if there was any.

        Who is not patient any more cancels what is still not paid: a payer may pay wrongly for ever.
        """
        waited = bool(self.disputes)
        for reference in list(self.disputes):
            self._decide(reference, "won")
        for row in list(self.books.rows.values()):
            for refund in row.refunds:
                if row.legs[refund.leg].channel == GATEWAY and (refund.is_live or refund.state is RefundState.STUCK):
                    self._pay_out(row.id, refund.number)
                    waited = True
            app = self.world.worker().app
            if row.stage in {Stage.FAILING, Stage.STUCK} or any(r.state is RefundState.STUCK for r in row.refunds):
                goes_on = patient or row.resume_stage is not Stage.CREATED
                act = app.resume(row.id, **WHO) if goes_on else app.cancel(row.id, **WHO)
                waited |= self._tried(act, OrderwayError) is not None
        return waited

    def _pay_out(self, order_id: str, number: int) -> Order[Any]:
        """The shop pays a refund out through its own gateway, and tells of it."""
        told = self.world.worker().app.record_refund(order_id, number, Returned(f"out-{order_id}-{number}"))
        after = self.world.run(told)
        self.books.till.paid_out.add((order_id, number))
        return after

    def _decide(self, reference: str, decision: Literal["won", "lost"]) -> None:
        """A dispute is decided, unless it was."""
        self.world.stirred = True
        with contextlib.suppress(InvalidValue):
            self.disputes.pop(reference).decide(reference, decision)


def leg_of(order: Order[Any], reference: str) -> Leg:
    """The leg with the money that came under this number."""
    return next(leg for leg in order.legs if leg.reference == reference and leg.captured_minor)


def _is_genuine(channel: str, body: bytes, headers: dict[str, str]) -> bool:
    return headers[SIGNATURE_HEADER] == hmac.new(SECRETS[channel], body, hashlib.sha256).hexdigest()
