"""Payments that come: what each one means for its order, whatever state that is in. The money fact is always kept.

Pure. ``docs/odd-payments.md`` is made from this file: each payment in each stage, with what follows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from orderway.core.facts import Fact, Paid, PartPaid, RefundRequested, Reopened, Stuck, UnexpectedPayment
from orderway.core.money import Money
from orderway.core.order import Order, Stage
from orderway.core.payment import GATEWAY, Leg, LegState
from orderway.core.text import fitting_reference

__all__ = ["Deadlines", "OddPayments", "Payment", "payment_facts"]

_STUCK = frozenset({Stage.FAILING, Stage.STUCK})
_UNPAID_ENDS = frozenset(
    {Stage.CANCELLING, Stage.CANCELLED, Stage.REJECTING, Stage.REJECTED, Stage.CLOSING, Stage.CLOSED}
)
_DECIDED = frozenset({"by_operator", "by_business"})
_MAY_BE_PAID = frozenset(
    {LegState.PLANNED, LegState.PENDING, LegState.UNKNOWN, LegState.CLOSING, LegState.CLOSED, LegState.DECLINED}
)


@dataclass(frozen=True, slots=True)
class Payment:
    """A verified payment.

    Args:
        channel: through which it came.
        amount: how much came.
        reference: the channel's own number of it; tells a repeated notification from a second payment.
        key: the payment key that it was made under, or "".
        uid: the payer, where the channel knows the user; else "".
    """

    channel: str
    amount: Money
    reference: str
    key: str = ""
    uid: str = ""


class OddPayments(Protocol):
    """What an order type wants done with payments that were not asked for so: see ``Business``."""

    @property
    def late_payment(self) -> Literal["revive", "give_back", "ask"]:
        """For an order that ended unpaid."""

    @property
    def second_payment(self) -> Literal["give_back", "ask"]:
        """For an order that is paid."""

    @property
    def wrong_payment(self) -> Literal["give_back", "ask"]:
        """Of another amount, currency or user."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Until when what follows from a payment is tried, in microseconds since 1970.

    Args:
        deliver_us: delivering.
        pay_us: getting the rest, where an order is reopened.
        refund_us: giving back.
    """

    deliver_us: int
    pay_us: int
    refund_us: int


def payment_facts(order: Order[Any], payment: Payment, wishes: OddPayments, until: Deadlines) -> tuple[Fact, ...]:
    """The facts that a verified payment leads to, whatever state the order is in; none if it is known already."""
    reference = fitting_reference(payment.reference)
    if _is_known(order, payment, reference):
        return ()
    leg = _leg_paid(order, payment)
    is_payers = payment.uid in {"", order.uid}
    if is_payers and leg is not None and _fits(leg, payment):
        if _resumes(order) is Stage.CREATED and _is_wanted(order, leg):
            return (_taken(order, leg, reference, until),)
        if order.stage in _UNPAID_ENDS and wishes.late_payment == "revive" and _can_reopen(order, leg):
            reopened = Reopened(leg=leg.number, deadline_at_us=until.pay_us)
            after = order.after(reopened, order.updated_at_us)
            return (reopened, _taken(after, after.legs[leg.number], reference, until))
    return _kept(order, payment, reference, leg, wishes, until, is_payers=is_payers)


def _is_known(order: Order[Any], payment: Payment, reference: str) -> bool:
    came = (payment.channel, reference, payment.amount.amount_minor, payment.amount.currency)
    return any((leg.channel, leg.reference, leg.captured_minor, leg.currency) == came for leg in order.legs)


def _leg_paid(order: Order[Any], payment: Payment) -> Leg | None:
    """The leg that a payment is for: by its key; else the channel's leg that is open, or was.

    Under the key of a hold, it is what was held: another worker has taken it, and it is told before he has recorded it.
    """
    legs = [leg for leg in order.legs if leg.channel == payment.channel]
    may_be_paid = [leg for leg in legs if leg.state in _MAY_BE_PAID]
    held = [leg for leg in legs if leg.state is LegState.HELD]
    by_key = [leg for leg in (*may_be_paid, *held) if payment.key == order.payment_key(leg)]
    by_state = sorted(may_be_paid, key=lambda leg: not leg.is_open)
    return next(iter(by_key or by_state), None)


def _fits(leg: Leg, payment: Payment) -> bool:
    return payment.amount == Money(leg.amount_minor, leg.currency)


def _is_wanted(order: Order[Any], leg: Leg) -> bool:
    """True while the price lacks what this leg would pay; another leg may have been paid in its place."""
    if leg.state is LegState.HELD:  # it is no part of what is missing
        return True
    others = sum(each.worth_minor for each in order.legs if each.is_open and not each.at_most and each is not leg)
    return (leg.worth_minor or leg.amount_minor) <= order.missing_minor - others


def _can_reopen(order: Order[Any], leg: Leg) -> bool:
    """True unless somebody decided that the order shall end, or something else of it is still being closed.

    A new attempt waits for the end of the old one.
    """
    if order.why in _DECIDED:
        return False
    return all(other.state is not LegState.CLOSING for other in order.legs if other is not leg) and not order.refunds


def _taken(order: Order[Any], leg: Leg, reference: str, until: Deadlines) -> Fact:
    """The payment of a leg as it was asked for: the whole price with it, or a part of it."""
    if order.paid_minor + (leg.worth_minor or leg.amount_minor) < order.amount_minor:
        return PartPaid(leg=leg.number, amount_minor=leg.amount_minor, reference=reference)
    return Paid(leg=leg.number, amount_minor=leg.amount_minor, reference=reference, deadline_at_us=until.deliver_us)


def _kept(
    order: Order[Any],
    payment: Payment,
    reference: str,
    leg: Leg | None,
    wishes: OddPayments,
    until: Deadlines,
    *,
    is_payers: bool,
) -> tuple[Fact, ...]:
    """Money that was not asked for so: kept with the order, and what its order type wants done with it."""
    kind, wish = _wish(order, payment, leg, wishes, is_payers=is_payers)
    used_up = leg is not None and payment.key == order.payment_key(leg)
    kept = UnexpectedPayment(
        channel=payment.channel,
        amount_minor=payment.amount.amount_minor,
        currency=payment.amount.currency,
        reference=reference,
        leg=leg.number if leg is not None and used_up else None,
    )
    if wish != "ask" and payment.channel != GATEWAY:  # your own gateway's money only you can give back
        back = RefundRequested(
            refund=len(order.refunds) + 1,
            leg=len(order.legs),
            amount_minor=payment.amount.amount_minor,
            worth_minor=0,
            key="",
            why=f"{kind}_payment",
            deadline_at_us=until.refund_us,
        )
        return (kept, back)
    if order.stage is not Stage.CREATED:
        return (kept,)
    asked = "nothing" if leg is None else str(Money(leg.amount_minor, leg.currency))
    said = f"{payment.amount} came through {payment.channel}, where {asked} was asked for"
    return (kept, Stuck(why="unexpected_payment", error=said))


def _wish(
    order: Order[Any], payment: Payment, leg: Leg | None, wishes: OddPayments, *, is_payers: bool
) -> tuple[str, str]:
    resumes = _resumes(order)
    if not is_payers or (resumes is Stage.CREATED and not _comes_twice(order, payment, leg)):
        return "wrong", wishes.wrong_payment
    if resumes in _UNPAID_ENDS:
        return "late", wishes.late_payment
    return "second", wishes.second_payment


def _comes_twice(order: Order[Any], payment: Payment, leg: Leg | None) -> bool:
    """True if this would have been right, had it not been paid already; other parts of the price may still be held."""
    is_again = any(
        other.state is LegState.PAID and other.channel == payment.channel and _fits(other, payment)
        for other in order.legs
    )
    return is_again or (leg is not None and _fits(leg, payment) and not _is_wanted(order, leg))


def _resumes(order: Order[Any]) -> Stage | None:
    """The stage that decides what a payment means: of a stuck order, the one that it goes on from."""
    return order.resume_stage if order.stage in _STUCK else order.stage
