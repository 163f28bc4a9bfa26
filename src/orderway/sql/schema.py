"""What a database says of itself, and whether this package and set-up fit it; the same in every dialect."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Index, Select, Table, literal, select
from sqlalchemy.engine.interfaces import Dialect as SqlAlchemyDialect
from sqlalchemy.schema import CreateIndex, CreateTable

from orderway.errors import ConfigError, SchemaTooNew
from orderway.sql.database import Tables
from orderway.sql.shards import ShardMap
from orderway.sql.tables import MADE_WHOLE, SCHEMA_VERSION

__all__ = [
    "READ_META",
    "Expected",
    "NoTables",
    "Stored",
    "check",
    "check_begun",
    "meta_insert",
    "out_of_place",
    "read_map",
    "table_statements",
    "traces",
]

READ_META = "SELECT schema_version, epoch, shards FROM ow_meta WHERE id = 1"
_OF_A_SHARD = re.compile(r"ow_[a-z]+_([0-9]+)", re.IGNORECASE)


class NoTables(ConfigError):
    """The database, or its file, is missing, or has no tables of ours."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a database says of itself.

    Args:
        shards: the shard map, of all databases that belong together.
        database: which of them this one is, from 0.
        epoch: of the map.
    """

    shards: ShardMap
    database: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Expected:
    """What a database is expected to be.

    Args:
        shards: the shard map; None for whichever it has, and one shard a database where they are new.
        number: which of the databases that belong together this one is given as, from 0.
        databases: how many belong together.
    """

    shards: ShardMap | None = None
    number: int = 0
    databases: int = 1

    @property
    def to_make(self) -> ShardMap:
        """The shard map of a new database."""
        return self.shards or ShardMap.even(self.databases, self.databases)

    @property
    def migrate(self) -> str:
        """The command that makes such databases, for messages; whoever runs it adds which."""
        return "`orderway migrate`" if self.shards is None else f"`orderway migrate --shards {len(self.shards)}`"


def check(row: tuple[int, int, str], expected: Expected, where: str) -> Stored:
    """What the row of ``ow_meta`` says, if this package and set-up fit it.

    Args:
        row: schema version, epoch, shard map.
        expected: what was asked for.
        where: the database, for messages.

    Raises:
        ConfigError: there is another shard map, or none that can be read, or an older schema.
        SchemaTooNew: a newer one.
    """
    version, epoch, text = row
    if version > SCHEMA_VERSION:
        raise SchemaTooNew(
            f"{where} has schema version {version}, this package knows {SCHEMA_VERSION}: upgrade orderway"
        )
    if version < SCHEMA_VERSION:
        raise ConfigError(
            f"{where} has schema version {version}, made by an older orderway, and this one needs {SCHEMA_VERSION}:"
            " run `orderway migrate`, or open it with the orderway that made it"
        )
    found, place = read_map(text, where)
    problem = _misfit(found, place, expected)
    if problem:
        raise ConfigError(f"{where} {problem}")
    return Stored(found, place, epoch)


def read_map(text: str, where: str) -> tuple[ShardMap, int]:
    """The shard map that is stored in a database, and which of its databases this one is.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return ShardMap.parse(text)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}: put back what `shards` was in its table ow_meta") from None


def _misfit(found: ShardMap, place: int, expected: Expected) -> str:
    """What is other than expected, and what to do; "" if nothing is."""
    if found.database_count != expected.databases:
        given = "1 was" if expected.databases == 1 else f"{expected.databases} were"
        return (
            f"is number {place + 1} of {found.database_count} databases that belong together, and {given} given:"
            " give all of them, in the order in which they were made"
        )
    if place != expected.number:
        return (
            f"is number {place + 1} of {found.database_count} databases, and was given as number"
            f" {expected.number + 1}: give them in the order in which they were made"
        )
    wanted = expected.shards
    if wanted is not None and len(found) != len(wanted):
        return (
            f"{found.unlike(wanted)} as shards={len(wanted)} asks for: open it with shards={len(found)},"
            f" or move the orders into a database made with {len(wanted)}"
        )
    if wanted is not None and found != wanted:
        return f"{found.unlike(wanted)} as was asked for: open it with the map that it has"
    return ""


def out_of_place(empty: str, used: str) -> ConfigError:
    """What to say of an empty database among others that are in use: making its tables would hide what is missing."""
    return ConfigError(
        f"{empty} has no tables of Orderway, and {used}, which belongs with it, is in use: give the database that was"
        " there before. If that is lost, restore it; to begin it anew all the same, run what `orderway schema` prints"
    )


def traces(tables: Tables) -> list[Select[Any]]:
    """Queries of which one at least finds a row where an App was ever started, or anything was kept."""
    kept = [
        tables.common.workers,
        *(table for each in tables.shards.values() for table in (each.orders, each.accounts)),
    ]
    return [select(literal(1)).select_from(table).limit(1) for table in kept]


def check_begun(names: Iterable[str], shards: ShardMap, database: int, where: str) -> None:
    """Look at the tables of a database without a row in ``ow_meta``, whose making was ended half way.

    Args:
        names: of its tables.
        shards, database: what it is to become.
        where: it is, for messages.

    Raises:
        ConfigError: it was to become something else.
    """
    numbers = {int(found[1]) for name in names if (found := _OF_A_SHARD.fullmatch(name))}
    foreign = numbers.difference(shards.of_database(database))
    if foreign:
        raise ConfigError(
            f"{where} is unfinished, and was begun with other shards: it has tables of shard {max(foreign)}, which a"
            f" database made with shards={len(shards)} has not: finish it with the number that it was begun with,"
            " by `orderway migrate --shards N`, and set `shards` to it where your App or configuration says it"
        )


def table_statements(tables: Tables, dialect: SqlAlchemyDialect) -> list[str]:
    """The statements that make the tables and indexes that are not there yet, in an order that works."""
    if dialect.name in MADE_WHOLE:
        return [_whole(table, dialect) for table in tables.metadata.sorted_tables]
    statements = []
    for table in tables.metadata.sorted_tables:
        statements.append(str(CreateTable(table, if_not_exists=True).compile(dialect=dialect)).strip())
        for index in _indexes(table):
            statements.append(str(CreateIndex(index, if_not_exists=True).compile(dialect=dialect)).strip())
    return statements


def _whole(table: Table, dialect: SqlAlchemyDialect) -> str:
    """The statement that makes a table together with its indexes."""
    create = str(CreateTable(table, if_not_exists=True).compile(dialect=dialect)).strip()
    columns, end, options = create.rpartition("\n)")
    quote = dialect.identifier_preparer.quote
    for index in _indexes(table):
        names = ", ".join(quote(column.name) for column in index.columns)
        columns += f", \n\tINDEX {quote(str(index.name))} ({names})"
    return f"{columns}{end}{options}"


def _indexes(table: Table) -> list[Index]:
    return sorted(table.indexes, key=lambda index: str(index.name))


def meta_insert(shards: ShardMap, database: int) -> str:
    """The statement that writes the one row of ``ow_meta``. It comes last: a database that has it is complete."""
    text = shards.stored(database).replace("'", "''")
    return f"INSERT INTO ow_meta (id, schema_version, epoch, shards) VALUES (1, {SCHEMA_VERSION}, 1, '{text}')"
