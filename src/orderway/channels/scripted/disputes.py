"""Disputes of a scripted channel: payers who want their money back from the channel instead of from the shop."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

from orderway.channels.behaviours import Disputes, Notice
from orderway.channels.scripted.notifications import Outbox
from orderway.channels.scripted.payers import Payment
from orderway.channels.scripted.payments import PaymentBook
from orderway.channels.scripted.storage import Storage, as_us
from orderway.core.money import Money

__all__ = ["DisputeBook"]


class DisputeBook:
    """All disputes of a channel; every method runs inside a transaction.

    A dispute is planned with its payment. How much it is about is only known when it is opened: at most what the shop
    still has of the payment then, and none at all if that is nothing.
    """

    def __init__(self, storage: Storage, outbox: Outbox, payments: PaymentBook) -> None:
        self._storage = storage
        self._outbox = outbox
        self._payments = payments

    def plan(self, payment_reference: str, payment: Payment, now_us: int) -> None:
        """Plan the dispute that follows a payment, if one does."""
        if payment.dispute is not None:
            after_us = as_us(payment.after + payment.dispute.after)
            self._insert(payment_reference, payment.dispute, after_us, None if payment.waits else now_us)

    def open(self, payment_reference: str, dispute: Disputes, now_us: int) -> str | None:
        """Open a dispute of a payment now; returns its reference, or None if nothing is left to dispute."""
        reference = self._insert(payment_reference, dispute, 0, now_us)
        self.catch_up(now_us)
        row = self._storage.row("SELECT state FROM disputes WHERE reference = ?", reference)
        return reference if row is not None else None

    def decide(self, reference: str, decision: Literal["won", "lost"], now_us: int) -> bool:
        """Decide an open dispute now; False if there is no open one with this reference."""
        if self._storage.row("SELECT 1 FROM disputes WHERE reference = ? AND state = 'opened'", reference) is None:
            return False
        self._storage.execute(
            "UPDATE disputes SET decision = ?, next_at_us = ? WHERE reference = ?", decision, now_us, reference
        )
        self.catch_up(now_us)
        return True

    def catch_up(self, now_us: int) -> None:
        """Open and decide what is due, in the order of instants."""
        while due := self._storage.row(
            "SELECT reference, state FROM disputes WHERE state IN ('planned', 'opened') AND next_at_us <= ? "
            "ORDER BY next_at_us, reference",
            now_us,
        ):
            reference, state = due
            if state == "planned":
                self._open(reference)
            else:
                self._decide(reference)

    def _insert(self, payment_reference: str, dispute: Disputes, after_us: int, now_us: int | None) -> str:
        ((count,),) = self._storage.rows("SELECT count(*) FROM disputes WHERE payment_reference = ?", payment_reference)
        reference = f"D{count + 1}-{payment_reference}"
        self._storage.execute(
            "INSERT INTO disputes VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'planned')",
            reference,
            payment_reference,
            dispute.amount_minor,
            json.dumps([[as_us(notice.after), notice.forged] for notice in dispute.notices]),
            dispute.decided,
            as_us(dispute.decided_after),
            after_us,
            None if now_us is None else now_us + after_us,
        )
        return reference

    def _open(self, reference: str) -> None:
        ((payment_reference, wanted, decision, decided_after_us, at_us),) = self._storage.rows(
            "SELECT payment_reference, amount_minor, decision, decided_after_us, next_at_us FROM disputes "
            "WHERE reference = ?",
            reference,
        )
        taken = self._payments.find_taken(payment_reference, at_us)
        left = 0 if taken is None else self._payments.left_minor(taken, at_us)
        amount_minor = left if wanted is None else min(wanted, left)
        if amount_minor <= 0:
            self._storage.execute("DELETE FROM disputes WHERE reference = ?", reference)
            return
        self._storage.execute(
            "UPDATE disputes SET state = 'opened', amount_minor = ?, next_at_us = ? WHERE reference = ?",
            amount_minor,
            None if decision is None else at_us + decided_after_us,
            reference,
        )
        self._tell(reference, at_us)

    def _decide(self, reference: str) -> None:
        ((at_us,),) = self._storage.rows("SELECT next_at_us FROM disputes WHERE reference = ?", reference)
        self._storage.execute("UPDATE disputes SET state = decision WHERE reference = ?", reference)
        self._tell(reference, at_us)

    def _tell(self, reference: str, at_us: int) -> None:
        ((order_id, payment_reference, amount_minor, code, state, notices),) = self._storage.rows(
            "SELECT order_id, payment_reference, disputes.amount_minor, captures.currency, disputes.state, notices "
            "FROM disputes JOIN captures ON captures.reference = payment_reference JOIN payments USING (key) "
            "WHERE disputes.reference = ?",
            reference,
        )
        amount = Money(amount_minor, code)
        says = {
            "about": "dispute",
            "order_id": order_id,
            "payment_reference": payment_reference,
            "reference": reference,
            "amount_minor": amount.amount_minor,
            "currency": amount.currency,
            "state": state,
        }
        self._outbox.queue(reference, says, _notices(notices), at_us)


def _notices(text: str) -> Sequence[Notice]:
    return [Notice(timedelta(microseconds=after_us), forged) for after_us, forged in json.loads(text)]
