"""Paying: the step of an order that is created. Holds first, then the payment that decides, then the holds are taken.

All or nothing: an order is paid when its whole price is, and one that is not to be paid ends only when each of its
channels has confirmed that it never can be. What is held or was paid in part then goes back: see ``settling.py``.
"""

from __future__ import annotations

from orderway.core.facts import (
    Cancelled,
    Closed,
    Fact,
    Held,
    Paid,
    PartPaid,
    PaymentClosed,
    PaymentDeclined,
    PaymentPending,
    PaymentUnknown,
    Rejected,
    Stuck,
)
from orderway.core.payment import GATEWAY, Leg, LegState
from orderway.core.text import fitting_reference, storable
from orderway.moves import Move, record
from orderway.odd import Payment, payment_facts
from orderway.payments import Payments, details_text, open_leg
from orderway.ports.channel import Captured, ClosedThere, HeldThere, Outcome, Pending, Refused, Short
from orderway.recorder import MICROSECOND, Recorder
from orderway.run import Run

__all__ = ["Paying"]

SHORT = "the balance does not suffice yet: the order waits for a top-up"


class Paying:
    """Gets the money of an order, part by part.

    Args:
        recorder: knows the deadlines.
        payments: asks the channels.
    """

    def __init__(self, recorder: Recorder, payments: Payments) -> None:
        self.recorder = recorder
        self.payments = payments

    def may_ask(self, run: Run) -> bool:
        """True if a channel may be asked for money now: there is time, and a leg that is ours to ask for."""
        leg = open_leg(run.order)
        return leg is not None and leg.channel != GATEWAY and run.remaining_us > 0

    async def pay(self, run: Run) -> Move:
        """Take the next step towards the whole price."""
        order = run.order
        leg = open_leg(order)
        if not order.missing_minor:
            return await self.capture(run)
        if leg is None:  # reopened by a payment, and what was held the first time is not there any more
            return await self.end_unpaid(run, Rejected(why="insufficient_balance"))
        if run.remaining_us <= 0:
            waited = run.business.when_short == "wait" and order.last_error == SHORT
            return await self.end_unpaid(run, Rejected(why="insufficient_balance") if waited else Closed(why="unpaid"))
        if leg.channel == GATEWAY:  # the user's own, told to us by record_payment
            return Move(wait_us=run.remaining_us)
        return await self.after_asking(run, leg, await self.payments.ask(order, leg))

    async def after_asking(self, run: Run, leg: Leg, outcome: Outcome | None) -> Move:
        """What a channel's answer means for the order."""
        business, number = run.business, leg.number
        pause_us = self.payments.pause_us(leg.channel, run.order, business, run.now_us)
        pause_us = max(0, min(pause_us, run.remaining_us))
        match outcome:
            case Captured(amount, reference, uid):
                return self.paid(run, leg, Payment(leg.channel, amount, reference, run.order.payment_key(leg), uid))
            case HeldThere(amount, reference):
                held_minor = amount.amount_minor
                worth_minor = held_minor if leg.currency == run.order.currency else leg.worth_minor
                held = Held(
                    leg=number,
                    amount_minor=held_minor,
                    worth_minor=worth_minor,
                    reference=fitting_reference(reference),
                )
                return record(held)
            case None if leg.state is not LegState.UNKNOWN:
                return record(PaymentUnknown(leg=number))
            case Pending(reference, details) if leg.state is not LegState.PENDING:
                pending = PaymentPending(
                    leg=number, reference=fitting_reference(reference), details=details_text(details)
                )
                return record(pending, wait_us=pause_us)
            case Refused(why):
                return record(PaymentDeclined(leg=number, error=storable(why)), Cancelled(why="payment_declined"))
            case Short() if leg.holds and leg.at_most:  # nothing is there: it is closed, and the next leg asked for all
                (outcome,) = await self.payments.close(run.order, [leg])
                return await self.after_asking(run, leg, outcome)
            case ClosedThere() if leg.holds and leg.at_most:
                return record(PaymentClosed(leg=number))
            case Short() if business.when_short == "wait":
                return Move(wait_us=pause_us, error=SHORT)
            case Short():
                return await self.end_unpaid(run, Rejected(why="insufficient_balance"))
            # Closed before its time: who closed it for lack of balance died before it was recorded.
            case ClosedThere() if not self.payments.channel(leg.channel).asks_payer:
                return await self.end_unpaid(run, Rejected(why="insufficient_balance"))
            case ClosedThere():
                return await self.end_unpaid(run, Closed(why="unpaid"))
            case _:
                return Move(wait_us=pause_us, error=f"{leg.channel} has no result yet")

    def paid(self, run: Run, leg: Leg, payment: Payment) -> Move:
        """The move that records money which a channel says has come."""
        until = self.recorder.deadlines(run.order)
        return Move(lambda order: payment_facts(order, payment, run.business, until), is_payment=True)

    async def capture(self, run: Run) -> Move:
        """created, and every part is in: what is held is taken, all of it in one step."""
        legs = [leg for leg in run.order.legs if leg.state is LegState.HELD]
        if not legs:
            return record(Stuck(why="no_open_payment", error="no leg of this order can be paid any more"))
        outcomes = await self.payments.capture(run.order, legs)
        facts: list[Fact] = [
            PartPaid(leg=leg.number, amount_minor=leg.amount_minor, reference=fitting_reference(outcome.reference))
            for leg, outcome in zip(legs, outcomes, strict=True)
            if isinstance(outcome, Captured)
        ]
        if len(facts) < len(legs):  # a hold was lost: all or nothing, so what came goes back
            return record(*facts, Cancelled(why="hold_lost"))
        last = facts.pop()
        assert isinstance(last, PartPaid)
        until_us = self.recorder.deadlines(run.order).deliver_us
        whole = Paid(leg=last.leg, amount_minor=last.amount_minor, reference=last.reference, deadline_at_us=until_us)
        return record(*facts, whole)

    async def end_unpaid(self, run: Run, end: Cancelled | Rejected | Closed) -> Move:
        """End an order that is not paid, once its channels have confirmed that it never can be.

        Without that, a worker that froze before its charge could wake up after the end and take the money.
        """
        legs = [leg for leg in run.order.legs if leg.is_open]
        outcomes = await self.payments.close(run.order, legs)
        for leg, outcome in zip(legs, outcomes, strict=True):
            if isinstance(outcome, Captured):
                key = run.order.payment_key(leg)
                return self.paid(run, leg, Payment(leg.channel, outcome.amount, outcome.reference, key, outcome.uid))
        if all(isinstance(outcome, ClosedThere) for outcome in outcomes):
            closed = [PaymentClosed(leg=leg.number) for leg in legs if leg.channel != GATEWAY]
            return record(*closed, end)
        return Move(wait_us=run.business.query_every // MICROSECOND, error="a payment could not be closed yet")
