"""The ledger in a SQL database."""

from __future__ import annotations

import json
import secrets
from collections import defaultdict
from collections.abc import Mapping, Sequence
from hashlib import sha256
from itertools import groupby
from typing import Any

from sqlalchemy import Select, func, literal, select, tuple_, union_all

from orderway.core.journal import compact_json
from orderway.core.money import MAX_MINOR
from orderway.errors import InvalidValue
from orderway.ports.ledger import WALLET, Line, Posted, Posting, StatementLine
from orderway.ports.limits import too_long_in_posting
from orderway.sql.cluster import Cluster
from orderway.sql.database import Database
from orderway.sql.operations import Post
from orderway.sql.tables import ShardTables

__all__ = ["SqlLedger"]


class SqlLedger:
    """The ``Ledger`` port, over one database or several; see there for what each method promises."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def post(self, posting: Posting, at_us: int) -> bool:
        """Apply a posting; True if it was applied now, False if it had been applied before."""
        check(posting)
        operation = Post(posting, fingerprint(posting), secrets.token_hex(8), at_us)
        return await self._cluster.of_uid(posting.uid).write(operation)

    async def find(self, uid: str, key: str) -> Posting | None:
        """The posting applied under this key, or None."""
        database, tables = self._place(uid)
        rows = await database.fetch(tables.select_posting, of_uid=uid, of_key=key)
        if not rows:
            return None
        return Posting(key, uid, rows[0][0], tuple(Line(row[2], row[3]) for row in rows), rows[0][1])

    async def balance(self, uid: str, currency: str) -> int:
        """The wallet's balance in minor units; 0 for a user that has none."""
        database, tables = self._place(uid)
        account = tables.accounts.c
        rows = await database.fetch(
            select(account.balance_minor).where(account.uid == uid, account.currency == currency)
        )
        return int(rows[0][0]) if rows else 0

    async def statement(
        self, uid: str, currency: str, after: int = 0, limit: int = 50
    ) -> tuple[Sequence[StatementLine], int | None]:
        """Movements of a wallet, oldest first, and the cursor of the next page."""
        if after < 0 or limit < 1:
            raise InvalidValue(f"after={after}, limit={limit}: a cursor is never negative, a limit at least 1")
        database, tables = self._place(uid)
        posting = tables.postings.c
        rows = await database.fetch(
            select(
                posting.key, posting.moved_minor, posting.balance_minor, posting.memo, posting.at_us, posting.movement
            )
            .where(posting.uid == uid, posting.currency == currency, posting.movement > after)
            .order_by(posting.movement)
            .limit(limit + 1)
        )
        page = [StatementLine(*row[:5]) for row in rows[:limit]]
        return page, rows[limit - 1][5] if len(rows) > limit else None

    async def postings(self, after: str | None = None, limit: int = 500) -> tuple[Sequence[Posted], str | None]:
        """Postings of all users, shard by shard, by user and key, and the cursor of the next page."""
        if limit < 1:
            raise InvalidValue(f"limit={limit}: it must be at least 1")
        last = None if after is None else _place_of(after)
        first = 0 if last is None else self._cluster.shards.of_uid(last[0])
        found: list[Posted] = []
        for database, _, tables in self._cluster.each_shard(first):
            rows = await database.fetch(postings_after(tables, last, limit + 1 - len(found)))
            found += [_posted(list(lines)) for _, lines in groupby(rows, key=lambda row: (row[0], row[1]))]
            if len(found) > limit:
                end = found[limit - 1].posting
                return found[:limit], compact_json([end.uid, end.key])
            last = None
        return found, None

    async def trial_balance(self) -> Mapping[str, Mapping[str, int]]:
        """Per currency, the sum of each account kind."""
        sums: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
        for database, _, tables in self._cluster.each_shard():
            account, line = tables.accounts.c, tables.lines.c
            total = func.sum(account.balance_minor)
            wallets = select(account.currency, literal(WALLET), total).group_by(account.currency)
            house = select(line.currency, line.account, func.sum(line.amount_minor)).where(line.account != WALLET)
            # One statement, hence one snapshot: a posting between two would show as books that do not balance.
            both = union_all(wallets, house.group_by(line.currency, line.account))
            for currency, name, amount_minor in await database.fetch(both):
                sums[currency][name] += int(amount_minor)
        return {currency: dict(accounts) for currency, accounts in sums.items()}

    def _place(self, uid: str) -> tuple[Database, ShardTables]:
        database, _, tables = self._cluster.of_shard(self._cluster.shards.of_uid(uid))
        return database, tables


def _place_of(cursor: str) -> tuple[str, str]:
    """The user and key of the posting after which a page begins."""
    try:
        uid, key = json.loads(cursor)
    except (ValueError, TypeError):
        uid = key = None
    if not (isinstance(uid, str) and isinstance(key, str)):
        raise InvalidValue(f"after={cursor!r} is no cursor of this ledger: give what the page before gave")
    return uid, key


def postings_after(tables: ShardTables, last: tuple[str, str] | None, limit: int) -> Select[Any]:
    """One shard's part of a page: the lines of at most so many postings, found by the primary key alone."""
    posting, line = tables.postings.c, tables.lines.c
    page = select(posting.uid, posting.key, posting.currency, posting.memo, posting.at_us)
    if last is not None:
        page = page.where(tuple_(posting.uid, posting.key) > tuple_(*last))
    each = page.order_by(posting.uid, posting.key).limit(limit).subquery("page").c
    return (
        select(each.uid, each.key, each.currency, each.memo, each.at_us, line.account, line.amount_minor)
        .where(line.uid == each.uid, line.key == each.key)
        .order_by(each.uid, each.key, line.number)
    )


def _posted(rows: Sequence[Sequence[Any]]) -> Posted:
    uid, key, currency, memo, at_us = rows[0][:5]
    return Posted(Posting(key, uid, currency, tuple(Line(row[5], row[6]) for row in rows), memo), at_us)


def check(posting: Posting) -> None:
    """Refuse a posting that no ledger may apply.

    Raises:
        InvalidValue: too few lines, a sum other than zero, an unknown account, an amount beyond 64 bits, or a text
            too long for its column.
    """
    amounts = [line.amount_minor for line in posting.lines]
    if len(amounts) < 2 or sum(amounts) != 0:
        raise InvalidValue(f"posting {posting.key}: at least two lines that add up to zero are needed, not {amounts}")
    for line in posting.lines:
        if line.account != WALLET and not line.account.startswith("house:"):
            raise InvalidValue(f"posting {posting.key}: account {line.account!r} is neither 'wallet' nor 'house:...'")
        if abs(line.amount_minor) > MAX_MINOR:
            raise InvalidValue(f"posting {posting.key}: an amount exceeds 2**63-1 minor units")
    misfit = too_long_in_posting(posting)
    if misfit is not None:
        raise misfit


def fingerprint(posting: Posting) -> str:
    """SHA-256 over all that a posting says."""
    lines = [[line.account, line.amount_minor] for line in posting.lines]
    content = [posting.key, posting.uid, posting.currency, lines, posting.memo]
    # What is no Unicode passes here: the database refuses it, and says so.
    return sha256(compact_json(content).encode(errors="surrogatepass")).hexdigest()
