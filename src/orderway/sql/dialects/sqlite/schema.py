"""Making the tables of a new file, and checking those of an old one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from orderway.errors import ConfigError
from orderway.sql.database import Tables
from orderway.sql.dialects.sqlite.errors import is_read_only, may_not_write
from orderway.sql.dialects.sqlite.perform import SQLITE
from orderway.sql.schema import READ_META, Expected, NoTables, Stored, check, check_begun, meta_insert, table_statements

__all__ = ["prepare", "require"]


def prepare(connection: sqlite3.Connection, expected: Expected, where: str) -> Stored:
    """Make the tables if there are none, else check that this package and set-up fit them.

    Atomic, and safe when several processes start at once.

    Args:
        connection: to the file.
        expected: what the file should be, or become.
        where: the file, for messages.

    Raises:
        ConfigError: there is another shard map, or an older schema; SchemaTooNew: a newer one.
    """
    stored = _read(connection)
    if stored is None:
        connection.execute("BEGIN IMMEDIATE")
        try:
            stored = _read(connection)  # another process may have been faster
            if stored is None:
                stored = _make(connection, expected, where)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
    return check(stored, expected, where)


def require(path: Path, expected: Expected) -> None:
    """Refuse a file that is missing or holds no tables of ours, and leave it untouched.

    Args:
        path: of the file.
        expected: what it should be, for messages.

    Raises:
        NoTables: says which it is.
        ConfigError: it is no file of SQLite's.
    """
    if not path.exists():
        raise NoTables(
            f"there is no database {path}: is the path right? An App that is started makes the file, "
            f"and so does {expected.migrate}"
        )
    try:
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
        try:
            stored = _read(connection)
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        if is_read_only(error):
            raise may_not_write(error, str(path)) from error
        raise ConfigError(f"{path} is no Orderway database: {error}") from error
    if stored is None:
        raise NoTables(f"{path} is no Orderway database: it has no tables of Orderway; {expected.migrate} makes them")


def _read(connection: sqlite3.Connection) -> tuple[int, int, str] | None:
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'ow_meta'").fetchone():
        return None
    row = connection.execute(READ_META).fetchone()
    return None if row is None else (row[0], row[1], row[2])


def _make(connection: sqlite3.Connection, expected: Expected, where: str) -> tuple[int, int, str]:
    shards = expected.to_make
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    check_begun((name for (name,) in names), shards, expected.number, where)
    for statement in table_statements(Tables(shards.of_database(expected.number)), SQLITE.sqlalchemy):
        connection.execute(statement)
    connection.execute(meta_insert(shards, expected.number))
    stored = _read(connection)
    assert stored is not None
    return stored
