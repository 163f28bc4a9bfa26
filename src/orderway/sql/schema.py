"""What a database says of itself, and whether this package and set-up fit it; the same in every dialect."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Index, Table
from sqlalchemy.engine.interfaces import Dialect as SqlAlchemyDialect
from sqlalchemy.schema import CreateIndex, CreateTable

from orderway.errors import ConfigError, SchemaTooNew
from orderway.sql.database import Tables
from orderway.sql.shards import ShardMap
from orderway.sql.tables import MADE_WHOLE, SCHEMA_VERSION

__all__ = ["READ_META", "Expected", "Stored", "check", "meta_insert", "table_statements"]

READ_META = "SELECT schema_version, epoch, shards FROM ow_meta WHERE id = 1"


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


def check(row: tuple[int, int, str], expected: Expected, where: str) -> Stored:
    """What the row of ``ow_meta`` says, if this package and set-up fit it.

    Args:
        row: schema version, epoch, shard map.
        expected: what was asked for.
        where: the database, for messages.

    Raises:
        ConfigError: there is another shard map, or an older schema; SchemaTooNew: a newer one.
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
    found, place = ShardMap.parse(text)
    problem = _misfit(found, place, expected)
    if problem:
        raise ConfigError(f"{where} {problem}")
    return Stored(found, place, epoch)


def _misfit(found: ShardMap, place: int, expected: Expected) -> str:
    """What is other than expected, and what to do; "" if nothing is."""
    if found.database_count != expected.databases:
        return (
            f"is number {place + 1} of {found.database_count} databases that belong together, and"
            f" {expected.databases} were given: give all of them, in the order in which they were made"
        )
    if place != expected.number:
        return (
            f"is number {place + 1} of {found.database_count} databases, and was given as number"
            f" {expected.number + 1}: give them in the order in which they were made"
        )
    wanted = expected.shards
    if wanted is not None and len(found) != len(wanted):
        return (
            f"has {len(found)} shards, with slots {found.text}, and shards={len(wanted)} was asked for:"
            f" open it with shards={len(found)}, or move the orders into a database made with {len(wanted)}"
        )
    if wanted is not None and found != wanted:
        return f"has the shard map {found.text}, and {wanted.text} was asked for: open it with the map it has"
    return ""


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
