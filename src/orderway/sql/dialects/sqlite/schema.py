"""Making the tables of a new file, and checking those of an old one."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import MetaData
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from orderway.errors import ConfigError, SchemaTooNew
from orderway.sql.shards import ShardMap
from orderway.sql.tables import SCHEMA_VERSION, database_tables, shard_tables

__all__ = ["Stored", "prepare", "require"]


@dataclass(frozen=True, slots=True)
class Stored:
    """What a database says of itself."""

    shards: ShardMap
    epoch: int


def prepare(connection: sqlite3.Connection, shards: int | None, where: str) -> Stored:
    """Make the tables if there are none, else check that this package and set-up fit them.

    Atomic, and safe when several processes start at once.

    Args:
        connection: to the file.
        shards: how many shards are wanted; None for as many as there are (one in a new file).
        where: the file, for messages.

    Raises:
        ConfigError: there is another number of shards.
        SchemaTooNew: the tables were made by a newer package; ConfigError also: by an older one.
    """
    stored = _read(connection)
    if stored is None:
        connection.execute("BEGIN IMMEDIATE")
        try:
            stored = _read(connection)  # another process may have been faster
            if stored is None:
                stored = _make(connection, ShardMap.even(shards or 1))
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
    version, epoch, text = stored
    if version > SCHEMA_VERSION:
        raise SchemaTooNew(
            f"{where} has schema version {version}, this package knows {SCHEMA_VERSION}: upgrade orderway"
        )
    if version < SCHEMA_VERSION:
        raise ConfigError(
            f"{where} has schema version {version}, made by an older orderway, and this one needs {SCHEMA_VERSION}:"
            " begin with a new file, or open this one with the orderway that made it"
        )
    found = ShardMap.parse(text)
    if shards is not None and found.text != ShardMap.even(shards).text:
        raise ConfigError(
            f"{where} has {len(found)} shards, with slots {found.text}, and shards={shards} was asked for:"
            f" open it with shards={len(found)}, or move the orders into a database made with {shards}"
        )
    return Stored(found, epoch)


def require(path: Path) -> None:
    """Refuse a file that is missing or holds no tables of ours, and leave it untouched.

    Raises:
        ConfigError: says which it is.
    """
    if not path.exists():
        raise ConfigError(f"there is no database {path}: is the path right? An App that is started makes the file")
    try:
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
        try:
            stored = _read(connection)
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        raise ConfigError(f"{path} is no Orderway database: {error}") from error
    if stored is None:
        raise ConfigError(f"{path} is no Orderway database: it has no tables of Orderway")


def _read(connection: sqlite3.Connection) -> tuple[int, int, str] | None:
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'ow_meta'").fetchone():
        return None
    row = connection.execute("SELECT schema_version, epoch, shards FROM ow_meta WHERE id = 1").fetchone()
    return None if row is None else (row[0], row[1], row[2])


def _make(connection: sqlite3.Connection, shards: ShardMap) -> tuple[int, int, str]:
    metadata = MetaData()
    database_tables(metadata)
    for shard in range(len(shards)):
        shard_tables(metadata, shard)
    dialect = sqlite.dialect()
    for table in metadata.sorted_tables:
        connection.execute(str(CreateTable(table).compile(dialect=dialect)))
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            connection.execute(str(CreateIndex(index).compile(dialect=dialect)))
    made = (SCHEMA_VERSION, 1, shards.text)
    connection.execute("INSERT INTO ow_meta (id, schema_version, epoch, shards) VALUES (1, ?, ?, ?)", made)
    return made
