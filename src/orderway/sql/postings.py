"""Writing the ledger, inside a transaction that has begun."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orderway.core.money import MAX_MINOR
from orderway.errors import InsufficientBalance, InvalidValue, KeyReused, OrderwayError
from orderway.ports.ledger import WALLET, Posting
from orderway.sql.dialect import Dialect, PostingStatements
from orderway.sql.lazily import Lazily
from orderway.sql.operations import Post
from orderway.sql.shards import ShardMap
from orderway.sql.steps import Steps

__all__ = ["PostingWrites"]

Key = tuple[str, str]
Row = tuple[Any, ...]


class PostingWrites:
    """The writes of postings over the shards of a database; see ``OrderWrites``."""

    def __init__(self, dialect: Dialect, shards: ShardMap, own: Sequence[int]) -> None:
        self._shards = shards
        self._statements = Lazily(dialect.postings, own)

    def post(self, operations: Sequence[Post]) -> Steps[None]:
        """Apply postings in the order of their arrival.

        What is read here is locked, or found to be changed when it is written back: keys and balances are read for all
        at once, the rules applied in memory, and the results written for all at once.
        """
        groups: dict[int, list[Post]] = {}
        for operation in operations:
            groups.setdefault(self._shards.of_uid(operation.posting.uid), []).append(operation)
        for shard, group in sorted(groups.items()):
            statements = self._statements[shard]
            keys = sorted({(each.posting.uid, each.posting.key) for each in group})
            wallets = sorted({(each.posting.uid, each.posting.currency) for each in group})
            accounts = yield from statements.accounts(wallets)  # first: whoever waits for them sees the keys after it
            books = _Books((yield from statements.keys(keys)), accounts)
            books.post(group)
            yield from books.write(statements)

    def is_written(self, operation: Post) -> Steps[bool]:
        """True if this very write is in the database."""
        posting = operation.posting
        statements = self._statements[self._shards.of_uid(posting.uid)]
        return (yield from statements.write_id(posting.uid, posting.key)) == operation.write_id


class _Books:
    """The keys and wallets that a group of postings is about."""

    def __init__(self, keys: Sequence[Row], accounts: Sequence[Row]) -> None:
        self._applied: dict[Key, str] = {(uid, key): fingerprint for uid, key, fingerprint in keys}
        self._wallets: dict[Key, tuple[int, int]] = {
            (uid, currency): (balance, movements) for uid, currency, balance, movements in accounts
        }
        self._known = frozenset(self._wallets)
        self._changed: set[Key] = set()
        self._postings: list[Row] = []
        self._lines: list[Row] = []

    def post(self, group: list[Post]) -> None:
        for operation in group:
            try:
                operation.result = self._apply(operation)
            except OrderwayError as error:
                operation.error = error

    def write(self, statements: PostingStatements) -> Steps[None]:
        if self._postings:
            wallets = [(*wallet, *self._wallets[wallet]) for wallet in sorted(self._changed)]
            new = [row for row in wallets if row[:2] not in self._known]
            changed = [row for row in wallets if row[:2] in self._known]
            yield from statements.write(new, changed, self._postings, self._lines)

    def _apply(self, operation: Post) -> bool:
        posting = operation.posting
        key = (posting.uid, posting.key)
        known = self._applied.get(key)
        if known is not None:
            if known != operation.fingerprint:
                raise KeyReused(f"key {posting.key} of user {posting.uid} was used for another posting")
            return False
        moved = self._move(posting)
        self._applied[key] = operation.fingerprint
        self._postings.append(
            (
                *(*key, posting.currency, posting.memo),
                *(operation.fingerprint, operation.write_id, operation.at_us, *moved),
            )
        )
        self._lines += [
            (*key, number, line.account, posting.currency, line.amount_minor)
            for number, line in enumerate(posting.lines)
        ]
        return True

    def _move(self, posting: Posting) -> tuple[int, int, int] | tuple[None, None, None]:
        """Move the wallet, if the posting has lines of it: by how much, which movement, the balance after it."""
        amounts = [line.amount_minor for line in posting.lines if line.account == WALLET]
        if not amounts:
            return None, None, None
        wallet = (posting.uid, posting.currency)
        before, movements = self._wallets.get(wallet, (0, 0))
        moved = sum(amounts)
        if before + moved < 0:
            raise InsufficientBalance(
                f"the wallet of user {posting.uid} holds {before} minor units of {posting.currency},"
                f" {-moved} are asked for"
            )
        if before + moved > MAX_MINOR:
            raise InvalidValue(f"the wallet of user {posting.uid} would exceed 2**63-1 minor units")
        self._wallets[wallet] = (before + moved, movements + 1)
        self._changed.add(wallet)
        return moved, movements + 1, before + moved
