"""The wallet channel: an order is paid from the user's own balance in the ledger, at once or by a hold.

A key is used up by whichever posting comes first under it. Charging posts wallet -> ``house:sales``, holding posts
wallet -> ``house:held``; closing posts a *tombstone*: lines of nothing, between accounts of the house. The ledger keeps
one posting per (uid, key) for ever and refuses another content, so of a charge and a close that race exactly one wins:
a worker that froze before its charge and wakes up after its order was closed cannot take the money any more.

The end of a hold has one key of its own, for both of its ends: ``house:held`` -> ``house:sales`` captures it,
``house:held`` -> wallet releases it. So of a capture and a release, too, exactly one wins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import NoReturn

from orderway.core.money import Money
from orderway.errors import (
    BadNotification,
    CommitUnknown,
    InsufficientBalance,
    InvalidValue,
    KeyReused,
    OutcomeUnknown,
    Unavailable,
)
from orderway.ports.channel import (
    Captured,
    Charge,
    ClosedThere,
    HeldThere,
    NotFound,
    Outcome,
    RefundOrder,
    RefundOutcome,
    Refused,
    Returned,
    Short,
)
from orderway.ports.clock import Clock
from orderway.ports.ledger import FUNDING, HELD, SALES, WALLET, Ledger, Line, Posting

__all__ = ["WalletChannel"]

_TOMBSTONE = (Line(SALES, 0), Line(FUNDING, 0))
_MOST_TRIES = 10


class WalletChannel:
    """Takes the price of an order out of the user's wallet, at once or by a hold, and gives it back there.

    The currency of a leg says which of the user's balances is meant; several wallet channels (``wallet``, ``points``)
    share one ledger. Every method is atomic, and idempotent by its key. Raises ``Unavailable`` when the ledger does
    not answer and nothing was done, ``OutcomeUnknown`` when its commit's answer was lost.

    Args:
        ledger: where the wallets are.
        clock: gives the postings their time.
        name: what legs call it.
    """

    asks_payer = False
    query_after: Sequence[timedelta] = ()
    holds = True

    def __init__(self, ledger: Ledger, clock: Clock, *, name: str = "wallet") -> None:
        self.name = name
        self._ledger = ledger
        self._clock = clock

    async def charge(self, charge: Charge) -> Outcome:
        """Move the price from the wallet to ``house:sales``: ``Captured``, ``Short``, or ``ClosedThere``.

        ``Short`` is not remembered: after a top-up the same key may be charged again.

        Raises:
            InvalidValue: the amount is not positive.
            KeyReused: the key paid or held another amount before.
        """
        price_minor = _positive(charge)
        lines = (Line(WALLET, -price_minor), Line(SALES, price_minor))
        try:
            await self._post(charge, charge.key, lines, _memo_of_charge(charge))
        except InsufficientBalance as error:
            return Short(str(error))
        except KeyReused:
            if await self.query(charge) == ClosedThere():
                return ClosedThere()
            raise
        return Captured(charge.amount, charge.key)

    async def hold(self, charge: Charge) -> Outcome:
        """Move the amount from the wallet to ``house:held``: ``HeldThere``, ``Short``, or ``ClosedThere``.

        With ``at_most`` as much as there is, up to the amount. ``Short`` is not remembered. A hold that was captured
        meanwhile is ``Captured``.

        Raises:
            InvalidValue: the amount is not positive.
            KeyReused: the key paid, or held another amount, before.
            Unavailable: nothing was held, for the balance changed all the time.
        """
        _positive(charge)
        if not charge.at_most:
            return await self._hold(charge, charge.amount)
        for _ in range(_MOST_TRIES):
            # The balance first: were it read last, it could be missing what this key held in between.
            balance_minor = await self._ledger.balance(charge.uid, charge.amount.currency)
            posting = await self._ledger.find(charge.uid, charge.key)
            if posting is not None:
                return await self._held_before(charge, posting)
            if balance_minor <= 0:
                return Short(f"{charge.uid!r} has nothing in {charge.amount.currency}")
            there = Money(min(balance_minor, charge.amount.amount_minor), charge.amount.currency)
            outcome = await self._hold(charge, there)
            if not isinstance(outcome, Short):
                return outcome  # otherwise it was spent meanwhile: look again
        raise Unavailable(
            f"nothing was held: the balance of {charge.uid!r} changed {_MOST_TRIES} times meanwhile; try it again",
            order_id=charge.order_id,
        )

    async def capture(self, charge: Charge) -> Outcome:
        """Move what is held to ``house:sales``: ``Captured``, ``ClosedThere`` if it was released, or ``NotFound``."""
        return await self._end_hold(charge, SALES, f"order {charge.order_id}: captured")

    async def query(self, charge: Charge) -> Outcome:
        """What the ledger has under this key: ``Captured``, ``HeldThere``, ``ClosedThere`` or ``NotFound``.

        Raises:
            KeyReused: the key belongs to a posting that is no payment.
        """
        posting = await self._ledger.find(charge.uid, charge.key)
        return NotFound() if posting is None else await self._outcome(charge, posting)

    async def close(self, charge: Charge) -> Outcome:
        """Use the key up, or release what it holds: ``ClosedThere``, or ``Captured`` if it was paid."""
        try:
            await self._post(charge, charge.key, _TOMBSTONE, f"order {charge.order_id}: payment closed")
        except KeyReused:
            return await self._end_hold(charge, WALLET, f"order {charge.order_id}: released")
        return ClosedThere()

    async def refund(self, refund: RefundOrder) -> RefundOutcome:
        """Move money from ``house:sales`` back to the wallet: ``Returned``, or ``Refused`` if it was never paid so.

        That all refunds of a payment together are not more than it was is for the caller to see to.

        Raises:
            KeyReused: the key gave another amount back before, or belongs to something else.
        """
        problem = await self._problem(refund)
        if problem:
            return Refused(problem)
        back_minor = refund.amount.amount_minor
        lines = (Line(SALES, -back_minor), Line(WALLET, back_minor))
        asked = Charge(refund.key, refund.order_id, refund.uid, refund.amount)
        await self._post(asked, refund.key, lines, f"order {refund.order_id}: refund")
        return Returned(refund.key)

    async def query_refund(self, refund: RefundOrder) -> RefundOutcome:
        """What became of a refund: ``Returned`` or ``NotFound``.

        Raises:
            KeyReused: the key belongs to a posting that is no refund.
        """
        posting = await self._ledger.find(refund.uid, refund.key)
        if posting is None:
            return NotFound()
        if not 0 < _moved(posting, WALLET) == -_moved(posting, SALES):
            raise _reused(refund.key, posting, "refund", refund.order_id)
        return Returned(refund.key)

    def verify(self, body: bytes, headers: Mapping[str, str]) -> NoReturn:
        """A wallet sends no notifications.

        Raises:
            BadNotification: always.
        """
        raise BadNotification(f"the channel {self.name} sends no notifications; nothing in this one is believed")

    async def _hold(self, charge: Charge, amount: Money) -> Outcome:
        lines = (Line(WALLET, -amount.amount_minor), Line(HELD, amount.amount_minor))
        try:
            is_new = await self._post(charge, charge.key, lines, _memo_of_hold(charge))
        except InsufficientBalance as error:
            return Short(str(error))
        except KeyReused:
            if not charge.at_most and await self.query(charge) != ClosedThere():
                raise
            is_new = False  # with at_most, another amount may have been there for whoever was first
        posting = None if is_new else await self._ledger.find(charge.uid, charge.key)
        return HeldThere(amount, charge.key) if posting is None else await self._held_before(charge, posting)

    async def _held_before(self, charge: Charge, posting: Posting) -> Outcome:
        """What became of the hold that used the key up."""
        outcome = await self._outcome(charge, posting)
        if outcome == ClosedThere():
            return outcome
        is_this = (posting.memo, posting.currency) == (_memo_of_hold(charge), charge.amount.currency)
        if not is_this or _moved(posting, HELD) > charge.amount.amount_minor:
            raise _reused(charge.key, posting, f"hold of at most {charge.amount}", charge.order_id)
        return outcome

    async def _outcome(self, charge: Charge, posting: Posting) -> Outcome:
        """What a posting under a payment's key stands for."""
        if not any(line.amount_minor for line in posting.lines):
            return ClosedThere()
        taken = Money(-_moved(posting, WALLET), posting.currency)
        if taken.amount_minor <= 0:
            raise _reused(charge.key, posting, "payment", charge.order_id)
        if not _moved(posting, HELD):
            return Captured(taken, charge.key)
        end = await self._ledger.find(charge.uid, _end_key(charge.key))
        if end is None:
            return HeldThere(taken, charge.key)
        if _moved(end, HELD) != -taken.amount_minor or end.currency != taken.currency:
            raise _reused(_end_key(charge.key), end, f"end of the hold {charge.key}", charge.order_id)
        return Captured(taken, charge.key) if _moved(end, SALES) else ClosedThere()

    async def _end_hold(self, charge: Charge, account: str, memo: str) -> Outcome:
        """End a hold this way, unless it has ended; what became of it."""
        found = await self.query(charge)
        if not isinstance(found, HeldThere):
            return found
        held = replace(charge, amount=found.amount)  # all of it, whatever was asked for
        lines = (Line(HELD, -held.amount.amount_minor), Line(account, held.amount.amount_minor))
        try:
            await self._post(held, _end_key(charge.key), lines, memo)
        except KeyReused:
            return await self.query(charge)  # the other end came first
        return Captured(found.amount, charge.key) if account == SALES else ClosedThere()

    async def _problem(self, refund: RefundOrder) -> str:
        """Why a refund cannot be; "" if it can."""
        charge = Charge(refund.payment_reference, refund.order_id, refund.uid, refund.payment_amount)
        posting = await self._ledger.find(charge.uid, charge.key)
        if posting is None or posting.memo not in {_memo_of_charge(charge), _memo_of_hold(charge)}:
            return f"{charge.uid!r} has paid nothing for order {charge.order_id} under {charge.key!r}"
        paid = await self._outcome(charge, posting)
        if paid != Captured(charge.amount, charge.key):
            return f"{charge.key!r} is no payment of {charge.amount}: {paid}"
        if refund.amount.currency != charge.amount.currency:
            return f"{refund.amount} cannot go back of a payment in {charge.amount.currency}"
        if not 0 < refund.amount.amount_minor <= charge.amount.amount_minor:
            return f"{refund.amount} is not between nothing and the {charge.amount} that were paid"
        return ""

    async def _post(self, charge: Charge, key: str, lines: tuple[Line, ...], memo: str) -> bool:
        posting = Posting(key, charge.uid, charge.amount.currency, lines, memo)
        try:
            return await self._ledger.post(posting, self._clock.now_us())
        except CommitUnknown as error:
            raise OutcomeUnknown(
                f"the ledger's answer to {key} was lost; query it before anything else", order_id=charge.order_id
            ) from error


def _positive(charge: Charge) -> int:
    if charge.amount.amount_minor <= 0:
        raise InvalidValue(f"a wallet is charged a positive amount, not {charge.amount}", order_id=charge.order_id)
    return charge.amount.amount_minor


def _moved(posting: Posting, account: str) -> int:
    """What a posting moved into (positive) or out of (negative) an account."""
    return sum(line.amount_minor for line in posting.lines if line.account == account)


def _end_key(key: str) -> str:
    """The key that ends a hold, whichever way."""
    return f"{key}-c"


def _memo_of_charge(charge: Charge) -> str:
    return f"order {charge.order_id}"


def _memo_of_hold(charge: Charge) -> str:
    return f"order {charge.order_id}: held"


def _reused(key: str, posting: Posting, expected: str, order_id: str) -> KeyReused:
    return KeyReused(
        f"key {key} of user {posting.uid} belongs to a posting that is no {expected}: {posting.memo!r}; "
        "keys of your own postings must not look like an order's payment keys",
        order_id=order_id,
    )
