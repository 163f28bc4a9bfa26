"""The scripted channel itself: the channel port, over the books of payments, refunds and disputes."""

from __future__ import annotations

from asyncio import Event
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Literal

from orderway.channels.behaviours import (
    ONCE,
    Behaviour,
    Disputes,
    Notice,
    PaysAtOnce,
    RefundBehaviour,
    RefundsAtOnce,
    RefundScript,
    RefundTimesOutAfter,
    RefundTimesOutBefore,
    RefundUnreachable,
    Script,
    TimesOutAfter,
    TimesOutBefore,
    Unreachable,
)
from orderway.channels.scripted.disputes import DisputeBook
from orderway.channels.scripted.notifications import SIGNATURE_HEADER, Outbox, Seal
from orderway.channels.scripted.payers import Payment, Reaction, charged, chosen, held
from orderway.channels.scripted.payments import Held, PaymentBook, Taken
from orderway.channels.scripted.refunds import GivenBack, RefundBook
from orderway.channels.scripted.storage import Storage, as_us
from orderway.core.money import Money
from orderway.errors import InvalidValue, KeyReused, OrderwayError, OutcomeUnknown, Unavailable
from orderway.ports.channel import (
    Captured,
    Charge,
    ClosedThere,
    HeldThere,
    NotFound,
    Outcome,
    Pending,
    RefundOrder,
    RefundOutcome,
    Refused,
    Short,
)
from orderway.ports.channel import Notice as Verified
from orderway.ports.clock import Clock

__all__ = ["ScriptedChannel"]

_UNREACHABLE = (Unreachable, RefundUnreachable)
_UNANSWERED = (TimesOutBefore, TimesOutAfter, RefundTimesOutBefore, RefundTimesOutAfter)


class ScriptedChannel:
    """A channel that behaves as its scripts say, and remembers what it took and gave back.

    Idempotent: a key takes or gives back money once, whatever happens and however many callers race, in one process
    or in several; only ``PaysTwice`` and ``PaysAfterClose`` say otherwise. Atomic: each call is one transaction. With
    ``path``, all of it survives the death of processes, though not of the machine. Calls block the event loop, for a
    moment only.

    Args:
        clock: times payments and notifications; with a shared ``path``, the same time for all processes.
        script: how payers behave; what it does not name is done as ``default`` says.
        default: how to behave where the script says nothing.
        refund_script: what becomes of refunds; what it does not name is done as ``refund_default`` says.
        refund_default: what becomes of refunds where the script says nothing.
        path: an SQLite file of its own; None keeps everything in memory.
        secret: signs the notifications.
        notify: awaited by :meth:`deliver` with body and headers of each notification; may be set later.
        name: what legs call it.
        asks_payer: whether the payer pays on the channel's side.
        holds: whether money can be put aside first, as on a card.
        query_after: when it is asked for a result that it owes: see ``Channel``.
        redeliver_after: when a notification is sent again that the receiver could not take.
    """

    def __init__(
        self,
        clock: Clock,
        script: Script | None = None,
        *,
        default: Behaviour | None = None,
        refund_script: RefundScript | None = None,
        refund_default: RefundBehaviour | None = None,
        path: str | Path | None = None,
        secret: bytes = b"scripted",
        notify: Callable[[bytes, Mapping[str, str]], Awaitable[object]] | None = None,
        name: str = "scripted",
        asks_payer: bool = True,
        holds: bool = False,
        query_after: Sequence[timedelta] = (),
        redeliver_after: timedelta = timedelta(seconds=1),
    ) -> None:
        self.name = name
        self.asks_payer = asks_payer
        self.holds = holds
        self.query_after = query_after
        self.notify = notify
        self.script: Script = {} if script is None else script
        self.default: Behaviour = PaysAtOnce() if default is None else default
        self.refund_script: RefundScript = {} if refund_script is None else refund_script
        self.refund_default: RefundBehaviour = RefundsAtOnce() if refund_default is None else refund_default
        self._clock = clock
        self._redeliver_us = as_us(redeliver_after)
        self._seal = Seal(secret, name)
        self._storage = Storage(clock, path)
        self._outbox = Outbox(self._storage, self._seal)
        self._payments = PaymentBook(self._storage, self._outbox)
        self._refunds = RefundBook(self._storage, self._outbox, self._payments)
        self._disputes = DisputeBook(self._storage, self._outbox, self._payments)

    def disconnect(self) -> None:
        """Close the file; what happened stays in it. Idempotent."""
        self._storage.disconnect()

    # ---- the port: payments

    async def charge(self, charge: Charge) -> Outcome:
        """As the script says: ``Captured``, ``Pending``, ``Refused``, ``Short`` or ``ClosedThere``.

        Raises:
            OutcomeUnknown: ``TimesOutBefore`` and ``TimesOutAfter``.
            Unavailable: ``Unreachable``.
            KeyReused: the key came before with another order or amount, or for a hold.
            InvalidValue: the amount is not positive.
        """
        outcome = self._ask(charge, charged, "open")
        if isinstance(outcome, HeldThere):
            raise KeyReused(f"key {charge.key} stands for a hold: capture or close it", order_id=charge.order_id)
        return outcome

    async def hold(self, charge: Charge) -> Outcome:
        """Put the money aside: ``HeldThere``, ``Refused``, ``Short`` or ``ClosedThere``; ``Captured`` if it was taken.

        Whoever would pay, at once or later, agrees at once; a payer who ``NeverPays`` is refused.

        Raises:
            OutcomeUnknown, Unavailable, KeyReused: as ``charge``; a key that was charged stands for no hold.
            InvalidValue: the amount is not positive, or the channel does not hold.
        """
        if not self.holds:
            raise InvalidValue(f"{self.name} holds no money: make it with holds=True", order_id=charge.order_id)
        outcome = self._ask(charge, held, "held")
        if isinstance(outcome, Pending):
            raise KeyReused(f"key {charge.key} was charged: it stands for no hold", order_id=charge.order_id)
        return outcome

    async def capture(self, charge: Charge) -> Outcome:
        """Take what is held: ``Captured``, ``ClosedThere`` if it was closed, ``NotFound`` if nothing was ever held."""
        with self._transaction() as now_us:
            outcome = self._payments.capture(charge, now_us)
            return outcome if isinstance(outcome, Captured | ClosedThere) else NotFound()

    async def query(self, charge: Charge) -> Outcome:
        """The truth about this key: any outcome except ``Short``."""
        with self._transaction() as now_us:
            return self._payments.find(charge, now_us)

    async def close(self, charge: Charge) -> Outcome:
        """Make sure that it cannot be paid any more: ``ClosedThere``, or ``Captured`` if it was paid."""
        with self._transaction() as now_us:
            return self._payments.close(charge, now_us)

    # ---- the port: refunds and notifications

    async def refund(self, refund: RefundOrder) -> RefundOutcome:
        """As the refund script says: ``Returned``, ``Pending`` or ``Refused``.

        Refused, too, is what would give back more than is left of its payment: what goes back already, waits for its
        result, or is disputed, is not left.

        Raises:
            OutcomeUnknown: ``RefundTimesOutBefore`` and ``RefundTimesOutAfter``.
            Unavailable: ``RefundUnreachable``.
            KeyReused: the key came before with another order, payment or amount.
            InvalidValue: the amount is not positive.
        """
        _check_positive(refund.amount, refund.order_id)
        behaviour = None
        with self._transaction() as now_us:
            if self._refunds.find(refund, now_us) == NotFound():
                behaviour = chosen(
                    self.refund_script,
                    self.refund_default,
                    refund,
                    lambda: self._storage.count_attempt(refund.order_id, "refund"),
                )
                self._refunds.act(refund, behaviour, now_us)
            outcome = self._refunds.find(refund, now_us)
        self._fail(behaviour, f"refund {refund.key}", refund.order_id)
        return outcome

    async def query_refund(self, refund: RefundOrder) -> RefundOutcome:
        """The truth about this refund: any outcome."""
        with self._transaction() as now_us:
            return self._refunds.find(refund, now_us)

    def verify(self, body: bytes, headers: Mapping[str, str]) -> Verified:
        """What a notification says, once its signature over the raw body has been verified.

        Raises:
            BadNotification: the signature is missing or wrong, or the body cannot be read.
        """
        return self._seal.verify(body, headers)

    # ---- sending notifications

    def pop_notifications(self) -> list[tuple[bytes, dict[str, str]]]:
        """The notifications that are due, as (body, headers), oldest first; each is given out once."""
        return [(body, {SIGNATURE_HEADER: signature}) for _, body, signature in self._pop()]

    async def deliver(self) -> int:
        """Await ``notify`` for each notification that is due; returns how many were sent.

        A receiver that raises a retryable error gets it again after ``redeliver_after``; one that refuses it for
        good (``BadNotification``, ...) does not. Any other exception puts it back and goes on to the caller.
        """
        if self.notify is None:
            raise InvalidValue("there is nobody to notify: set channel.notify first, or use pop_notifications()")
        sent = 0
        while popped := self._pop(limit=1):
            ((about, body, signature),) = popped
            try:
                await self.notify(body, {SIGNATURE_HEADER: signature})
            except OrderwayError as error:
                if error.retryable:
                    self._put_back(about, body, signature)
            except BaseException:
                self._put_back(about, body, signature)
                raise
            sent += 1
        return sent

    async def run(self, stop: Event, every: timedelta = timedelta(milliseconds=50)) -> None:
        """Deliver notifications as they become due, looking this often, until the event is set."""
        while not stop.is_set():
            await self.deliver()
            await self._clock.wait(stop, every.total_seconds())

    # ---- by hand

    def pay(
        self, key: str, amount: Money | None = None, *, uid: str | None = None, notices: Sequence[Notice] = ONCE
    ) -> Taken:
        """The payer pays now, whatever the script says: early, once more, or after the key was closed.

        Args:
            key: of a payment that was asked for or closed here.
            amount: how much; None: what was asked for.
            uid: who pays; None: the user who was charged.
            notices: that tell of it.

        Raises:
            InvalidValue: nothing is known of the key, or its money is held.
        """
        with self._transaction() as now_us:
            charge = self._payments.charge_of(key)
            if charge is None:
                raise InvalidValue(f"{self.name} knows no payment {key!r}: charge it first")
            if isinstance(self._payments.find(charge, now_us), HeldThere):
                raise InvalidValue(f"the money of {key} is held: capture it", order_id=charge.order_id)
            self._payments.drop_coming(key, now_us)
            payment = Payment(charge.amount if amount is None else amount, notices=notices, uid=uid)
            reference = self._payments.add(charge, payment, now_us)
        return Taken(key, charge.order_id, payment.amount, reference, now_us)

    def dispute(
        self, payment_reference: str, amount_minor: int | None = None, *, notices: Sequence[Notice] = ONCE
    ) -> str:
        """A dispute of a payment is opened now; returns its reference.

        Args:
            payment_reference: the channel's own number of the payment.
            amount_minor: how much is disputed, at most what the shop still has of it; None: all of that.
            notices: of the opening, and again of the decision.

        Raises:
            InvalidValue: there is no such payment, or nothing is left of it.
        """
        with self._transaction() as now_us:
            dispute = Disputes(amount_minor=amount_minor, notices=notices)
            reference = self._disputes.open(payment_reference, dispute, now_us)
        if reference is None:
            raise InvalidValue(f"nothing is left to dispute of payment {payment_reference!r}; see taken(), returned()")
        return reference

    def decide(self, dispute_reference: str, decision: Literal["won", "lost"]) -> None:
        """A dispute is decided now; ``lost``: the channel takes the money from the shop.

        Raises:
            InvalidValue: no dispute with this reference is open.
        """
        with self._transaction() as now_us:
            if not self._disputes.decide(dispute_reference, decision, now_us):
                raise InvalidValue(f"{self.name} has no open dispute {dispute_reference!r}")

    # ---- for audits

    def taken(self) -> list[Taken]:
        """All money taken until now, oldest first."""
        with self._transaction() as now_us:
            return self._payments.taken(now_us)

    def returned(self) -> list[GivenBack]:
        """All money that went back until now, by refunds and lost disputes, oldest first."""
        with self._transaction() as now_us:
            return self._refunds.returned(now_us)

    def held(self) -> list[Held]:
        """All money that is put aside now, oldest first."""
        with self._transaction():
            return self._payments.held()

    # ---- inside

    @contextmanager
    def _transaction(self) -> Iterator[int]:
        with self._storage.transaction() as now_us:
            self._disputes.catch_up(now_us)
            yield now_us

    def _ask(self, charge: Charge, react: Callable[[Charge, Behaviour], Reaction], state: str) -> Outcome:
        _check_positive(charge.amount, charge.order_id)
        behaviour = None
        with self._transaction() as now_us:
            outcome = self._payments.find(charge, now_us)
            if outcome == NotFound():
                behaviour = chosen(
                    self.script, self.default, charge, lambda: self._storage.count_attempt(charge.order_id, "charge")
                )
                outcome = self._enter(charge, react(charge, behaviour), state, now_us)
        self._fail(behaviour, f"payment {charge.key}", charge.order_id)
        return outcome

    def _enter(self, charge: Charge, reaction: Reaction, state: str, now_us: int) -> Outcome:
        match reaction:
            case None:
                return NotFound()
            case Short():
                return reaction
            case Refused(why):
                self._payments.open(charge, now_us, "refused", why)
                return reaction
        self._payments.open(charge, now_us, state)
        for payment in reaction:
            self._disputes.plan(self._payments.add(charge, payment, now_us), payment, now_us)
        return self._payments.find(charge, now_us)

    def _fail(self, behaviour: Behaviour | RefundBehaviour | None, what: str, order_id: str) -> None:
        if isinstance(behaviour, _UNREACHABLE):
            raise Unavailable(f"{self.name} cannot be reached; nothing was sent", order_id=order_id)
        if isinstance(behaviour, _UNANSWERED):
            raise OutcomeUnknown(f"{self.name} did not answer about {what}", order_id=order_id)

    def _pop(self, limit: int = -1) -> list[tuple[str, bytes, str]]:
        with self._transaction() as now_us:
            return self._outbox.pop(now_us, limit)

    def _put_back(self, about: str, body: bytes, signature: str) -> None:
        with self._transaction() as now_us:
            self._outbox.put_back(about, body, signature, now_us + self._redeliver_us)


def _check_positive(amount: Money, order_id: str) -> None:
    if amount.amount_minor <= 0:
        raise InvalidValue(f"a channel is asked for a positive amount, not {amount}", order_id=order_id)
