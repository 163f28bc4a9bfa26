"""The journey of an order: created -> paid -> delivered -> finished. Read this file and you know the system.

``Journey.forward`` is the only code that moves an order. The caller, the payment callback, the sweeper and the
command line all call it, any number of times, after any crash. It looks at the stage, takes the one step that this
stage asks for, records the facts that follow, and looks again, until nothing is left to do now:

    created ---- pay -----> paid ---- deliver ----> delivered ---- close ----> finished
       |                     |
       +--> cancelling, rejecting, closing, failing ---- close ----> cancelled, rejected, closed, stuck

A step makes at most one effect (a charge, a delivery, a hook) and returns a ``Move``: the facts that follow from it,
or how long to wait. What a step raises is retried with back-off; past the deadline the order is stuck, in front of a
person.

Two things make it safe to die anywhere. The row is written before each effect and says when to look again
(``due_at``), so somebody always comes back; and each effect carries a key derived from the order, so doing it again
does nothing new.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from orderway.core.facts import (
    Cancelled,
    Closed,
    Delivered,
    PaymentClosed,
    PaymentDeclined,
    PaymentPending,
    PaymentUnknown,
    Rejected,
    Stuck,
)
from orderway.core.order import Order, Stage
from orderway.core.payment import GATEWAY, Leg, LegState
from orderway.core.text import fitting_reference, storable
from orderway.delivery import Delivery
from orderway.errors import DeliveryFailed, HoldLost, OrderwayError, UsageError
from orderway.hooks import call
from orderway.moves import Move, record
from orderway.payments import Payments, details_text, open_leg, payment_facts
from orderway.ports.business import Business, Cancel, RetryIn
from orderway.ports.channel import Captured, ClosedThere, Outcome, Pending, Refused, Short
from orderway.recorder import HOOK_OF, MICROSECOND, Recorder
from orderway.run import Run

__all__ = ["Journey"]

logger = logging.getLogger("orderway")
SHORT = "the balance does not suffice yet: the order waits for a top-up"


class Journey:
    """Carries orders of registered businesses along their way.

    Args:
        recorder: writes the facts.
        businesses: by order type.
        payments: asks the channels.
        random: gives numbers in [0, 1), for the jitter.
    """

    def __init__(
        self,
        recorder: Recorder,
        businesses: Mapping[int, Business[Any]],
        payments: Payments,
        random: Callable[[], float],
    ) -> None:
        self.recorder = recorder
        self.businesses = businesses
        self.payments = payments
        self.random = random
        self.steps: dict[Stage, Callable[[Run], Awaitable[Move | None]]] = {
            Stage.CREATED: self.pay,
            Stage.PAID: self.deliver,
            **dict.fromkeys(HOOK_OF, self.close),
        }

    async def forward(self, order: Order[Any]) -> Order[Any]:
        """Carry an order that this worker holds as far as it goes now, then let go of it.

        Returns:
            The order as it stands.

        Raises:
            HoldLost: another worker has taken it over, and carries it on.
            Unavailable: the store did not answer; the order is due, and will be looked at again.
        """
        run = Run(order, self.businesses[order.type], self.recorder)
        while run.order.holder is not None and (step := self.steps.get(run.order.stage)):
            try:
                move = await step(run)
            except HoldLost:
                raise
            except Exception as error:  # noqa: BLE001 - whatever a hook or a channel raises, the order is tried again
                move = self.try_again(run, error)
            if move is None:
                continue  # the step has recorded its facts itself
            try:
                await self.take(run, move)
            except (DeliveryFailed, UsageError) as error:  # what followed cannot be written as it is
                await self.take(run, self.try_again(run, error))
        return run.order

    async def take(self, run: Run, move: Move) -> None:
        """Write what a step has led to: facts, or a new time to look at the order."""
        if move.decide is None:
            await run.postpone(move.wait_us or 0, move.error, failed=move.failed)
        else:
            before = run.order.version
            try:
                await run.record(move.decide, due_in_us=move.wait_us, statements=move.statements)
            except HoldLost:
                if move.is_payment:
                    await self.recorder.record_from_outside(run.order.id, move.decide, self.recorder.stamp())
                raise
            if run.order.version == before:  # nothing new followed: asking again at once would bring nothing new either
                await run.postpone(run.business.query_every // MICROSECOND, move.error, failed=True)

    def try_again(self, run: Run, error: Exception) -> Move:
        """What follows from a failed step: wait and retry until the deadline, then a person."""
        order, retry = run.order, run.business.retry
        order.forget_changes()
        text = storable(f"{type(error).__name__}: {error}")
        lasts_us = retry.deadline // MICROSECOND
        deadline_us = {
            Stage.CREATED: order.deadline_at_us + lasts_us,  # a channel that cannot even be asked to close
            Stage.PAID: order.deadline_at_us,
        }.get(order.stage, order.updated_at_us + lasts_us)
        if order.stage is not Stage.FAILING and run.now_us >= deadline_us:
            why = error.code if isinstance(error, OrderwayError) else "hook_failed"
            logger.error("order %s is stuck when %s: %s", order.id, order.stage, why)
            return record(Stuck(why=why, error=text))
        return Move(wait_us=retry.delay_us(order.attempts + 1, self.random()), error=text, failed=True)

    # ---- the steps ------------------------------------------------------------------------------------------------

    async def pay(self, run: Run) -> Move | None:
        """created: get the money, or find out that it will not come."""
        leg = open_leg(run.order)
        if leg is None:
            return record(Stuck(why="no_open_payment", error="no leg of this order can be paid any more"))
        if leg.channel == GATEWAY:  # the user's own, told to us by record_payment
            return Move(wait_us=run.remaining_us) if run.remaining_us > 0 else record(Closed(why="unpaid"))
        late = run.remaining_us <= 0
        if leg.state is LegState.PLANNED and not late and (verdict := await self.ask(run)) is not None:
            return verdict
        return await self.after_asking(run, leg, await self.payments.ask(run.order, leg, late=late))

    async def after_asking(self, run: Run, leg: Leg, outcome: Outcome | None) -> Move:
        """What a channel's answer means for the order."""
        business, in_time = run.business, run.remaining_us > 0
        pause_us = business.query_every // MICROSECOND
        if in_time:
            pause_us = min(pause_us, run.remaining_us)
        match outcome:
            case Captured(amount, reference):
                until_us = self.recorder.delivery_deadline_us(run.order)
                return Move(
                    lambda order: payment_facts(order, leg.channel, amount, reference, until_us), is_payment=True
                )
            case None if leg.state is not LegState.UNKNOWN:
                return record(PaymentUnknown(leg=leg.number))
            case Pending(reference, details) if leg.state is not LegState.PENDING:
                pending = PaymentPending(
                    leg=leg.number, reference=fitting_reference(reference), details=details_text(details)
                )
                return record(pending, wait_us=pause_us)
            case Refused(why):
                return record(PaymentDeclined(leg=leg.number, error=storable(why)), Cancelled(why="payment_declined"))
            case Short() if business.when_short == "wait" and in_time:
                return Move(wait_us=pause_us, error=SHORT)
            case Short():
                return await self.end_unpaid(run, Rejected(why="insufficient_balance"))
            case ClosedThere() if business.when_short == "wait" and run.order.last_error == SHORT:
                return record(PaymentClosed(leg=leg.number), Rejected(why="insufficient_balance"))
            # Charged in time and closed already: who closed it for lack of balance died before it was recorded.
            case ClosedThere() if in_time and not self.payments.channel(leg.channel).asks_payer:
                return record(PaymentClosed(leg=leg.number), Rejected(why="insufficient_balance"))
            case ClosedThere():
                return record(PaymentClosed(leg=leg.number), Closed(why="unpaid"))
            case _:
                return Move(wait_us=pause_us, error=f"{leg.channel} has no result yet")

    async def end_unpaid(self, run: Run, end: Cancelled | Rejected) -> Move:
        """End an order that is not paid, once its channel has confirmed that it never can be.

        Without that, a worker that froze before its charge could wake up after the end and take the money.
        """
        leg = open_leg(run.order)
        if leg is None:
            return record(end)
        outcome = await self.payments.ask(run.order, leg, late=True)
        if isinstance(outcome, ClosedThere):
            return record(PaymentClosed(leg=leg.number), end)
        return await self.after_asking(run, leg, outcome)

    async def deliver(self, run: Run) -> Move | None:
        """paid: hand the goods over, exactly once."""
        if (verdict := await self.ask(run)) is not None:
            return verdict
        delivery = Delivery(run)
        try:
            await call(run.business.deliver, run.order, delivery)
        except Exception:
            if not delivery.committed:
                raise
            logger.exception("order %s: deliver raised after its transaction was committed", run.order.id)
        if delivery.committed:
            return None
        return Move(lambda _: (Delivered(),), statements=tuple(delivery.statements))

    async def close(self, run: Run) -> Move | None:
        """delivered, and every stage in -ing: run the closing hook, and mark that it succeeded."""
        hook, mark = HOOK_OF[run.order.stage]
        if run.business.overrides(hook):
            await call(getattr(run.business, hook), run.order)
        return record(mark())

    async def ask(self, run: Run) -> Move | None:
        """Ask the business whether the order may go on; None if so."""
        business, order = run.business, run.order
        if not business.overrides("can_forward"):
            return None
        match await call(business.can_forward, order):
            case None:
                return None
            case Cancel(reason) if not order.paid_minor:
                return await self.end_unpaid(run, Cancelled(why="by_business", error=storable(reason)))
            case Cancel(reason):  # the money must go back first, which is a person's decision
                return record(Stuck(why="cancelled_after_payment", error=storable(reason)))
            case RetryIn(delay, reason):
                return Move(wait_us=delay // MICROSECOND, error=storable(reason))
            case verdict:
                return record(Stuck(why="held", error=storable(verdict.reason)))
