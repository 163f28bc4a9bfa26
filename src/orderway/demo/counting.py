"""A ledger and a channel as any others, that also count what was asked of them a second time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orderway.channels.behaviours import Behaviour, RefundBehaviour
from orderway.channels.scripted import ScriptedChannel
from orderway.demo.fates import Deal
from orderway.demo.payers import behaviour_of, refund_behaviour_of
from orderway.demo.settings import Folder
from orderway.demo.tally import Tally, What
from orderway.ports.channel import Charge, Outcome, RefundOrder, RefundOutcome
from orderway.ports.ledger import Ledger, Posted, Posting, StatementLine
from orderway.system_clock import SystemClock

__all__ = ["CountingChannel", "CountingLedger"]


class CountingChannel(ScriptedChannel):
    """The scripted channel as it was dealt; counts charges and refunds that came again for a key that it knows.

    Args:
        folder: where its file is.
        deals: of all lines.
        seed: the seed.
        tally: counts.
    """

    def __init__(self, folder: Folder, deals: Sequence[Deal], seed: int, tally: Tally) -> None:
        super().__init__(SystemClock(), self._pay, refund_script=self._give_back, path=folder.channel)
        self._deals = {deal.order_id: deal for deal in deals}
        self._seed = seed
        self._tally = tally
        self._is_new = False

    async def charge(self, charge: Charge) -> Outcome:
        """As ``ScriptedChannel.charge``."""
        self._is_new = False
        try:
            return await super().charge(charge)
        finally:
            if not self._is_new:
                self._tally.add(What.CHANNEL_CHARGED_AGAIN)

    async def refund(self, refund: RefundOrder) -> RefundOutcome:
        """As ``ScriptedChannel.refund``."""
        self._is_new = False
        try:
            return await super().refund(refund)
        finally:
            if not self._is_new:
                self._tally.add(What.CHANNEL_REFUNDED_AGAIN)

    # The scripts are asked only for keys that nothing was done for yet.

    def _pay(self, charge: Charge) -> Behaviour | Sequence[Behaviour]:
        self._is_new = True
        return behaviour_of(self._deals[charge.order_id], self._seed)

    def _give_back(self, refund: RefundOrder) -> RefundBehaviour | Sequence[RefundBehaviour]:
        self._is_new = True
        return refund_behaviour_of(self._deals[refund.order_id], self._seed)


class CountingLedger:
    """A ledger that counts the postings that had been made already."""

    def __init__(self, ledger: Ledger, tally: Tally) -> None:
        self._ledger = ledger
        self._tally = tally

    async def post(self, posting: Posting, at_us: int) -> bool:
        """As ``Ledger.post``."""
        applied = await self._ledger.post(posting, at_us)
        if not applied:
            is_own = posting.key.startswith("own:")
            self._tally.add(What.TOPPED_UP_AGAIN if is_own else What.WALLET_MOVED_AGAIN)
        return applied

    async def find(self, uid: str, key: str) -> Posting | None:
        """As ``Ledger.find``."""
        return await self._ledger.find(uid, key)

    async def balance(self, uid: str, currency: str) -> int:
        """As ``Ledger.balance``."""
        return await self._ledger.balance(uid, currency)

    async def statement(
        self, uid: str, currency: str, after: int = 0, limit: int = 50
    ) -> tuple[Sequence[StatementLine], int | None]:
        """As ``Ledger.statement``."""
        return await self._ledger.statement(uid, currency, after, limit)

    async def postings(self, after: str | None = None, limit: int = 500) -> tuple[Sequence[Posted], str | None]:
        """As ``Ledger.postings``."""
        return await self._ledger.postings(after, limit)

    async def trial_balance(self) -> Mapping[str, Mapping[str, int]]:
        """As ``Ledger.trial_balance``."""
        return await self._ledger.trial_balance()
