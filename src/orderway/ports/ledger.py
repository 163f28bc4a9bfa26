"""The ledger: accounts of internal money in double entry, append-only, idempotent by key, never negative."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["FUNDING", "HELD", "SALES", "WALLET", "Ledger", "Line", "Posted", "Posting", "StatementLine"]

WALLET = "wallet"
"""The account of a user that has a balance; accounts of the house (``house:...``) are sums of their lines."""
SALES = "house:sales"
"""Where the price of orders goes."""
HELD = "house:held"
"""Where money waits that is held for orders."""
FUNDING = "house:funding"
"""Where top-ups come from, and debits outside any order go to."""


@dataclass(frozen=True, slots=True)
class Line:
    """One side of a posting: ``amount_minor`` into (positive) or out of (negative) an account."""

    account: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Posting:
    """Money moved at once between accounts of one user and the house.

    Args:
        key: the idempotency key, unique per user.
        uid: whose slot it lives in, and whose ``wallet`` is meant.
        currency: of all lines.
        lines: at least two, adding up to zero.
        memo: a text for people.
    """

    key: str
    uid: str
    currency: str
    lines: tuple[Line, ...]
    memo: str = ""


@dataclass(frozen=True, slots=True)
class Posted:
    """A posting as applied, and when, in microseconds since 1970."""

    posting: Posting
    at_us: int


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One movement of a user's wallet: its posting's key and memo, the amount, the balance after it, and when."""

    key: str
    amount_minor: int
    balance_minor: int
    memo: str
    at_us: int


class Ledger(Protocol):
    """Postings over accounts. Each method is atomic, and durable when it returns.

    All methods raise ``Unavailable`` (nothing was done) when the database does not answer.
    """

    async def post(self, posting: Posting, at_us: int) -> bool:
        """Apply a posting; True if it was applied now, False if it had been applied before.

        Idempotent: by (uid, key), remembered for ever with the posting's content. Only applied postings are
        remembered: what was refused for lack of money may be tried again under the same key.

        Raises:
            InsufficientBalance: the wallet would become negative; nothing was written.
            KeyReused: the key was used for a posting of another content.
            InvalidValue: the lines do not add up to zero, or exceed the largest amount.
        """

    async def find(self, uid: str, key: str) -> Posting | None:
        """The posting applied under this key, or None."""

    async def balance(self, uid: str, currency: str) -> int:
        """The wallet's balance in minor units; 0 for a user that has none."""

    async def statement(
        self, uid: str, currency: str, after: int = 0, limit: int = 50
    ) -> tuple[Sequence[StatementLine], int | None]:
        """Movements of a wallet, oldest first, and the cursor of the next page (None: this was the last)."""

    async def postings(self, after: str | None = None, limit: int = 500) -> tuple[Sequence[Posted], str | None]:
        """Postings of all users, at most ``limit``, and the cursor of the next page (None: this was the last).

        The order is stable and the adapter's own, not that of time. Every posting that was applied before the first
        page was asked for comes exactly once; one that is applied while the pages are read comes once or not at all.
        A page costs the same wherever it stands.

        Raises:
            InvalidValue: the cursor is none that this ledger has given, or the limit is below 1.
        """

    async def trial_balance(self) -> Mapping[str, Mapping[str, int]]:
        """Per currency, the sum of each account kind (``wallet`` for all users together, ``house:...``).

        The sums of a currency add up to zero. The wallets' figure is the sum of the stored balances, so that a
        balance that disagrees with its lines shows here.
        """
