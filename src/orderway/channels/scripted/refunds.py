"""Refunds of a scripted channel: what goes back, at once, later or not at all, and never more than was paid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from orderway.channels.behaviours import (
    LOST,
    Notice,
    RefundBehaviour,
    RefundRefusedLater,
    RefundsAtOnce,
    RefundsLater,
    RefundTimesOutAfter,
    RefusesRefund,
)
from orderway.channels.scripted.notifications import Outbox
from orderway.channels.scripted.payments import PaymentBook
from orderway.channels.scripted.storage import Storage, as_us
from orderway.core.money import Money
from orderway.errors import KeyReused
from orderway.ports.channel import NotFound, Pending, RefundOrder, RefundOutcome, Refused, Returned

__all__ = ["GivenBack", "RefundBook"]


@dataclass(frozen=True, slots=True)
class GivenBack:
    """Money that went back to a payer: by a refund, or by a dispute that the shop lost.

    Args:
        key: of the refund; "" for a dispute.
        order_id: whose payment it was.
        amount: how much went back.
        payment_reference: the channel's own number of the payment.
        reference: the channel's own number of the refund or dispute.
        at_us: when, in microseconds since 1970.
    """

    key: str
    order_id: str
    amount: Money
    payment_reference: str
    reference: str
    at_us: int


class RefundBook:
    """All refunds of a channel; every method runs inside a transaction."""

    def __init__(self, storage: Storage, outbox: Outbox, payments: PaymentBook) -> None:
        self._storage = storage
        self._outbox = outbox
        self._payments = payments

    def find(self, refund: RefundOrder, now_us: int) -> RefundOutcome:
        """What became of a refund's key: any outcome.

        Raises:
            KeyReused: the key stands for another order, payment or amount.
        """
        row = self._storage.row(
            "SELECT order_id, payment_reference, amount_minor, currency, reference, result, why, at_us FROM refunds "
            "WHERE key = ?",
            refund.key,
        )
        if row is None:
            return NotFound()
        order_id, payment_reference, amount_minor, code, reference, result, why, at_us = row
        amount = Money(amount_minor, code)
        if (order_id, payment_reference, amount) != (refund.order_id, refund.payment_reference, refund.amount):
            raise KeyReused(
                f"refund key {refund.key} stands for {amount} of payment {payment_reference} of order {order_id}, "
                f"not for {refund.amount} of payment {refund.payment_reference} of order {refund.order_id}",
                order_id=refund.order_id,
            )
        if at_us > now_us:
            return Pending(reference)
        return Returned(reference) if result == "returned" else Refused(why)

    def act(self, refund: RefundOrder, behaviour: RefundBehaviour, now_us: int) -> None:
        """Do with a refund whose key is not known as its behaviour says, as far as there is money left."""
        match behaviour:
            case RefundsAtOnce() | RefundsLater() | RefusesRefund() | RefundRefusedLater() | RefundTimesOutAfter():
                problem = self._problem(refund, now_us)
            case _:
                return  # the request never arrived
        match behaviour:
            case _ if problem:
                self._enter(refund, now_us, refused=problem)
            case RefundsAtOnce(notices) | RefundTimesOutAfter(notices):
                self._enter(refund, now_us, notices=notices)
            case RefundsLater(after, notices):
                self._enter(refund, now_us, after, notices)
            case RefusesRefund(why):
                self._enter(refund, now_us, refused=why)
            case RefundRefusedLater(why, after, notices):
                self._enter(refund, now_us, after, notices, refused=why)

    def returned(self, now_us: int) -> list[GivenBack]:
        """All money that went back until now, by refunds and lost disputes, oldest first."""
        rows = self._storage.rows(
            "SELECT key, order_id, amount_minor, currency, payment_reference, reference, at_us FROM refunds "
            "WHERE result = 'returned' AND at_us <= ? UNION ALL "
            "SELECT '', order_id, disputes.amount_minor, captures.currency, payment_reference, disputes.reference, "
            "disputes.next_at_us FROM disputes JOIN captures ON captures.reference = payment_reference "
            "JOIN payments USING (key) WHERE disputes.state = 'lost' ORDER BY 7, 6",
            now_us,
        )
        return [
            GivenBack(key, order_id, Money(minor, code), payment_reference, reference, at_us)
            for key, order_id, minor, code, payment_reference, reference, at_us in rows
        ]

    def _problem(self, refund: RefundOrder, now_us: int) -> str:
        """Why a refund cannot be, whatever the script says; "" if it can."""
        taken = self._payments.find_taken(refund.payment_reference, now_us)
        if taken is None or taken.order_id != refund.order_id:
            return f"order {refund.order_id} has no payment {refund.payment_reference}"
        if taken.amount != refund.payment_amount:
            return f"payment {taken.reference} was of {taken.amount}, not of {refund.payment_amount}"
        if refund.amount.currency != taken.amount.currency:
            return f"payment {taken.reference} was made in {taken.amount.currency}, not in {refund.amount.currency}"
        left = self._payments.left_minor(taken, now_us)
        if refund.amount.amount_minor > left:
            rest = Money(left, taken.amount.currency)
            return f"{refund.amount} is more than is left of payment {taken.reference}: {rest}"
        return ""

    def _enter(
        self,
        refund: RefundOrder,
        now_us: int,
        after: timedelta = timedelta(0),
        notices: Sequence[Notice] = LOST,
        refused: str | None = None,
    ) -> None:
        reference, result = f"R-{refund.key}", "returned" if refused is None else "refused"
        self._storage.execute(
            "INSERT INTO refunds VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            refund.key,
            refund.order_id,
            refund.payment_reference,
            refund.amount.amount_minor,
            refund.amount.currency,
            reference,
            result,
            refused or "",
            now_us + as_us(after),
        )
        says = {
            "about": "refund",
            "order_id": refund.order_id,
            "key": refund.key,
            "amount_minor": refund.amount.amount_minor,
            "currency": refund.amount.currency,
            "result": result,
            "reference": reference,
            "why": refused or "",
        }
        self._outbox.queue(reference, says, notices, now_us, as_us(after))
