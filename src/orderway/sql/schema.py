"""What a database says of itself, and whether this package and set-up fit it; the same in every dialect."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.engine.interfaces import Dialect as SqlAlchemyDialect
from sqlalchemy.schema import CreateIndex, CreateTable

from orderway.errors import ConfigError, SchemaTooNew
from orderway.sql.database import Tables
from orderway.sql.shards import ShardMap
from orderway.sql.tables import SCHEMA_VERSION

__all__ = ["READ_META", "Stored", "check", "meta_insert", "table_statements"]

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


def check(row: tuple[int, int, str], wanted: ShardMap | None, database: int, where: str) -> Stored:
    """What the row of ``ow_meta`` says, if this package and set-up fit it.

    Args:
        row: schema version, epoch, shard map.
        wanted: the shard map that was asked for; None for whichever there is.
        database: which of the map's databases this one was given as, from 0.
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
    if wanted is not None and (found != wanted or place != database):
        raise ConfigError(_misfit(found, place, wanted, database, where))
    return Stored(found, place, epoch)


def _misfit(found: ShardMap, place: int, wanted: ShardMap, database: int, where: str) -> str:
    if found.database_count != wanted.database_count:
        return (
            f"{where} is number {place + 1} of {found.database_count} databases that belong together, and"
            f" {wanted.database_count} were given: give all of them, in the order in which they were made"
        )
    if len(found) != len(wanted):
        return (
            f"{where} has {len(found)} shards, with slots {found.text}, and shards={len(wanted)} was asked for:"
            f" open it with shards={len(found)}, or move the orders into a database made with {len(wanted)}"
        )
    if place != database:
        return (
            f"{where} is number {place + 1} of {found.database_count} databases, and was given as number"
            f" {database + 1}: give them in the order in which they were made"
        )
    return f"{where} has the shard map {found.text}, and {wanted.text} was asked for: open it with the map it has"


def table_statements(tables: Tables, dialect: SqlAlchemyDialect) -> list[str]:
    """The statements that make all tables and indexes, in an order that works; each may be run once."""
    statements = []
    for table in tables.metadata.sorted_tables:
        statements.append(str(CreateTable(table).compile(dialect=dialect)).strip())
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            statements.append(str(CreateIndex(index).compile(dialect=dialect)).strip())
    return statements


def meta_insert(shards: ShardMap, database: int) -> str:
    """The statement that writes the one row of ``ow_meta``. It comes last: a database that has it is complete."""
    text = shards.stored(database).replace("'", "''")
    return f"INSERT INTO ow_meta (id, schema_version, epoch, shards) VALUES (1, {SCHEMA_VERSION}, 1, '{text}')"
