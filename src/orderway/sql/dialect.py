"""The statements that differ from database to database: the hot ones, written by hand, and a few small ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from sqlalchemy.engine.interfaces import Dialect as SqlAlchemyDialect

from orderway.sql.steps import Read, Steps

__all__ = ["CommonStatements", "Dialect", "OrderStatements", "PostingStatements", "union_all"]

Row = tuple[Any, ...]
Rows = Sequence[Row]


class OrderStatements(Protocol):
    """The statements over one shard's orders, legs and journal. None is called with no rows, except for legs."""

    def create(self, orders: Rows, entries: Rows, legs: Rows) -> Steps[None]:
        """Insert orders (``INSERT_COLUMNS``), first entries (``ENTRY_COLUMNS``) and legs (order id, ``LEG_COLUMNS``).

        Raises:
            Mismatch or Duplicate: at least one id is taken; nothing of this may stay.
        """

    def record(self, orders: Rows, entries: Rows, legs: Rows) -> Steps[None]:
        """Update orders, append entries, write legs (inserted, or updated where they are there).

        Args:
            orders: rows of id, expected version, guard (an incarnation or None), whether the holder stays, the new
                holder, then ``UPDATE_COLUMNS``; no id comes twice.
            entries: rows of ``ENTRY_COLUMNS``.
            legs: rows of order id, ``LEG_COLUMNS``.

        Raises:
            Mismatch: at least one row is missing, or has another version or holder; nothing of this may stay.
        """

    def orders(self, ids: Sequence[str]) -> Steps[Rows]:
        """Those of the orders that exist, as ``ORDER_COLUMNS`` joined to ``LEG_COLUMNS``, by id and leg."""

    def states(self, ids: Sequence[str]) -> Steps[Rows]:
        """Id, version and holder of those that exist; no other transaction changes them before this one ends."""

    def hold(self, rows: Rows) -> Steps[None]:
        """Rows of id, holder, due_at_us: take hold where something is due and nobody alive has it.

        Nobody alive: no holder, this one, or one that is not in the workers' table as committed by the time the row
        is locked.
        """

    def due(self, order_type: int, now_us: int, holder: int, limit: int) -> Read:
        """``due_at_us``, id, shard of what this holder may claim of this type, the longest due first; locks nothing."""

    def claim(self, order_type: int, now_us: int, holder: int, limit: int) -> Steps[Rows]:
        """As ``due``, inside a transaction: what others are just claiming may be passed over (SKIP LOCKED)."""

    def postpone(self, rows: Rows) -> Steps[set[str]]:
        """Rows of id, version, holder, due_at_us, attempts, last_error: let go; the ids where both still matched."""

    def hint(self, rows: Rows) -> Steps[set[str]]:
        """Rows of id, now_us: due at the earlier of both, where anything is due; the ids where something was."""

    def write_id(self, order_id: str, version: int) -> Steps[str | None]:
        """The ``write_id`` of this entry of the journal, if it is there."""


class PostingStatements(Protocol):
    """The statements over one shard's ledger."""

    def keys(self, keys: Rows) -> Steps[Rows]:
        """Rows of uid, key: uid, key and fingerprint of those that were applied."""

    def accounts(self, wallets: Rows) -> Steps[Rows]:
        """Rows of uid, currency: uid, currency, balance_minor, movements of those that exist, locked until the end."""

    def write(self, new: Rows, changed: Rows, postings: Rows, lines: Rows) -> Steps[None]:
        """Write wallets (uid, currency, balance_minor, movements), postings and lines.

        Args:
            new: wallets that ``accounts`` did not find.
            changed: wallets that it found.
            postings: uid, key, currency, memo, fingerprint, write_id, at_us, moved_minor, movement, balance_minor.
            lines: uid, key, number, account, currency, amount_minor.

        Raises:
            Duplicate: a wallet or key was added by another transaction meanwhile; nothing of this may stay.
        """

    def write_id(self, uid: str, key: str) -> Steps[str | None]:
        """The ``write_id`` of this posting, if it is there."""


class CommonStatements(Protocol):
    """The statements over what a database has once."""

    def join(self, incarnation: int, name: str) -> Steps[None]:
        """Enter an incarnation; nothing where it is there."""

    def beat(self, incarnation: int) -> Steps[bool]:
        """Count a counter up; False if it is not there."""

    def bury(self, incarnation: int) -> Steps[None]:
        """Take an incarnation out."""

    def next_block(self, name: str, size: int) -> Steps[int]:
        """Take so many numbers of a sequence, which begins at 1; the first of them."""

    def park(self, row: Row) -> Steps[bool]:
        """Insert a row of ``PARKED_COLUMNS``; False where its channel and reference are there."""

    def postpone_parked(self, channel: str, reference: str, due_at_us: int) -> Steps[None]:
        """Set when a parked payment is looked at again, and count its tries up."""

    def release(self, channel: str, reference: str) -> Steps[bool]:
        """Delete a parked payment; False if it is not there."""


class Dialect(Protocol):
    """One kind of database."""

    @property
    def title(self) -> str:
        """For messages: SQLite, PostgreSQL, MariaDB."""

    @property
    def sqlalchemy(self) -> SqlAlchemyDialect:
        """Compiles what is not written by hand, with parameters by position."""

    @property
    def now(self) -> str:
        """A query for the database's own time, in microseconds since 1970, UTC."""

    @property
    def common(self) -> CommonStatements:
        """The statements over what a database has once."""

    def union(self, queries: Sequence[Read]) -> Read:
        """One query for what these find, which differ in their tables only: their values are the same."""

    def orders(self, shard: int) -> OrderStatements:
        """The statements of a shard's orders."""

    def postings(self, shard: int) -> PostingStatements:
        """The statements of a shard's ledger."""


def union_all(queries: Sequence[Read]) -> str:
    """The text of one query for what these find."""
    if len(queries) == 1:
        return queries[0].sql
    return " UNION ALL ".join([f"SELECT * FROM ({query.sql}) AS q{at}" for at, query in enumerate(queries)])
