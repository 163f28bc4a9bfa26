"""The wallet channel: an order is paid from the user's own balance in the ledger.

A key is used up by whichever posting comes first under it. Charging posts wallet -> ``house:sales``; closing posts a
*tombstone*: lines of nothing, between accounts of the house. The ledger keeps one posting per (uid, key) for ever and
refuses another content, so of a charge and a close that race exactly one wins: a holder that froze before its charge
and wakes up after its order was closed cannot take the money any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from orderway.core.money import Money
from orderway.errors import BadNotification, CommitUnknown, InsufficientBalance, InvalidValue, KeyReused, OutcomeUnknown
from orderway.ports.channel import Captured, Charge, ClosedThere, NotFound, Outcome, Short
from orderway.ports.clock import Clock
from orderway.ports.ledger import FUNDING, SALES, WALLET, Ledger, Line, Posting

__all__ = ["WalletChannel"]

_TOMBSTONE = (Line(SALES, 0), Line(FUNDING, 0))


class WalletChannel:
    """Takes the price of an order out of the user's wallet, at once.

    Every method is atomic, and idempotent by ``charge.key``. Raises ``Unavailable`` when the ledger does not answer
    and nothing was done, ``OutcomeUnknown`` when its commit's answer was lost.

    Args:
        ledger: where the wallets are.
        clock: gives the postings their time.
    """

    name = "wallet"
    asks_payer = False

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    async def charge(self, charge: Charge) -> Outcome:
        """Move the price from the wallet to ``house:sales``: ``Captured``, ``Short``, or ``ClosedThere``.

        ``Short`` is not remembered: after a top-up the same key may be charged again.

        Raises:
            InvalidValue: the amount is not positive.
            KeyReused: the key paid another amount before.
        """
        price = charge.amount
        if price.amount_minor <= 0:
            raise InvalidValue(f"a wallet is charged a positive amount, not {price}", order_id=charge.order_id)
        lines = (Line(WALLET, -price.amount_minor), Line(SALES, price.amount_minor))
        try:
            await self._post(charge, lines, f"order {charge.order_id}")
        except InsufficientBalance as error:
            return Short(str(error))
        except KeyReused:
            if await self.query(charge) == ClosedThere():
                return ClosedThere()
            raise
        return Captured(price, charge.key)

    async def query(self, charge: Charge) -> Outcome:
        """What the ledger has under this key: ``Captured``, ``ClosedThere`` or ``NotFound``.

        Raises:
            KeyReused: the key belongs to a posting that is no payment.
        """
        posting = await self._ledger.find(charge.uid, charge.key)
        if posting is None:
            return NotFound()
        if not any(line.amount_minor for line in posting.lines):
            return ClosedThere()
        paid = -sum(line.amount_minor for line in posting.lines if line.account == WALLET)
        if paid <= 0:
            raise KeyReused(
                f"key {charge.key} of user {charge.uid} belongs to a posting that is no payment: {posting.memo!r}; "
                "keys of your own postings must not look like an order's payment keys",
                order_id=charge.order_id,
            )
        return Captured(Money(paid, posting.currency), charge.key)

    async def close(self, charge: Charge) -> Outcome:
        """Use the key up, so that no later charge takes money: ``ClosedThere``, or ``Captured`` if it was paid."""
        try:
            await self._post(charge, _TOMBSTONE, f"order {charge.order_id}: payment closed")
        except KeyReused:
            return await self.query(charge)
        return ClosedThere()

    def verify(self, body: bytes, headers: Mapping[str, str]) -> NoReturn:
        """A wallet sends no notifications.

        Raises:
            BadNotification: always.
        """
        raise BadNotification("the wallet channel sends no notifications; nothing in this one is believed")

    async def _post(self, charge: Charge, lines: tuple[Line, ...], memo: str) -> None:
        posting = Posting(charge.key, charge.uid, charge.amount.currency, lines, memo)
        try:
            await self._ledger.post(posting, self._clock.now_us())
        except CommitUnknown as error:
            raise OutcomeUnknown(
                f"the ledger's answer to {charge.key} was lost; query it before anything else",
                order_id=charge.order_id,
            ) from error
