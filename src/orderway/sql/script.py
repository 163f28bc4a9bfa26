"""The complete SQL of a new database, for people who make their databases by hand; needs no driver."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy.engine.interfaces import Dialect as SqlAlchemyDialect
from sqlalchemy.engine.url import URL

from orderway.errors import ConfigError
from orderway.sql.database import Tables
from orderway.sql.schema import meta_insert, table_statements
from orderway.sql.shards import ShardMap

__all__ = ["DIALECTS", "schema_script"]


@dataclass(frozen=True, slots=True)
class _Language:
    """Which of SQLAlchemy's dialects writes it, and whether tables can be made in a transaction."""

    name: str
    transactional: bool


DIALECTS = {
    "sqlite": _Language("sqlite", transactional=True),
    "postgresql": _Language("postgresql", transactional=True),
    "mysql": _Language("mysql", transactional=False),
    "mariadb": _Language("mariadb", transactional=False),
}
"""What a script can be written in."""


def schema_script(dialect: str, shards: ShardMap, database: int = 0) -> Iterator[str]:
    """The statements that make a new database, each with its semicolon, to be run in this order.

    The row of ``ow_meta`` comes last: a database that has it is complete. In one transaction where the database can.

    Args:
        dialect: one of ``DIALECTS``.
        shards: the shard map, of all databases that belong together.
        database: which of them this one is, from 0.

    Raises:
        ConfigError: there is no such dialect or database.
    """
    if dialect not in DIALECTS:
        raise ConfigError(f"{dialect!r} is no dialect: {', '.join(DIALECTS)} are allowed")
    if not 0 <= database < shards.database_count:
        raise ConfigError(f"database {database + 1} of {shards.database_count}: there is none of that number")
    language = DIALECTS[dialect]
    statements = [
        *table_statements(Tables(shards.of_database(database)), _dialect(language.name)),
        meta_insert(shards, database),
    ]
    for statement in ["BEGIN", *statements, "COMMIT"] if language.transactional else statements:
        yield f"{statement};"


def _dialect(name: str) -> SqlAlchemyDialect:
    dialect: SqlAlchemyDialect = URL.create(name).get_dialect()()
    return dialect
