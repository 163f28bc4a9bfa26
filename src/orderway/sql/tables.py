"""The tables, portable over SQLite, PostgreSQL and MariaDB: one set a shard, and a few for the whole database.

Instants are integers of microseconds (UTC); texts that are compared sort as bytes in every database.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Select,
    SmallInteger,
    String,
    Table,
    Text,
    bindparam,
    select,
    text,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine

from orderway.ports.limits import LONGEST
from orderway.sql.rows import ENTRY_COLUMNS

__all__ = ["MADE_WHOLE", "SCHEMA_VERSION", "DatabaseTables", "ShardTables", "database_tables", "shard_tables"]

SCHEMA_VERSION = 2
"""Of the tables made here; a database with another one was written by a newer or an older package."""

_BYTES_OF = {"mysql": "utf8mb4_0900_bin", "mariadb": "utf8mb4_nopad_bin"}
"""Collations that compare bytes. Not utf8mb4_bin, which takes 'ann' and 'ann ' for the same."""
MADE_WHOLE = frozenset(_BYTES_OF)
"""Dialects in which each statement that makes something commits, at its price: a table is made with its indexes."""
_IN_INNODB: dict[str, Any] = {f"{name}_engine": "InnoDB" for name in _BYTES_OF} | {
    f"{name}_row_format": "DYNAMIC" for name in _BYTES_OF
}
"""In MariaDB and MySQL: with transactions, and with room for long keys."""
_KIND: dict[str, Any] = {"sqlite_with_rowid": False, **_IN_INNODB}
"""How tables are kept: SQLite by their primary keys, as InnoDB does anyway."""


@dataclass(frozen=True)
class ShardTables:
    """The tables of one shard."""

    orders: Table
    legs: Table
    journal: Table
    accounts: Table
    postings: Table
    lines: Table

    @cached_property
    def select_entries(self) -> Select[Any]:
        """An order's journal, oldest first, as ``ENTRY_COLUMNS``; the parameter is ``of_order``."""
        entry = self.journal.c
        columns = [entry[name] for name in ENTRY_COLUMNS]
        return select(*columns).where(entry.order_id == bindparam("of_order")).order_by(entry.version)

    @cached_property
    def select_posting(self) -> Select[Any]:
        """A posting's currency and memo with each of its lines; the parameters are ``of_uid`` and ``of_key``."""
        posting, line = self.postings.c, self.lines.c
        return (
            select(posting.currency, posting.memo, line.account, line.amount_minor)
            .join_from(self.postings, self.lines, (line.uid == posting.uid) & (line.key == posting.key))
            .where(posting.uid == bindparam("of_uid"), posting.key == bindparam("of_key"))
            .order_by(line.number)
        )


@dataclass(frozen=True, slots=True)
class DatabaseTables:
    """The tables that a database has once."""

    meta: Table
    workers: Table
    sequences: Table
    parked: Table
    letters: Table


def database_tables(metadata: MetaData) -> DatabaseTables:
    """``ow_meta`` (one row: schema version, shard map, epoch); workers, sequences, parked payments, letters."""
    meta = Table(
        "ow_meta",
        metadata,
        Column("id", SmallInteger, primary_key=True, autoincrement=False),
        Column("schema_version", Integer, nullable=False),
        Column("epoch", BigInteger, nullable=False),
        Column("shards", _long_text(), nullable=False),
        CheckConstraint("id = 1"),
        **_IN_INNODB,
    )
    workers = Table(
        "ow_workers",
        metadata,
        Column("incarnation", BigInteger, primary_key=True, autoincrement=False),
        Column("name", _text(255), nullable=False),
        Column("beats", BigInteger, nullable=False),
        **_IN_INNODB,
    )
    sequences = Table(
        "ow_sequences",
        metadata,
        Column("name", _text(64), primary_key=True),
        Column("next", BigInteger, nullable=False),
        **_KIND,
    )
    parked, letters = _parked(metadata, "ow_parked"), _letters(metadata, "ow_letters")
    return DatabaseTables(meta, workers, sequences, parked, letters)


def shard_tables(metadata: MetaData, shard: int) -> ShardTables:
    """The tables of the shard with this number."""
    return ShardTables(
        orders=_orders(metadata, f"ow_orders_{shard}"),
        legs=_legs(metadata, f"ow_legs_{shard}"),
        journal=_journal(metadata, f"ow_journal_{shard}"),
        accounts=_accounts(metadata, f"ow_accounts_{shard}"),
        postings=_postings(metadata, f"ow_postings_{shard}"),
        lines=_lines(metadata, f"ow_lines_{shard}"),
    )


def _orders(metadata: MetaData, name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("id", _text(26), primary_key=True),
        _number("slot", Integer),
        _number("type", Integer),
        _limited("uid"),
        Column("stage", _text(16), nullable=False),
        _number("status", SmallInteger),
        _number("pay_status", SmallInteger),
        _number("needs_person", SmallInteger),
        _number("amount_minor"),
        _limited("currency"),
        Column("data_text", _long_text(), nullable=False),
        Column("remark", _long_text(), nullable=False),
        _limited("own_number"),
        Column("fingerprint", _text(64), nullable=False),
        Column("steps", _long_text(), nullable=False),
        Column("refunds", _long_text(), nullable=False),
        Column("why", _long_text(), nullable=False),
        Column("resume_stage", _text(16)),
        _number("created_at_us"),
        _number("updated_at_us"),
        _number("deadline_at_us"),
        _number("version"),
        Column("digest", _text(64), nullable=False),
        # From here on: operational columns, no part of the journal.
        Column("due_at_us", BigInteger),
        _number("attempts", Integer),
        Column("holder", BigInteger),
        Column("last_error", _long_text(), nullable=False),
        CheckConstraint("amount_minor >= 0"),
        *_fits("uid", "own_number", "currency"),
        Index(f"{name}_uid", "uid", "id"),
        # Only unfinished work: status rides along so that the overview needs no look at the rows.
        _partial(f"{name}_due", "status = 1 OR due_at_us IS NOT NULL", "type", "due_at_us", "status"),
        _partial(f"{name}_status", "status <> 1 AND status <> 2", "status", "id"),
        _partial(f"{name}_own_number", "own_number <> ''", "own_number", "id"),
        # Nearly empty: looking for what waits for a person costs next to nothing, however many orders there are.
        _partial(f"{name}_needs_person", "needs_person = 1", "needs_person", "id"),
        **_KIND,
    )


def _legs(metadata: MetaData, name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("order_id", _text(26), nullable=False),
        _number("number", SmallInteger),
        _limited("channel"),
        _number("amount_minor"),
        _limited("currency"),
        Column("state", _text(16), nullable=False),
        _number("attempt", Integer),
        _limited("reference"),
        _number("authorized_minor"),
        _number("captured_minor"),
        _number("refunding_minor"),
        _number("refunded_minor"),
        _number("worth_minor"),
        _number("holds", SmallInteger),
        _number("at_most", SmallInteger),
        _number("disputed_minor"),
        PrimaryKeyConstraint("order_id", "number"),
        # Written as differences, so that no sum can overflow.
        CheckConstraint("refunded_minor >= 0 AND refunding_minor >= 0 AND amount_minor >= 0"),
        CheckConstraint("refunding_minor <= captured_minor - refunded_minor"),
        CheckConstraint("captured_minor >= 0 AND captured_minor <= authorized_minor"),
        # What somebody disputes is bounded by nobody: it is kept as it was told.
        CheckConstraint("worth_minor >= 0 AND disputed_minor >= 0"),
        CheckConstraint("holds IN (0, 1) AND at_most IN (0, 1)"),
        *_fits("channel", "reference", "currency"),
        _partial(f"{name}_reference", "reference <> ''", "reference", "order_id"),
        **_KIND,
    )


def _journal(metadata: MetaData, name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("order_id", _text(26), nullable=False),
        _number("version"),
        Column("fact", _text(32), nullable=False),
        _number("at_us"),
        Column("write_id", _text(32), nullable=False),
        Column("body", _long_text(), nullable=False),
        Column("private", _long_text()),
        Column("digest", _text(64), nullable=False),
        PrimaryKeyConstraint("order_id", "version"),
        **_KIND,
    )


def _accounts(metadata: MetaData, name: str) -> Table:
    """Wallets. ``movements`` counts what moved a wallet, and so numbers the lines of its statement."""
    return Table(
        name,
        metadata,
        _limited("uid"),
        _limited("currency"),
        _number("balance_minor"),
        _number("movements"),
        PrimaryKeyConstraint("uid", "currency"),
        CheckConstraint("balance_minor >= 0"),
        *_fits("uid", "currency"),
        **_KIND,
    )


def _postings(metadata: MetaData, name: str) -> Table:
    """What was posted. Where the wallet was moved: by how much, which of its movements, and the balance after it."""
    return Table(
        name,
        metadata,
        _limited("uid"),
        _limited("key"),
        _limited("currency"),
        Column("memo", _long_text(), nullable=False),
        Column("fingerprint", _text(64), nullable=False),
        Column("write_id", _text(32), nullable=False),
        _number("at_us"),
        Column("moved_minor", BigInteger),
        Column("movement", BigInteger),
        Column("balance_minor", BigInteger),
        PrimaryKeyConstraint("uid", "key"),
        *_fits("uid", "key", "currency"),
        _partial(f"{name}_movement", "movement IS NOT NULL", "uid", "currency", "movement"),
        **_KIND,
    )


def _lines(metadata: MetaData, name: str) -> Table:
    """The sides of the postings; those of an account add up to its balance."""
    return Table(
        name,
        metadata,
        _limited("uid"),
        _limited("key"),
        _number("number", Integer),
        _limited("account"),
        _limited("currency"),
        _number("amount_minor"),
        PrimaryKeyConstraint("uid", "key", "number"),
        *_fits("account"),
        **_KIND,
    )


def _parked(metadata: MetaData, name: str) -> Table:
    """Payments whose order is not known yet; ``order_id`` is what was said, and need be no order id."""
    return Table(
        name,
        metadata,
        _limited("channel"),
        _limited("reference"),
        _limited("order_id"),
        _limited("key"),
        _limited("uid"),
        _number("amount_minor"),
        _limited("currency"),
        _number("at_us"),
        Column("cause", _long_text(), nullable=False),
        _number("due_at_us"),
        _number("tries", Integer),
        PrimaryKeyConstraint("channel", "reference"),
        *_fits("channel", "reference", "order_id", "key", "uid", "currency"),
        Index(f"{name}_due", "due_at_us", "channel", "reference"),
        **_KIND,
    )


def _letters(metadata: MetaData, name: str) -> Table:
    """Messages of the queue that needs no broker; ``due_at_us`` is null in those that are buried, with their reason."""
    return Table(
        name,
        metadata,
        Column("number", BigInteger, primary_key=True, autoincrement=False),
        Column("body", _long_text(), nullable=False),
        Column("headers", _long_text(), nullable=False),
        _number("sent_at_us"),
        Column("due_at_us", BigInteger),
        _number("tries", Integer),
        Column("reason", _text(64)),
        Column("buried_at_us", BigInteger),
        Index(f"{name}_due", "due_at_us", "number"),
        **_KIND,
    )


def _number(name: str, kind: type[TypeEngine[int]] = BigInteger) -> Column[int]:
    return Column(name, kind, nullable=False, autoincrement=False)


def _text(length: int) -> TypeEngine[str]:
    """A text that is compared and indexed: by its bytes, in every database."""
    kind = String(length).with_variant(String(length, collation="C"), "postgresql")
    for name, collation in _BYTES_OF.items():
        kind = kind.with_variant(mysql.VARCHAR(length, charset="utf8mb4", collation=collation), name)
    return kind


def _long_text() -> TypeEngine[str]:
    kind = Text()
    for name, collation in _BYTES_OF.items():
        kind = kind.with_variant(mysql.LONGTEXT(charset="utf8mb4", collation=collation), name)
    return kind


def _limited(name: str) -> Column[str]:
    return Column(name, _text(LONGEST[name]), nullable=False)


def _fits(*columns: str) -> list[CheckConstraint]:
    """SQLite does not enforce the length of a VARCHAR: a check does."""
    return [CheckConstraint(f"length({column}) <= {LONGEST[column]}").ddl_if(dialect="sqlite") for column in columns]


def _partial(name: str, condition: str, *columns: str) -> Index:
    return Index(name, *columns, sqlite_where=text(condition), postgresql_where=text(condition))
