"""The scripted channel: a payment channel that does what it is told, for your tests and for the demo.

It pays at once, later, twice, never, or a wrong amount; it refuses; it times out before or after it took the
money. Its notifications are signed as a real channel's are, and can be lost, doubled, late or forged::

    channel = ScriptedChannel(clock, {1999: NeverPays(), 2500: PaysLater(notices=DOUBLED)})

Like a real channel it outlives the shop: with ``path`` it keeps what it took in an SQLite file of its own, which
several processes may use at once.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import sqlite3
from asyncio import Event
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from threading import Lock

from orderway.channels.behaviours import (
    DOUBLED,
    LOST,
    ONCE,
    Behaviour,
    NeverPays,
    Notice,
    PaysAtOnce,
    PaysLater,
    PaysTwice,
    PaysWrongAmount,
    Refuses,
    Script,
    TimesOutAfter,
    TimesOutBefore,
    Unreachable,
)
from orderway.core.money import Money
from orderway.errors import BadNotification, InvalidValue, KeyReused, OrderwayError, OutcomeUnknown, Unavailable
from orderway.ports.channel import Captured, Charge, ClosedThere, NotFound, Notification, Outcome, Pending, Refused
from orderway.ports.clock import Clock

__all__ = [
    "DOUBLED",
    "LOST",
    "ONCE",
    "SIGNATURE_HEADER",
    "Behaviour",
    "NeverPays",
    "Notice",
    "PaysAtOnce",
    "PaysLater",
    "PaysTwice",
    "PaysWrongAmount",
    "Refuses",
    "Script",
    "ScriptedChannel",
    "Taken",
    "TimesOutAfter",
    "TimesOutBefore",
    "Unreachable",
]

SIGNATURE_HEADER = "Scripted-Signature"

_PAYS = PaysAtOnce()


@dataclass(frozen=True, slots=True)
class Taken:
    """Money that the channel took: for which key and order, how much, its own number for it, and when."""

    key: str
    order_id: str
    amount: Money
    reference: str
    at_us: int


_TABLES = """
CREATE TABLE IF NOT EXISTS payments (
    key TEXT PRIMARY KEY, order_id TEXT NOT NULL, amount_minor INTEGER NOT NULL, currency TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'closed', 'refused')), why TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS captures (
    reference TEXT PRIMARY KEY, key TEXT NOT NULL, amount_minor INTEGER NOT NULL, at_us INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS captures_by_key ON captures (key, at_us);
CREATE TABLE IF NOT EXISTS notices (
    number INTEGER PRIMARY KEY, reference TEXT NOT NULL, due_us INTEGER NOT NULL,
    body BLOB NOT NULL, signature TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS notices_by_due ON notices (due_us);
CREATE TABLE IF NOT EXISTS attempts (order_id TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
"""
# A payment that is yet to come is a capture in the future: it counts once the clock has reached it; closing deletes it.


class ScriptedChannel:
    """A channel that behaves as its script says, and remembers what it took.

    Idempotent: a key takes money once, whatever happens and however many callers race, in one process or in
    several; only ``PaysTwice`` says otherwise. Atomic: each call is one transaction. With ``path``, what was taken
    survives the death of processes, though not of the machine. Calls block the event loop, for a moment only.

    Args:
        clock: times payments and notifications; with a shared ``path``, the same time for all processes.
        script: how to behave; what it does not name is done as ``default`` says.
        default: how to behave where the script says nothing.
        path: an SQLite file of its own; None keeps everything in memory.
        secret: signs the notifications.
        notify: awaited by :meth:`deliver` with body and headers of each notification; may be set later.
        name: what legs call it.
        asks_payer: whether the payer pays on the channel's side.
        redeliver_after: when a notification is sent again that the receiver could not take.
    """

    def __init__(
        self,
        clock: Clock,
        script: Script | None = None,
        *,
        default: Behaviour = _PAYS,
        path: str | Path | None = None,
        secret: bytes = b"scripted",
        notify: Callable[[bytes, Mapping[str, str]], Awaitable[object]] | None = None,
        name: str = "scripted",
        asks_payer: bool = True,
        redeliver_after: timedelta = timedelta(seconds=1),
    ) -> None:
        self.name = name
        self.asks_payer = asks_payer
        self.notify = notify
        self.script: Script = {} if script is None else script
        self._clock = clock
        self._default = default
        self._secret = secret
        self._redeliver_us = _us(redeliver_after)
        self._lock = Lock()
        self._database = sqlite3.connect(
            ":memory:" if path is None else path, isolation_level=None, timeout=30, check_same_thread=False
        )
        # No fsync: the file must survive killed processes, not power cuts, and a killed writer's journal rolls back.
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.executescript(f"BEGIN IMMEDIATE; {_TABLES} COMMIT")

    def disconnect(self) -> None:
        """Close the file; what was taken stays in it. Idempotent."""
        self._database.close()

    # ---- the port

    async def charge(self, charge: Charge) -> Outcome:
        """As the script says: ``Captured``, ``Pending``, ``Refused`` or ``ClosedThere``.

        Raises:
            OutcomeUnknown: ``TimesOutBefore`` and ``TimesOutAfter``.
            Unavailable: ``Unreachable``.
            KeyReused: the key came before with another order or amount.
            InvalidValue: the amount is not positive.
        """
        if charge.amount.amount_minor <= 0:
            raise InvalidValue(f"a channel is charged a positive amount, not {charge.amount}", order_id=charge.order_id)
        with self._transaction():
            outcome = self._found(charge)
            behaviour = None
            if outcome == NotFound():
                behaviour = self._next_behaviour(charge)
                self._act(charge, behaviour)
                outcome = self._found(charge)
        if isinstance(behaviour, Unreachable):
            raise Unavailable(f"{self.name} cannot be reached; nothing was sent", order_id=charge.order_id)
        if isinstance(behaviour, TimesOutBefore | TimesOutAfter):
            raise OutcomeUnknown(f"{self.name} did not answer the charge of {charge.key}", order_id=charge.order_id)
        return outcome

    async def query(self, charge: Charge) -> Outcome:
        """The truth about this key: any outcome except ``Short``."""
        with self._transaction():
            return self._found(charge)

    async def close(self, charge: Charge) -> Outcome:
        """Make sure that it cannot be paid any more: ``ClosedThere``, or ``Captured`` if it was paid."""
        with self._transaction():
            outcome = self._found(charge)
            if isinstance(outcome, Captured):
                return outcome
            if outcome == NotFound():
                self._open(charge)
            coming = "SELECT reference FROM captures WHERE key = ?"
            self._database.execute(f"DELETE FROM notices WHERE reference IN ({coming})", (charge.key,))
            self._database.execute("DELETE FROM captures WHERE key = ?", (charge.key,))
            self._database.execute("UPDATE payments SET state = 'closed' WHERE key = ?", (charge.key,))
            return ClosedThere()

    def verify(self, body: bytes, headers: Mapping[str, str]) -> Notification:
        """What a notification says, once its signature over the raw body has been verified.

        Raises:
            BadNotification: the signature is missing or wrong, or the body cannot be read.
        """
        given = next((text for name, text in headers.items() if name.lower() == SIGNATURE_HEADER.lower()), "")
        if not hmac.compare_digest(given.encode(errors="replace"), _signature(self._secret, body).encode()):
            raise BadNotification(
                f"{SIGNATURE_HEADER} does not match the body: it was not sent by {self.name}, or altered"
            )
        try:
            said = json.loads(body)
            return Notification(
                order_id=said["order_id"],
                key=said["key"],
                amount=Money(said["amount_minor"], said["currency"]),
                reference=said["reference"],
            )
        except (ValueError, KeyError, TypeError) as error:
            raise BadNotification(f"the notification is signed but cannot be read: {error}") from error

    # ---- notifications

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
            ((reference, body, signature),) = popped
            try:
                await self.notify(body, {SIGNATURE_HEADER: signature})
            except OrderwayError as error:
                if error.retryable:
                    self._put_back(reference, body, signature)
            except BaseException:
                self._put_back(reference, body, signature)
                raise
            sent += 1
        return sent

    async def run(self, stop: Event, every: timedelta = timedelta(milliseconds=50)) -> None:
        """Deliver notifications as they become due, looking this often, until the event is set."""
        while not stop.is_set():
            await self.deliver()
            await self._clock.wait(stop, every.total_seconds())

    # ---- for audits

    def taken(self) -> list[Taken]:
        """All money taken until now, oldest first."""
        with self._transaction():
            rows = self._database.execute(
                "SELECT key, order_id, captures.amount_minor, currency, reference, at_us FROM captures "
                "JOIN payments USING (key) WHERE at_us <= ? ORDER BY at_us, reference",
                (self._clock.now_us(),),
            ).fetchall()
        return [Taken(key, order_id, Money(minor, code), number, at) for key, order_id, minor, code, number, at in rows]

    # ---- inside a transaction

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def _found(self, charge: Charge) -> Outcome:
        row = self._database.execute(
            "SELECT order_id, amount_minor, currency, state, why FROM payments WHERE key = ?", (charge.key,)
        ).fetchone()
        if row is None:
            return NotFound()
        order_id, amount_minor, code, state, why = row
        if (order_id, amount_minor, code) != (
            charge.order_id,
            charge.amount.amount_minor,
            charge.amount.currency,
        ):
            raise KeyReused(
                f"key {charge.key} stands for {Money(amount_minor, code)} of order {order_id}, "
                f"not for {charge.amount} of order {charge.order_id}",
                order_id=charge.order_id,
            )
        capture = self._database.execute(
            "SELECT amount_minor, reference FROM captures WHERE key = ? AND at_us <= ? "
            "ORDER BY at_us, reference LIMIT 1",
            (charge.key, self._clock.now_us()),
        ).fetchone()
        if capture is not None:
            return Captured(Money(capture[0], code), capture[1])
        if state == "closed":
            return ClosedThere()
        if state == "refused":
            return Refused(why)
        return Pending(_reference(charge.key, 1), {"pay_url": f"scripted://{charge.key}"})

    def _next_behaviour(self, charge: Charge) -> Behaviour:
        if callable(self.script):
            chosen = self.script(charge)
        else:
            by_amount = self.script.get(charge.amount.amount_minor, self._default)
            chosen = self.script.get(charge.order_id, by_amount)
        if not isinstance(chosen, Sequence):
            return chosen
        ((attempt,),) = self._database.execute(
            "INSERT INTO attempts VALUES (?, 1) ON CONFLICT (order_id) DO UPDATE SET count = count + 1 RETURNING count",
            (charge.order_id,),
        ).fetchall()
        return chosen[min(attempt, len(chosen)) - 1] if chosen else self._default

    def _act(self, charge: Charge, behaviour: Behaviour) -> None:
        price = charge.amount.amount_minor
        match behaviour:
            case TimesOutBefore() | Unreachable():
                return
            case Refuses(why):
                self._open(charge, "refused", why)
                return
        self._open(charge)
        match behaviour:
            case PaysAtOnce(notices) | TimesOutAfter(notices):
                self._take(charge, 1, price, timedelta(0), notices)
            case PaysLater(after, notices):
                self._take(charge, 1, price, after, notices)
            case PaysWrongAmount(amount_minor, off_by, after, notices):
                self._take(charge, 1, price + off_by if amount_minor is None else amount_minor, after, notices)
            case PaysTwice(after, again_after, notices):
                self._take(charge, 1, price, after, notices)
                self._take(charge, 2, price, after + again_after, notices)

    def _open(self, charge: Charge, state: str = "open", why: str = "") -> None:
        amount = charge.amount
        self._database.execute(
            "INSERT INTO payments VALUES (?, ?, ?, ?, ?, ?)",
            (charge.key, charge.order_id, amount.amount_minor, amount.currency, state, why),
        )

    def _take(self, charge: Charge, nth: int, amount_minor: int, after: timedelta, notices: Sequence[Notice]) -> None:
        reference = _reference(charge.key, nth)
        at_us = self._clock.now_us() + _us(after)
        self._database.execute("INSERT INTO captures VALUES (?, ?, ?, ?)", (reference, charge.key, amount_minor, at_us))
        for notice in notices:
            body, signature = self._notification(charge, amount_minor, reference, notice)
            self._queue(reference, at_us + _us(notice.after), body, signature)

    def _notification(self, charge: Charge, amount_minor: int, reference: str, notice: Notice) -> tuple[bytes, str]:
        says = {
            "order_id": charge.order_id,
            "key": charge.key,
            "amount_minor": amount_minor,
            "currency": charge.amount.currency,
            "reference": reference,
        }
        body = json.dumps(says).encode()
        secret = b"not " + self._secret if notice.forged == "signature" else self._secret
        signature = _signature(secret, body)
        if notice.forged == "amount":
            body = json.dumps({**says, "amount_minor": amount_minor + 1}).encode()
        return body, signature

    def _queue(self, reference: str, due_us: int, body: bytes, signature: str) -> None:
        row = (reference, due_us, body, signature)
        self._database.execute("INSERT INTO notices (reference, due_us, body, signature) VALUES (?, ?, ?, ?)", row)

    def _put_back(self, reference: str, body: bytes, signature: str) -> None:
        with self._transaction():
            self._queue(reference, self._clock.now_us() + self._redeliver_us, body, signature)

    def _pop(self, limit: int = -1) -> list[tuple[str, bytes, str]]:
        with self._transaction():
            rows = self._database.execute(
                "SELECT number, reference, body, signature FROM notices WHERE due_us <= ? "
                "ORDER BY due_us, number LIMIT ?",
                (self._clock.now_us(), limit),
            ).fetchall()
            self._database.executemany("DELETE FROM notices WHERE number = ?", [row[:1] for row in rows])
        return [row[1:] for row in rows]


def _us(delay: timedelta) -> int:
    return delay // timedelta(microseconds=1)


def _reference(key: str, nth: int) -> str:
    return f"S{nth}-{key}"


def _signature(secret: bytes, body: bytes) -> str:
    return hmac.new(secret, body, hashlib.sha256).hexdigest()
