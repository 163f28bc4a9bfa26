"""The hot statements over the ledger, written by hand, for many rows at once.

All at READ COMMITTED. Wallets are locked, in the order of their keys, before they are looked at; a new one is a plain
insert, which fails where another transaction has just made it.
"""

from __future__ import annotations

from collections.abc import Iterator

from orderway.sql.dialect import Row, Rows
from orderway.sql.dialects.mysql.literals import literal
from orderway.sql.dialects.mysql.many import chunks, insert, insert_into
from orderway.sql.steps import Read, Steps, first_value

__all__ = ["PostingStatements"]


class PostingStatements:
    """The statements over one shard's ledger."""

    def __init__(self, shard: int) -> None:
        accounts, postings, lines = f"ow_accounts_{shard}", f"ow_postings_{shard}", f"ow_lines_{shard}"
        self._select_keys = f"SELECT uid, `key`, fingerprint FROM {postings} FORCE INDEX (PRIMARY) WHERE {{}}"
        self._select_accounts = (
            f"SELECT uid, currency, balance_minor, movements FROM {accounts} FORCE INDEX (PRIMARY) WHERE {{}}"
            " ORDER BY uid, currency FOR UPDATE"
        )
        self._insert_accounts = insert_into(accounts, ("uid", "currency", "balance_minor", "movements"))
        self._insert_postings = insert_into(
            postings,
            (
                *("uid", "key", "currency", "memo", "fingerprint", "write_id", "at_us"),
                *("moved_minor", "movement", "balance_minor"),
            ),
        )
        self._insert_lines = insert_into(lines, ("uid", "key", "number", "account", "currency", "amount_minor"))
        self._select_write_id = f"SELECT write_id FROM {postings} WHERE uid = %s AND `key` = %s"

    def keys(self, keys: Rows) -> Steps[Rows]:
        """Uid, key and fingerprint of those that were applied; locks nothing."""
        found: list[Row] = []
        for condition in _conditions("uid = {} AND `key` = {}", keys):
            found += yield Read(self._select_keys.format(condition))
        return found

    def accounts(self, wallets: Rows) -> Steps[Rows]:
        """Uid, currency, balance and movements of the wallets that exist; locks them."""
        found: list[Row] = []
        for condition in _conditions("uid = {} AND currency = {}", sorted(wallets)):
            found += yield Read(self._select_accounts.format(condition))
        return found

    def write(self, new: Rows, changed: Rows, postings: Rows, lines: Rows) -> Steps[None]:
        """Write wallets, postings and lines. The changed wallets are there, and locked: none of them is inserted."""
        yield from insert(self._insert_accounts, new)
        yield from insert(
            self._insert_accounts,
            changed,
            " ON DUPLICATE KEY UPDATE balance_minor = VALUES(balance_minor), movements = VALUES(movements)",
        )
        yield from insert(self._insert_postings, postings)
        yield from insert(self._insert_lines, lines)

    def write_id(self, uid: str, key: str) -> Steps[str | None]:
        """The ``write_id`` of this posting, if it is there."""
        return first_value(Read(self._select_write_id, (uid, key)))


def _conditions(pair: str, rows: Rows) -> Iterator[str]:
    """Conditions for pairs of a key. Spelled out: MariaDB finds lists of pairs by the first column of a key alone."""
    for chunk in chunks([pair.format(literal(one), literal(other)) for one, other in rows], len):
        yield " OR ".join(chunk)
