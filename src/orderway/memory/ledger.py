"""The ledger, in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from orderway.core.money import MAX_MINOR
from orderway.errors import InsufficientBalance, InvalidValue, KeyReused
from orderway.memory.database import MemoryDatabase, check_storable
from orderway.ports.ledger import WALLET, Posted, Posting, StatementLine
from orderway.ports.limits import too_long_in_posting

__all__ = ["MemoryLedger"]


class MemoryLedger:
    """The ledger on a :class:`MemoryDatabase`; see :class:`orderway.ports.ledger.Ledger`."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def post(self, posting: Posting, at_us: int) -> bool:
        """Apply a posting; True if it was applied now, False if it had been applied before."""
        _check(posting, at_us)
        async with self._database.writing():
            known = self._database.postings.get((posting.uid, posting.key))
            if known is not None:
                if known.posting != posting:
                    raise KeyReused(
                        f"key {posting.key!r} of {posting.uid!r} stands for another posting: {known.posting}"
                    )
                return False
            self._apply(posting, at_us)
            return True

    async def find(self, uid: str, key: str) -> Posting | None:
        """The posting applied under this key, or None."""
        async with self._database.reading():
            found = self._database.postings.get((uid, key))
        return None if found is None else found.posting

    async def balance(self, uid: str, currency: str) -> int:
        """The wallet's balance in minor units."""
        async with self._database.reading():
            return self._database.balances.get((uid, currency), 0)

    async def statement(
        self, uid: str, currency: str, after: int = 0, limit: int = 50
    ) -> tuple[Sequence[StatementLine], int | None]:
        """Movements of a wallet, oldest first, and the cursor of the next page."""
        if after < 0 or limit < 1:
            raise InvalidValue(f"after={after}, limit={limit}: a cursor is never negative, a limit at least 1")
        async with self._database.reading():
            lines = self._database.statements.get((uid, currency), [])
            end = after + limit
            return lines[after:end], end if end < len(lines) else None

    async def postings(self, after: str | None = None, limit: int = 500) -> tuple[Sequence[Posted], str | None]:
        """Postings of all users, in the order in which they came, and the cursor of the next page."""
        if limit < 1 or not (after is None or (after.isascii() and after.isdigit())):
            raise InvalidValue(f"after={after!r}, limit={limit}: a cursor is what a page gave, a limit at least 1")
        async with self._database.reading():
            posted, start = self._database.posted, int(after or 0)
            end = start + limit
            return posted[start:end], str(end) if end < len(posted) else None

    async def trial_balance(self) -> Mapping[str, Mapping[str, int]]:
        """Per currency, the sum of each account kind."""
        totals: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        async with self._database.reading():
            for (_, code), balance in self._database.balances.items():
                totals[code][WALLET] += balance
            for (account, code), total in self._database.house.items():
                totals[code][account] += total
        return {code: dict(accounts) for code, accounts in totals.items()}

    def _apply(self, posting: Posting, at_us: int) -> None:
        wallet = (posting.uid, posting.currency)
        moved = [line.amount_minor for line in posting.lines if line.account == WALLET]
        before = self._database.balances.get(wallet, 0)
        after = before + sum(moved)
        if after < 0:
            raise InsufficientBalance(
                f"{posting.uid!r} has {before} minor units of {posting.currency}, {-sum(moved)} are asked for"
            )
        if after > MAX_MINOR:
            raise InvalidValue(f"the balance of {posting.uid!r} would exceed the largest amount, {MAX_MINOR}")
        posted = Posted(posting, at_us)
        self._database.postings[posting.uid, posting.key] = posted
        self._database.posted.append(posted)
        if moved:
            self._database.balances[wallet] = after
            line = StatementLine(posting.key, sum(moved), after, posting.memo, at_us)
            self._database.statements.setdefault(wallet, []).append(line)
        for side in posting.lines:
            if side.account != WALLET:
                account = (side.account, posting.currency)
                self._database.house[account] = self._database.house.get(account, 0) + side.amount_minor


def _check(posting: Posting, at_us: int) -> None:
    what = f"posting {posting.key!r}"
    misfit = too_long_in_posting(posting)
    if misfit is not None:
        raise misfit
    check_storable(what, (posting.key, posting.uid, posting.currency, posting.memo, at_us))
    for line in posting.lines:
        if line.account != WALLET and not line.account.startswith("house:"):
            raise InvalidValue(f"{what}: account {line.account!r} is neither {WALLET!r} nor 'house:...'")
        if not -MAX_MINOR <= line.amount_minor <= MAX_MINOR:
            raise InvalidValue(f"{what}: {line.amount_minor} exceeds the largest amount, {MAX_MINOR}")
    total = sum(line.amount_minor for line in posting.lines)
    if len(posting.lines) < 2 or total != 0:
        raise InvalidValue(
            f"{what} has {len(posting.lines)} lines with the sum {total}: at least two with the sum 0 are needed"
        )
