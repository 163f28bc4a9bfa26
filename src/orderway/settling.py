"""Settling: payments that are not wanted any more are closed, holds go back, refunds are brought about.

It runs beside an order's way, in whatever stage: money on its way back never waits for goods, nor goods for it. What
is to be settled stands in the order itself (legs in ``closing``, live refunds), written before anything is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from orderway.core.facts import (
    AllRefunded,
    Fact,
    PaymentClosed,
    Refunded,
    RefundPending,
    RefundRefused,
    RefundRequested,
    RefundStuck,
    RefundUnknown,
    Released,
)
from orderway.core.order import Order, Stage
from orderway.core.payment import GATEWAY, Leg, LegState, Refund, RefundState
from orderway.core.refunds import refundable_worth_minor
from orderway.core.text import fitting_reference, storable
from orderway.errors import HoldLost
from orderway.moves import Move
from orderway.odd import Payment, payment_facts
from orderway.payments import Payments
from orderway.ports.channel import Captured, ClosedThere, Pending, Refused, Returned
from orderway.recorder import MICROSECOND, Decide, Recorder
from orderway.run import Run

__all__ = ["Settling", "all_refunded", "rest_to_refund"]

_PRICE_PAID = frozenset({Stage.PAID, Stage.DELIVERED, Stage.FINISHED, Stage.DISPUTED})


def all_refunded(order: Order[Any]) -> tuple[Fact, ...]:
    """The fact that the whole price has gone back, if it has, and the order is not being undone already."""
    if order.stage not in _PRICE_PAID or any(leg.state is LegState.PAID and leg.kept_minor for leg in order.legs):
        return ()
    return (AllRefunded(),) if order.amount_minor else ()


def rest_to_refund(order: Order[Any], deadline_at_us: int, *, again: bool = False) -> tuple[RefundRequested, ...]:
    """Refunds of all that is left of the price, for an order that is being undone.

    Args:
        order: as it stands.
        deadline_at_us: until when they are tried.
        again: also where the channel refused before; a person has asked for that.
    """
    refused = {refund.leg for refund in order.refunds if refund.state is RefundState.REFUSED}
    legs = [
        leg
        for leg in order.legs
        if leg.state is LegState.PAID and leg.refundable_minor and (again or leg.number not in refused)
    ]
    return tuple(
        RefundRequested(
            refund=len(order.refunds) + nth,
            leg=leg.number,
            amount_minor=leg.refundable_minor,
            worth_minor=refundable_worth_minor(order, leg),
            key="",
            why=order.why,
            deadline_at_us=deadline_at_us,
        )
        for nth, leg in enumerate(legs, start=1)
    )


class Settling:
    """Closes, releases and gives back.

    Args:
        recorder: knows the clock and the deadlines.
        payments: asks the channels.
        random: gives numbers in [0, 1), for the jitter.
    """

    def __init__(self, recorder: Recorder, payments: Payments, random: Callable[[], float]) -> None:
        self.recorder = recorder
        self.payments = payments
        self.random = random

    async def settle(self, run: Run) -> Move:
        """Ask for everything that is to be settled, at the same time; what came of it is recorded together."""
        order = run.order
        duties = [self._close(run, leg) for leg in order.legs if leg.state is LegState.CLOSING]
        duties += [self._refund(run, refund) for refund in order.refunds if refund.is_live]
        decides: list[Decide] = []
        waits: list[Move] = []
        for result in await asyncio.gather(*duties, return_exceptions=True):
            if isinstance(result, Move):
                waits.append(result)
            elif not isinstance(result, BaseException):
                decides.append(result)
            elif isinstance(result, Exception) and not isinstance(result, HoldLost):
                waits.append(self._try_again(run, result))
            else:
                raise result
        if decides:
            return Move(_in_turn(decides), is_payment=True)
        return min(waits, key=lambda move: move.wait_us or 0)

    def _try_again(self, run: Run, error: Exception) -> Move:
        order, retry = run.order, run.business.retry
        attempts = order.attempts
        if run.is_watched:  # there it counts alerts: the pauses double with the time that has passed
            attempts = ((run.now_us - order.updated_at_us) * MICROSECOND // retry.first).bit_length()
        wait_us = retry.delay_us(attempts + 1, self.random())
        return Move(wait_us=wait_us, error=storable(f"{type(error).__name__}: {error}"), failed=True)

    async def _close(self, run: Run, leg: Leg) -> Decide | Move:
        order = run.order
        (outcome,) = await self.payments.close(order, [leg])
        match outcome:
            case ClosedThere():
                closed = Released(leg=leg.number) if leg.authorized_minor else PaymentClosed(leg=leg.number)
                return _while(lambda order: _is_closing(order, leg), closed)
            case Captured(amount, reference, uid):
                payment = Payment(leg.channel, amount, reference, order.payment_key(leg), uid)
                until = self.recorder.deadlines(order)
                return lambda order: payment_facts(order, payment, run.business, until)
            case _:
                pause_us = self.payments.pause_us(leg.channel, order, run.business, run.now_us)
                return Move(wait_us=pause_us, error=f"{leg.channel} did not close yet")

    async def _refund(self, run: Run, refund: Refund) -> Decide | Move:
        number, leg = refund.number, run.order.legs[refund.leg]
        left_us = refund.deadline_at_us - run.now_us
        pause_us = self.payments.pause_us(leg.channel, run.order, run.business, run.now_us)
        pause_us = min(pause_us, max(left_us, 0))
        if leg.channel == GATEWAY:
            if left_us > 0:
                return Move(wait_us=left_us, error=f"refund {number} is yours to pay: tell it by record_refund")
            return self._give_up(refund, "nobody told of its result by record_refund")
        try:
            outcome = await self.payments.give_back(run.order, refund)
        except Exception as error:
            if left_us > 0:
                raise
            return self._give_up(refund, storable(f"{type(error).__name__}: {error}"))
        match outcome:
            case Returned(reference):
                return returned(refund, reference)
            case Refused(why):
                return _while(lambda order: _is_live(order, number), RefundRefused(refund=number, error=storable(why)))
            case _ if left_us <= 0:
                return self._give_up(refund, f"{leg.channel} gave no result in time")
            case Pending(reference) if refund.state is not RefundState.PENDING:
                pending = RefundPending(refund=number, reference=fitting_reference(reference))
                return _while(lambda order: _is_live(order, number), pending)
            case None if refund.state is RefundState.RESERVED:
                return _while(lambda order: _is_live(order, number), RefundUnknown(refund=number))
            case _:
                return Move(wait_us=pause_us, error=f"{leg.channel} has no result of refund {number} yet")

    def _give_up(self, refund: Refund, error: str) -> Decide:
        stuck = RefundStuck(refund=refund.number, error=error)
        return _while(lambda order: _is_live(order, refund.number), stuck)


def returned(refund: Refund, reference: str) -> Decide:
    """What follows when a refund's money went back."""
    fact = Refunded(refund=refund.number, reference=fitting_reference(reference))

    def decide(order: Order[Any]) -> Sequence[Fact]:
        if not _is_live(order, refund.number):
            return ()
        return (fact, *all_refunded(order.after(fact, order.updated_at_us)))

    return decide


def _is_live(order: Order[Any], number: int) -> bool:
    refund = order.find_refund(number)
    return refund is not None and (refund.is_live or refund.state is RefundState.STUCK)


def _is_closing(order: Order[Any], leg: Leg) -> bool:
    found = order.find_leg(leg.number)
    return found is not None and found.state is LegState.CLOSING and found.attempt == leg.attempt


def _while(holds: Callable[[Order[Any]], bool], fact: Fact) -> Decide:
    """This fact, for an order of which this still holds when it is written."""
    return lambda order: (fact,) if holds(order) else ()


def _in_turn(decides: Sequence[Decide]) -> Decide:
    """All of these, each deciding on the order as the ones before have left it."""

    def decide(order: Order[Any]) -> Sequence[Fact]:
        facts: list[Fact] = []
        for each in decides:
            for fact in each(order):
                facts.append(fact)
                order = order.after(fact, order.updated_at_us)
        return facts

    return decide
