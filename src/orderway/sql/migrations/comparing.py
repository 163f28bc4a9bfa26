"""Whether the tables that are there are those that this package needs."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from alembic.runtime.migration import MigrationContext
from sqlalchemy import Column, Connection, Index, Table, inspect
from sqlalchemy.engine.interfaces import ReflectedColumn
from sqlalchemy.schema import CreateIndex

from orderway.sql.database import Tables

__all__ = ["differences"]


def differences(connection: Connection, tables: Tables, may_lack: Collection[str] = ()) -> tuple[list[str], list[str]]:
    """What is missing, or other than this package needs it, each in a sentence that says what to do; and what else.

    What is there besides is no difference, as long as this package can do without it: newer packages add to tables.

    Args:
        connection: to the database.
        tables: that it should have.
        may_lack: names of tables whose absence is no difference: those that are missing come second.
    """
    all_tables = tables.metadata.sorted_tables
    found = _Found(connection, {table.name for table in all_tables})
    lacking = [table.name for table in all_tables if table.name in may_lack and not found.has(table)]
    wanted = [table for table in all_tables if table.name not in lacking]
    return [sentence for table in wanted for sentence in found.in_table(table)], lacking


class _Found:
    """The tables of a database, read at once: one query a table would take minutes where there are thousands."""

    def __init__(self, connection: Connection, names: set[str]) -> None:
        inspector = inspect(connection)
        wanted = sorted(names & set(inspector.get_table_names()))
        self._columns = _by_table(inspector.get_multi_columns(filter_names=wanted) if wanted else {})
        self._indexes = _by_table(inspector.get_multi_indexes(filter_names=wanted) if wanted else {})
        self._keys = _by_table(inspector.get_multi_pk_constraint(filter_names=wanted) if wanted else {})
        self._dialect = connection.dialect
        self._alembic = MigrationContext.configure(connection).impl

    def has(self, table: Table) -> bool:
        return table.name in self._columns

    def in_table(self, table: Table) -> Iterator[str]:
        name = table.name
        if not self.has(table):
            yield f"table {name} is missing: run `orderway migrate`"
            return
        columns = {column["name"]: column for column in self._columns[name]}
        for wanted in table.columns:
            yield from self._in_column(name, wanted, columns.pop(wanted.name, None))
        for column in columns.values():
            if not column["nullable"] and column.get("default") is None:
                yield (
                    f"column {name}.{column['name']} is not known to this package, and rows cannot be inserted without"
                    " it: make it nullable, or run the package that knows it"
                )
        key = self._keys[name]["constrained_columns"]
        if key != [column.name for column in table.primary_key.columns]:
            wants = ", ".join(column.name for column in table.primary_key.columns)
            yield f"table {name} has the primary key ({', '.join(key)}): make it ({wants})"
        there = {index["name"]: index for index in self._indexes[name]}
        for index in sorted(table.indexes, key=lambda each: str(each.name)):
            yield from self._in_index(index, there.get(index.name))

    def _in_column(self, table: str, wanted: Column[Any], found: ReflectedColumn | None) -> Iterator[str]:
        name, kind = f"{table}.{wanted.name}", self._dialect.type_compiler_instance.process(wanted.type)
        needs = "NULL" if wanted.nullable else "NOT NULL"
        if found is None:
            yield (
                f"column {name} is missing: run `orderway migrate`; if it has told you so itself, add it by hand as"
                f" {kind} {needs}"
            )
            return
        if self._alembic.compare_type(Column(wanted.name, found["type"]), wanted) or self._collation(
            found["type"]
        ) != self._collation(wanted.type):
            is_now = self._dialect.type_compiler_instance.process(found["type"])
            yield f"column {name} is {is_now}: change it to {kind}"
        if found["nullable"] != wanted.nullable:
            yield f"column {name} is {'NULL' if found['nullable'] else 'NOT NULL'}: change it to {needs}"

    def _in_index(self, wanted: Index, found: Any) -> Iterator[str]:
        sql = self._sql(CreateIndex(wanted))
        if found is None:
            yield f"index {wanted.name} is missing: run `orderway migrate`, or {sql}"
        elif found["column_names"] != [column.name for column in wanted.columns] or found["unique"] != wanted.unique:
            columns = ", ".join(str(column) for column in found["column_names"])
            yield f"index {wanted.name} is over ({columns}): drop it, and then {sql}"

    def _collation(self, kind: Any) -> str | None:
        """How texts of this type are compared, where the column says so: not by their bytes is a silent fault."""
        collation: str | None = getattr(kind.dialect_impl(self._dialect), "collation", None)
        return collation

    def _sql(self, statement: CreateIndex) -> str:
        return " ".join(str(statement.compile(dialect=self._dialect)).split())


def _by_table(found: Any) -> dict[str, Any]:
    return {name: value for (_, name), value in found.items()}
