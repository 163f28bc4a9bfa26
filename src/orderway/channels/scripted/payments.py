"""The payments of a scripted channel: what was asked for, and is held, taken or closed."""

from __future__ import annotations

from dataclasses import dataclass

from orderway.channels.scripted.notifications import Outbox
from orderway.channels.scripted.payers import Payment
from orderway.channels.scripted.storage import Storage, as_us
from orderway.core.money import Money
from orderway.errors import KeyReused
from orderway.ports.channel import Captured, Charge, ClosedThere, HeldThere, NotFound, Outcome, Pending, Refused

__all__ = ["Held", "PaymentBook", "Taken"]


@dataclass(frozen=True, slots=True)
class Taken:
    """Money that the channel took: for which key and order, how much, its own number for it, and when."""

    key: str
    order_id: str
    amount: Money
    reference: str
    at_us: int


@dataclass(frozen=True, slots=True)
class Held:
    """Money that is put aside: for which key and order, how much, the channel's own number for it, and since when."""

    key: str
    order_id: str
    amount: Money
    reference: str
    at_us: int


class PaymentBook:
    """All payments of a channel; every method runs inside a transaction."""

    def __init__(self, storage: Storage, outbox: Outbox) -> None:
        self._storage = storage
        self._outbox = outbox

    def find(self, charge: Charge, now_us: int, *, any_amount: bool = False) -> Outcome:
        """What became of a key: any outcome except ``Short``.

        Raises:
            KeyReused: the key stands for another order, currency or amount. Where the amount is open (``at_most``),
                any amount is right.
        """
        row = self._storage.row(
            "SELECT order_id, amount_minor, currency, at_most, state, why FROM payments WHERE key = ?", charge.key
        )
        if row is None:
            return NotFound()
        order_id, amount_minor, code, at_most, state, why = row
        asked = Money(amount_minor, code)
        same_amount = charge.amount == asked or (
            (any_amount or at_most or charge.at_most) and charge.amount.currency == asked.currency
        )
        if order_id != charge.order_id or not same_amount:
            raise KeyReused(
                f"key {charge.key} stands for {asked} of order {order_id}, "
                f"not for {charge.amount} of order {charge.order_id}",
                order_id=charge.order_id,
            )
        return self._outcome(charge.key, state, why, now_us)

    def open(self, charge: Charge, now_us: int, state: str = "open", why: str = "") -> None:
        """Enter a key that was not known."""
        self._storage.execute(
            "INSERT INTO payments VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            charge.key,
            charge.order_id,
            charge.uid,
            charge.amount.amount_minor,
            charge.amount.currency,
            charge.at_most,
            now_us,
            state,
            why,
        )

    def add(self, charge: Charge, payment: Payment, now_us: int) -> str:
        """Enter a payment of this key, with its notifications; returns its reference."""
        ((count,),) = self._storage.rows("SELECT count(*) FROM captures WHERE key = ?", charge.key)
        reference = _reference(charge.key, count + 1)
        begins_us = None if payment.waits else now_us
        after_us = as_us(payment.after)
        self._storage.execute(
            "INSERT INTO captures VALUES (?, ?, ?, ?, ?, ?)",
            reference,
            charge.key,
            payment.amount.amount_minor,
            payment.amount.currency,
            after_us,
            None if begins_us is None else begins_us + after_us,
        )
        says = {
            "about": "payment",
            "order_id": charge.order_id,
            "key": charge.key,
            "uid": charge.uid if payment.uid is None else payment.uid,
            "amount_minor": payment.amount.amount_minor,
            "currency": payment.amount.currency,
            "reference": reference,
        }
        self._outbox.queue(reference, says, payment.notices, begins_us, after_us)
        return reference

    def capture(self, charge: Charge, now_us: int) -> Outcome:
        """Take what is held: ``Captured``, or what became of the key before."""
        outcome = self.find(charge, now_us)
        if not isinstance(outcome, HeldThere):
            return outcome
        self._begin(charge.key, now_us)
        self._storage.execute("UPDATE payments SET state = 'open' WHERE key = ?", charge.key)
        return self.find(charge, now_us)

    def close(self, charge: Charge, now_us: int) -> Outcome:
        """Close a key, unless it is paid; what is held is released, and what payers would still pay is dropped."""
        outcome = self.find(charge, now_us, any_amount=True)  # what is not wanted any more may have become less
        if isinstance(outcome, Captured | ClosedThere):
            return outcome
        if outcome == NotFound():
            self.open(charge, now_us)
        self.drop_coming(charge.key, now_us)
        if isinstance(outcome, HeldThere):
            self._drop(charge.key, "at_us IS NULL")
        self._storage.execute("UPDATE payments SET state = 'closed' WHERE key = ?", charge.key)
        self._begin(charge.key, now_us)  # of a payer who pays after the close
        return ClosedThere()

    def drop_coming(self, key: str, now_us: int) -> None:
        """Forget the payments of a key that are yet to come."""
        self._drop(key, "at_us > ?", now_us)

    def charge_of(self, key: str) -> Charge | None:
        """What was asked for under a key, if it is known."""
        row = self._storage.row(
            "SELECT order_id, uid, amount_minor, currency, at_most FROM payments WHERE key = ?", key
        )
        if row is None:
            return None
        order_id, uid, amount_minor, code, at_most = row
        return Charge(key, order_id, uid, Money(amount_minor, code), at_most=bool(at_most))

    def taken(self, now_us: int) -> list[Taken]:
        """All money taken until now, oldest first."""
        rows = self._storage.rows(
            "SELECT key, order_id, captures.amount_minor, captures.currency, reference, at_us FROM captures "
            "JOIN payments USING (key) WHERE at_us <= ? ORDER BY at_us, reference",
            now_us,
        )
        return [Taken(key, order_id, Money(minor, code), number, at) for key, order_id, minor, code, number, at in rows]

    def find_taken(self, reference: str, now_us: int) -> Taken | None:
        """The payment with this number, if it was made."""
        row = self._storage.row(
            "SELECT key, order_id, captures.amount_minor, captures.currency, at_us FROM captures "
            "JOIN payments USING (key) WHERE reference = ? AND at_us <= ?",
            reference,
            now_us,
        )
        if row is None:
            return None
        key, order_id, amount_minor, code, at_us = row
        return Taken(key, order_id, Money(amount_minor, code), reference, at_us)

    def held(self) -> list[Held]:
        """All money put aside now, oldest first."""
        rows = self._storage.rows(
            "SELECT key, order_id, captures.amount_minor, captures.currency, reference, opened_at_us FROM payments "
            "JOIN captures USING (key) WHERE state = 'held' ORDER BY opened_at_us, reference"
        )
        return [Held(key, order_id, Money(minor, code), number, at) for key, order_id, minor, code, number, at in rows]

    def left_minor(self, taken: Taken, at_us: int) -> int:
        """What the shop still had of a payment: neither going back, nor disputed, nor lost in a dispute."""
        ((gone,),) = self._storage.rows(
            "SELECT (SELECT coalesce(sum(amount_minor), 0) FROM refunds WHERE payment_reference = ? "
            "AND (result = 'returned' OR at_us > ?)) + (SELECT coalesce(sum(amount_minor), 0) FROM disputes "
            "WHERE payment_reference = ? AND state IN ('opened', 'lost'))",
            taken.reference,
            at_us,
            taken.reference,
        )
        return taken.amount.amount_minor - int(gone)

    def _outcome(self, key: str, state: str, why: str, now_us: int) -> Outcome:
        paid = self._storage.row(
            "SELECT amount_minor, currency, reference FROM captures WHERE key = ? AND at_us <= ? "
            "ORDER BY at_us, reference",
            key,
            now_us,
        )
        if paid is not None:
            return Captured(Money(paid[0], paid[1]), paid[2])
        if state == "held":
            ((amount_minor, code, reference),) = self._storage.rows(
                "SELECT amount_minor, currency, reference FROM captures WHERE key = ?", key
            )
            return HeldThere(Money(amount_minor, code), reference)
        if state == "closed":
            return ClosedThere()
        if state == "refused":
            return Refused(why)
        return Pending(_reference(key, 1), {"pay_url": f"scripted://{key}"})

    def _begin(self, key: str, now_us: int) -> None:
        """What waited for this key's capture or close begins now: payment, notifications, dispute."""
        waiting = "(SELECT reference FROM captures WHERE key = ? AND at_us IS NULL)"
        for table, column, of in (("notices", "due_us", "about"), ("disputes", "next_at_us", "payment_reference")):
            self._storage.execute(
                f"UPDATE {table} SET {column} = ? + after_us WHERE {of} IN {waiting} AND {column} IS NULL", now_us, key
            )
        self._storage.execute("UPDATE captures SET at_us = ? + after_us WHERE key = ? AND at_us IS NULL", now_us, key)

    def _drop(self, key: str, condition: str, *values: object) -> None:
        dropped = f"(SELECT reference FROM captures WHERE key = ? AND {condition})"
        for table, of in (("notices", "about"), ("disputes", "payment_reference"), ("captures", "reference")):
            self._storage.execute(f"DELETE FROM {table} WHERE {of} IN {dropped}", key, *values)


def _reference(key: str, nth: int) -> str:
    return f"S{nth}-{key}"
