"""The operator's hand, and what else comes from outside: cancelling, refunds, corrections, odd and disputed payments.

Nothing here moves an order. Each function decides which facts a request comes to, for the order as it stands; they
are recorded from outside, and the journey carries them out. Asking for the same thing twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orderway.core.facts import (
    Amended,
    Cancelled,
    DisputeLost,
    DisputeOpened,
    DisputeWon,
    Fact,
    PlanChanged,
    RefundRefused,
    RefundRequested,
    RefundResumed,
    Resumed,
    Revoked,
    StepDone,
    Stuck,
    UnexpectedAccepted,
)
from orderway.core.journal import Entry
from orderway.core.money import Money
from orderway.core.order import Order, Stage
from orderway.core.payment import Leg, LegState, Refund, RefundState
from orderway.core.refunds import Allocation, Share, allocate, refundable_worth_minor
from orderway.core.text import fitting_reference
from orderway.errors import (
    ConfigError,
    IllegalTransition,
    InvalidValue,
    KeyReused,
    RefundExceedsPayment,
    Unavailable,
)
from orderway.odd import Deadlines
from orderway.ports.business import Business
from orderway.ports.channel import DisputeNotification, Refused, Returned
from orderway.recorder import WINDING_UP
from orderway.settling import all_refunded, rest_to_refund, returned

__all__ = [
    "accept_facts",
    "amend_facts",
    "cancel_facts",
    "dispute_facts",
    "hold_facts",
    "is_decided",
    "plan_facts",
    "refund_facts",
    "refund_result_facts",
    "resume_facts",
    "skip_facts",
]

_STUCK = frozenset({Stage.FAILING, Stage.STUCK})
_UNDONE = frozenset(
    {
        *(Stage.CANCELLING, Stage.CANCELLED, Stage.REJECTING, Stage.REJECTED, Stage.CLOSING, Stage.CLOSED),
        *(Stage.RETURNING, Stage.REFUNDING, Stage.REFUNDED),
    }
)


def cancel_facts(order: Order[Any], business: Business[Any] | None, reason: str, until: Deadlines) -> Sequence[Fact]:
    """An order that shall not be carried out, or be undone; none if it has ended so already, or is about to.

    Args:
        order: as it stands.
        business: of its type; None if it is not registered here, which matters only where goods were delivered.
        reason: why.
        until: until when taking back is tried.

    Raises:
        UsageError: its goods were delivered, and its business cannot take them back.
        ConfigError: its goods were delivered, and whether they can be taken back is not known here.
    """
    stage = order.resume_stage if order.stage in {*_STUCK, Stage.DISPUTED} else order.stage
    if order.stage in _UNDONE:
        return ()
    if stage in _UNDONE:
        raise IllegalTransition(
            f"order {order.id} got stuck when {stage}: it is being undone already, resume it", order_id=order.id
        )
    if stage is Stage.CREATED:
        return (Cancelled(why="by_operator", error=reason),)
    delivered = stage in {Stage.DELIVERED, Stage.FINISHED}
    if delivered and business is None:
        raise ConfigError(
            f"order {order.id} is {stage}, and whether its goods can be taken back is for its business to say: order "
            f"type {order.type} is not registered here",
            order_id=order.id,
        )
    if delivered and business is not None and not business.overrides("take_back"):
        raise IllegalTransition(
            f"order {order.id} is {stage}, and {type(business).__name__} has no take_back hook: its goods cannot be "
            "taken back. Write the hook, or give money back with refund, which leaves the goods where they are",
            order_id=order.id,
        )
    return (Revoked(why="by_operator", error=reason, deadline_at_us=until.deliver_us),)


def refund_facts(
    order: Order[Any],
    amount: Money | None,
    key: str,
    by: Allocation,
    leg: int | None,
    until: Deadlines,
) -> Sequence[Fact]:
    """Money that shall go back; none if it was asked for under this key before.

    Args:
        order: as it stands.
        amount: how much; None for all that is left. Of the price, in its currency; of one leg, in the leg's.
        key: the caller's own key of this request.
        by: how it is spread over the legs.
        leg: only from this leg; the only way to give back money that was unexpected.
        until: until when it is tried.

    Raises:
        RefundExceedsPayment: there is not so much left; says what there is.
        KeyReused: the key was used for another amount.
        InvalidValue: another currency, or no such leg.
    """
    before = [refund for refund in order.refunds if refund.key == key]
    if before:
        _check_same(order, amount, before, leg)
        return ()
    requests = _requests(order, _shares(order, amount, by, leg), key, until)
    left_minor = sum(refundable_worth_minor(order, leg) for leg in order.legs)
    if order.stage is Stage.PAID and left_minor and left_minor == sum(request.worth_minor for request in requests):
        # All of the money before the goods: then the goods shall not follow.
        return (Revoked(why="refunded", deadline_at_us=until.deliver_us), *requests)
    return requests


def _requests(order: Order[Any], shares: Sequence[Share], key: str, until: Deadlines) -> Sequence[RefundRequested]:
    return [
        RefundRequested(
            refund=len(order.refunds) + nth,
            leg=leg.number,
            amount_minor=amount_minor,
            worth_minor=worth_minor,
            key=key,
            why="requested",
            deadline_at_us=until.refund_us,
        )
        for nth, (leg, amount_minor, worth_minor) in enumerate(shares, start=1)
    ]


def _shares(
    order: Order[Any], amount: Money | None, by: Allocation, number: int | None
) -> Sequence[tuple[Leg, int, int]]:
    if number is not None:
        return [_share_of(order, amount, number)]
    left_minor = sum(refundable_worth_minor(order, leg) for leg in order.legs)
    if amount is not None and amount.currency != order.currency:
        raise InvalidValue(f"order {order.id} is in {order.currency}, a refund of {amount} is not", order_id=order.id)
    asked_minor = left_minor if amount is None else amount.amount_minor
    if asked_minor <= 0 and amount is not None:
        raise InvalidValue(f"a refund is more than 0, not {amount}", order_id=order.id)
    shares = allocate(order, asked_minor, by) if asked_minor else None
    if shares is None:
        raise RefundExceedsPayment(
            f"order {order.id}: {Money(left_minor, order.currency)} can go back, "
            f"{'nothing is left' if amount is None else f'{amount} was asked for'}",
            order_id=order.id,
        )
    return shares


def _share_of(order: Order[Any], amount: Money | None, number: int) -> Share:
    leg = order.find_leg(number)
    if leg is None or not leg.captured_minor:
        paid = [leg.number for leg in order.legs if leg.captured_minor]
        raise InvalidValue(f"order {order.id} has no money in leg {number}, only in {paid}", order_id=order.id)
    if amount is not None and amount.currency != leg.currency:
        raise InvalidValue(f"leg {number} is in {leg.currency}, a refund of {amount} is not", order_id=order.id)
    asked_minor = leg.refundable_minor if amount is None else amount.amount_minor
    if not 0 < asked_minor <= leg.refundable_minor:
        raise RefundExceedsPayment(
            f"order {order.id}: {Money(leg.refundable_minor, leg.currency)} of leg {number} can go back, "
            f"{Money(asked_minor, leg.currency)} was asked for",
            order_id=order.id,
        )
    worth_minor = refundable_worth_minor(order, leg)
    return leg, asked_minor, worth_minor * asked_minor // leg.refundable_minor


def _check_same(order: Order[Any], amount: Money | None, before: Sequence[Refund], number: int | None) -> None:
    legs = {refund.leg for refund in before}
    if number is not None:
        came = Money(sum(refund.amount_minor for refund in before), order.legs[number].currency)
        is_same = legs == {number} and amount in {None, came}
    else:
        came = Money(sum(refund.worth_minor for refund in before), order.currency)
        is_same = amount in {None, came}
    if not is_same:
        raise KeyReused(
            f"refund key {before[0].key!r} of order {order.id} stands for {came} of legs {sorted(legs)}: "
            "use another key for another refund",
            order_id=order.id,
        )


def refund_result_facts(order: Order[Any], number: int, outcome: Returned | Refused) -> Sequence[Fact]:
    """What became of a refund, as its channel or your own gateway tells; none if that is known.

    Raises:
        InvalidValue: there is no such refund.
    """
    refund = order.find_refund(number)
    if refund is None:
        raise InvalidValue(f"order {order.id} has {len(order.refunds)} refunds, none is number {number}")
    if isinstance(outcome, Returned):
        return returned(refund, outcome.reference)(order)
    if refund.state in {RefundState.RETURNED, RefundState.REFUSED}:
        return ()
    return (RefundRefused(refund=number, error=outcome.why),)


def is_decided(entries: Sequence[Entry], reference: str) -> bool:
    """True if the journal says how this dispute ended: what is told of it once more, in whatever order, is no news."""
    of = fitting_reference(reference)
    ends = (entry for entry in entries if entry.fact in {DisputeWon.__name__, DisputeLost.__name__})
    return any(entry.fields["reference"] == of for entry in ends)


def dispute_facts(order: Order[Any], told: DisputeNotification) -> Sequence[Fact]:
    """A dispute that is not decided yet, or what was decided in it; none if it is known to be open.

    Raises:
        Unavailable: the order does not know of this payment yet: to be told again.
    """
    reference = fitting_reference(told.payment_reference)
    leg = next((leg for leg in order.legs if leg.reference == reference and leg.captured_minor), None)
    if leg is None:
        raise Unavailable(
            f"order {order.id} does not know yet of the payment {reference!r} that is disputed: tell it again later",
            order_id=order.id,
        )
    number, of = leg.number, fitting_reference(told.reference)
    opened = DisputeOpened(leg=number, amount_minor=told.amount.amount_minor, reference=of)
    facts: list[Fact] = [] if leg.disputed_minor else [opened]  # the end may be told first
    if told.state == "won":
        facts.append(DisputeWon(leg=number, reference=of))
    elif told.state == "lost":
        lost_minor = min(told.amount.amount_minor, leg.refundable_minor)  # what is reserved goes back that way
        facts.append(DisputeLost(leg=number, amount_minor=lost_minor, reference=of))
        after = order.copy()
        for fact in facts:
            after.apply(fact, order.updated_at_us)
        facts += all_refunded(after)
    return facts


def resume_facts(order: Order[Any], until: Deadlines) -> Sequence[Fact]:
    """A stuck order, or its stuck refunds, sent on.

    Raises:
        IllegalTransition: nothing of it is stuck.
    """
    facts: list[Fact] = [
        RefundResumed(refund=refund.number, deadline_at_us=until.refund_us)
        for refund in order.refunds
        if refund.state is RefundState.STUCK
    ]
    if order.stage in _STUCK:
        facts.append(Resumed(deadline_at_us=until.pay_us if order.resume_stage is Stage.CREATED else until.deliver_us))
        if order.resume_stage in WINDING_UP:  # also what was refused before: a person has asked for it again
            facts += rest_to_refund(order, until.refund_us, again=True)
    if not facts:
        raise IllegalTransition(
            f"order {order.id} is {order.stage}, and no refund of it is stuck: only what is stuck can be resumed",
            order_id=order.id,
        )
    return facts


def retry_facts(order: Order[Any], until: Deadlines) -> Sequence[Fact]:
    """What is stuck, sent on; none where the order only waits for its next try.

    Raises:
        IllegalTransition: nothing is to be tried.
    """
    if order.stage in _STUCK or any(refund.state is RefundState.STUCK for refund in order.refunds):
        return resume_facts(order, until)
    if order.is_final:
        raise IllegalTransition(
            f"order {order.id} is {order.stage}: there is nothing to be tried again", order_id=order.id
        )
    return ()


def amend_facts(order: Order[Any], text: str) -> Sequence[Fact]:
    """Corrected business data; none if it is so already."""
    return () if text == order.data_text else (Amended(data=text, before=order.data_text),)


def skip_facts(order: Order[Any], step: str, result: str) -> Sequence[Fact]:
    """A step of the delivery that is not to be done any more; none if it is done."""
    return () if step in order.steps else (StepDone(step=step, result=result, skipped=True),)


def hold_facts(order: Order[Any], reason: str) -> Sequence[Fact]:
    """An order that a person wants to look at before it goes on; none if it is stuck already."""
    return () if order.stage in _STUCK else (Stuck(why="held_by_operator", error=reason),)


def accept_facts(order: Order[Any], number: int) -> Sequence[Fact]:
    """Unexpected money of which nothing more is needed; none if that was said."""
    leg = order.find_leg(number)
    if leg is not None and leg.state is LegState.ACCEPTED:
        return ()
    return (UnexpectedAccepted(leg=number),)


def plan_facts(order: Order[Any], channel: str) -> Sequence[Fact]:
    """Another channel for what is still to be paid; none if that channel is asked already.

    Raises:
        IllegalTransition: the order does not wait for a payment any more.
    """
    if order.stage is not Stage.CREATED:
        raise IllegalTransition(
            f"order {order.id} is {order.stage}: the way to pay can change only while it waits for its payment",
            order_id=order.id,
        )
    replaced = [leg for leg in order.legs if leg.is_open and not leg.holds]
    if [leg.channel for leg in replaced] == [channel]:
        return ()
    # An open amount: should a hold before it fall away, it asks for that too.
    worth_minor = sum(leg.worth_minor for leg in replaced)
    leg = Leg(len(order.legs), channel, worth_minor, order.currency, worth_minor=worth_minor, at_most=True)
    return (PlanChanged(legs=(leg,)),)
