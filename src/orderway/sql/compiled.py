"""Queries written with SQLAlchemy, compiled for one dialect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Delete, Insert, Select, Update
from sqlalchemy.sql.compiler import SQLCompiler

from orderway.sql.database import Query
from orderway.sql.dialect import Dialect
from orderway.sql.operations import Fetch

__all__ = ["CompiledQueries", "compiled_for"]


def compiled_for(statement: Insert | Update | Delete | Select[Any], dialect: Dialect) -> tuple[str, Sequence[Any]]:
    """The text of a statement in a dialect, and its values by position."""
    compiled = statement.compile(dialect=dialect.sqlalchemy, compile_kwargs={"render_postcompile": True})
    assert isinstance(compiled, SQLCompiler)
    return str(compiled), [compiled.params[name] for name in compiled.positiontup or ()]


class CompiledQueries:
    """Compiles queries, and remembers those that are made once and asked with other values."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect.sqlalchemy
        self._known: dict[Query, tuple[SQLCompiler, str]] = {}

    def fetch(self, query: Query, values: dict[str, Any]) -> Fetch:
        """The operation that runs a query with these values; see ``Database.fetch``."""
        known = self._known.get(query)
        if known is None:
            compiled = query.compile(dialect=self._dialect, compile_kwargs={"render_postcompile": True})
            assert isinstance(compiled, SQLCompiler)
            known = compiled, str(compiled)
            if values:
                self._known[query] = known
        compiled, sql = known
        return Fetch(sql, [values.get(name, compiled.params[name]) for name in compiled.positiontup or ()])
