"""Writing the ledger, inside a transaction that the caller has begun."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from orderway.core.money import MAX_MINOR
from orderway.errors import InsufficientBalance, InvalidValue, KeyReused, OrderwayError
from orderway.ports.ledger import WALLET, Posting
from orderway.sql.dialects.sqlite.statements import PostingStatements
from orderway.sql.operations import Post
from orderway.sql.shards import ShardMap

__all__ = ["PostingWrites"]

Key = tuple[str, str]
Row = tuple[Any, ...]


class PostingWrites:
    """The writes of postings over all shards of a database."""

    def __init__(self, shards: ShardMap) -> None:
        self._shards = shards
        self._statements = [PostingStatements(shard) for shard in range(len(shards))]

    def post(self, connection: sqlite3.Connection, operations: Sequence[Post]) -> None:
        """Apply postings in the order of their arrival.

        The transaction holds the write lock, so that what is read here cannot change before it is written back: keys
        and balances are read for all at once, the rules applied in memory, and the results written for all at once.
        """
        groups: dict[int, list[Post]] = {}
        for operation in operations:
            groups.setdefault(self._shards.of_uid(operation.posting.uid), []).append(operation)
        for shard, group in groups.items():
            _Books(connection, self._statements[shard], group).post(group)

    def is_written(self, connection: sqlite3.Connection, operation: Post) -> bool:
        """True if this very write is in the database."""
        posting = operation.posting
        sql = self._statements[self._shards.of_uid(posting.uid)].select_write_id
        row = connection.execute(sql, (posting.uid, posting.key)).fetchone()
        return row is not None and row[0] == operation.write_id


class _Books:
    """The keys and wallets that a group of postings is about."""

    def __init__(self, connection: sqlite3.Connection, statements: PostingStatements, group: list[Post]) -> None:
        self._connection = connection
        self._statements = statements
        keys = list(dict.fromkeys((operation.posting.uid, operation.posting.key) for operation in group))
        wallets = list(dict.fromkeys((operation.posting.uid, operation.posting.currency) for operation in group))
        self._applied: dict[Key, str] = {
            (uid, key): fingerprint for uid, key, fingerprint in statements.select_keys.fetch(connection, keys)
        }
        self._wallets: dict[Key, tuple[int, int]] = {
            (uid, currency): (balance, movements)
            for uid, currency, balance, movements in statements.select_accounts.fetch(connection, wallets)
        }
        self._changed: set[Key] = set()
        self._postings: list[Row] = []
        self._lines: list[Row] = []

    def post(self, group: list[Post]) -> None:
        for operation in group:
            try:
                operation.result = self._apply(operation)
            except OrderwayError as error:
                operation.error = error
        if self._postings:
            changed = [(*wallet, *self._wallets[wallet]) for wallet in sorted(self._changed)]
            if changed:
                self._statements.write_accounts.execute(self._connection, changed)
            self._statements.insert_postings.execute(self._connection, self._postings)
            self._statements.insert_lines.execute(self._connection, self._lines)

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
