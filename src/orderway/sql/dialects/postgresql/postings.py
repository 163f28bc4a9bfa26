"""The hot statements over the ledger, at READ COMMITTED; wallets are locked in the order of their keys."""

from __future__ import annotations

from orderway.sql.dialect import Rows
from orderway.sql.dialects.postgresql.arrays import SHARD, columns_of, types_of, unnest
from orderway.sql.steps import Read, Steps, Write, first_value

__all__ = ["PostingStatements"]

_KEY = ("uid", "key")
_WALLET = ("uid", "currency")
_ACCOUNT = ("uid", "currency", "balance_minor", "movements")
_POSTING = (
    *("uid", "key", "currency", "memo", "fingerprint", "write_id", "at_us"),
    *("moved_minor", "movement", "balance_minor"),
)
_LINE = ("uid", "key", "number", "account", "currency", "amount_minor")


class PostingStatements:
    """The statements over one shard's ledger."""

    def __init__(self, shard: int) -> None:
        accounts, postings = f"ow_accounts_{shard}", f"ow_postings_{shard}"
        self._keys = (
            f"SELECT p.uid, p.key, p.fingerprint FROM {unnest(1, ('text', 'text'), _KEY)}"
            f" JOIN {postings} AS p ON p.uid = v.uid AND p.key = v.key"
        )
        self._accounts = (
            "SELECT a.uid, a.currency, a.balance_minor, a.movements"
            f" FROM {unnest(1, ('text', 'text'), _WALLET)} JOIN {accounts} AS a"
            " ON a.uid = v.uid AND a.currency = v.currency ORDER BY a.uid, a.currency FOR UPDATE OF a"
        )
        account_types = types_of(SHARD.accounts, _ACCOUNT)
        # Not "on conflict": a wallet that another transaction has made meanwhile must not be overwritten.
        self._new = f"INSERT INTO {accounts} ({', '.join(_ACCOUNT)}) SELECT * FROM {unnest(1, account_types, _ACCOUNT)}"
        self._changed = (
            f"UPDATE {accounts} AS a SET balance_minor = v.balance_minor, movements = v.movements"
            f" FROM {unnest(1, account_types, _ACCOUNT)} WHERE a.uid = v.uid AND a.currency = v.currency"
        )
        posting_types, line_types = types_of(SHARD.postings, _POSTING), types_of(SHARD.lines, _LINE)
        self._post = (
            f"WITH p AS (INSERT INTO {postings} ({', '.join(_POSTING)})"
            f" SELECT * FROM {unnest(1, posting_types, _POSTING)})"
            f" INSERT INTO ow_lines_{shard} ({', '.join(_LINE)})"
            f" SELECT * FROM {unnest(1 + len(_POSTING), line_types, _LINE)}"
        )
        self._write_id = f"SELECT write_id FROM {postings} WHERE uid = $1 AND key = $2"

    def keys(self, keys: Rows) -> Steps[Rows]:
        """Uid, key and fingerprint of those that were applied."""
        rows: Rows = yield Read(self._keys, columns_of(keys, 2))
        return rows

    def accounts(self, wallets: Rows) -> Steps[Rows]:
        """Uid, currency, balance and movements of the wallets that exist, locked until the end."""
        rows: Rows = yield Read(self._accounts, columns_of(wallets, 2))
        return rows

    def write(self, new: Rows, changed: Rows, postings: Rows, lines: Rows) -> Steps[None]:
        """Write wallets, postings and lines."""
        if new:
            yield Write(self._new, columns_of(new, 4), len(new))
        if changed:
            yield Write(self._changed, columns_of(changed, 4), len(changed))
        yield Write(self._post, [*columns_of(postings, len(_POSTING)), *columns_of(lines, len(_LINE))], len(lines))

    def write_id(self, uid: str, key: str) -> Steps[str | None]:
        """The ``write_id`` of this posting, if it is there."""
        return first_value(Read(self._write_id, (uid, key)))
