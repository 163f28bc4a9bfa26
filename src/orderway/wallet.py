"""The wallet: internal money of users, as the ledger keeps it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from orderway.core.money import Money
from orderway.delivery import forbid_nesting
from orderway.errors import InvalidValue
from orderway.ports.clock import Clock
from orderway.ports.ledger import FUNDING, WALLET, Ledger, Line, Posting, StatementLine

__all__ = ["Wallet"]


class Wallet:
    """Balances of users: top up, debit, look. Never negative.

    Every method raises ``NestedCall`` inside ``delivery.transaction()``, which holds the database.

    Args:
        ledger: where the money is.
        clock: for the instants.
        on_top_up: told the uid after a top-up, so that orders that waited for it go on.
    """

    def __init__(self, ledger: Ledger, clock: Clock, on_top_up: Callable[[str], Awaitable[None]]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._on_top_up = on_top_up

    async def top_up(self, uid: str, money: Money, *, key: str, memo: str = "") -> bool:
        """Put money into a user's wallet; orders that waited for it go on.

        Idempotent: by (uid, key). Atomic.

        Args:
            uid: whose.
            money: how much, more than 0.
            key: your own number of this top-up, at most 64 characters.
            memo: a text for people.

        Returns:
            True if it was applied now, False if it had been applied before.

        Raises:
            KeyReused: the key was used for another top-up or debit.
        """
        applied = await self._post(uid, money, key, memo, sign=1)
        if applied:
            await self._on_top_up(uid)
        return applied

    async def debit(self, uid: str, money: Money, *, key: str, memo: str = "") -> bool:
        """Take money out of a user's wallet, outside any order.

        Idempotent: by (uid, key). Atomic. Arguments and result as ``top_up``.

        Raises:
            InsufficientBalance: the wallet does not hold so much; nothing was taken.
            KeyReused: the key was used for another top-up or debit.
        """
        return await self._post(uid, money, key, memo, sign=-1)

    async def balance(self, uid: str, currency: str) -> Money:
        """What a user's wallet holds; nothing for a user who never had one."""
        forbid_nesting()
        return Money(await self._ledger.balance(uid, currency), currency)

    async def statement(
        self, uid: str, currency: str, *, after: int = 0, limit: int = 50
    ) -> tuple[Sequence[StatementLine], int | None]:
        """The movements of a wallet, oldest first, with the balance after each; and the next page's cursor."""
        forbid_nesting()
        return await self._ledger.statement(uid, currency, after, limit)

    async def _post(self, uid: str, money: Money, key: str, memo: str, *, sign: int) -> bool:
        forbid_nesting()
        if money.amount_minor <= 0:
            raise InvalidValue(f"{money}: an amount to move is more than 0")
        if not 1 <= len(key) <= 64:
            raise InvalidValue(f"key {key[:70]!r}: 1 to 64 characters are allowed")
        lines = (Line(WALLET, sign * money.amount_minor), Line(FUNDING, -sign * money.amount_minor))
        # Keys of people and keys of orders are kept apart: an order's key can never be taken by a top-up.
        return await self._ledger.post(Posting(f"own:{key}", uid, money.currency, lines, memo), self._clock.now_us())
