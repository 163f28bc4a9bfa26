"""What a migration's steps are made of: changes that look first, so that a step that was ended half way runs again."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Column, Connection, MetaData, Table, inspect, text
from sqlalchemy.schema import CreateIndex, CreateTable

from orderway.sql.database import Tables

__all__ = ["Changes", "Tell"]

Tell = Callable[[int, int], None]
"""Is told how many shards are done, and of how many."""


class Changes:
    """Changes to one database. None of them harms when it is made twice.

    In some databases each statement that changes tables commits by itself, so a step may end anywhere.

    Args:
        connection: to the database, under the schema's lock.
        tables: as they shall be in the end.
        tell: is told of the progress.
    """

    def __init__(self, connection: Connection, tables: Tables, tell: Tell) -> None:
        self.done: list[str] = []
        """What was changed, in words."""
        self.metadata = MetaData()
        """For tables of a step's own."""
        self._connection = connection
        self._operations = Operations(MigrationContext.configure(connection))
        self._tables = tables
        self._tell = tell

    def shards(self) -> Iterator[int]:
        """The numbers of the shards in this database, one after the other, with the progress told."""
        own = list(self._tables.shards)
        for done, shard in enumerate(own):
            self._tell(done, len(own))
            yield shard
        self._tell(len(own), len(own))

    def make_tables(self) -> None:
        """Make all tables and indexes that are missing, as this package wants them."""
        common = [table for table in self._tables.metadata.sorted_tables if table in set(self._common())]
        for table in common:
            self.create_table(table)
        for shard in self.shards():
            for table in self._of_shard(shard):
                self.create_table(table)

    def create_table(self, table: Table) -> None:
        """Make a table, unless it is there, and those of its indexes that are missing."""
        inspector = inspect(self._connection)
        if inspector.has_table(table.name):
            there = {index["name"] for index in inspector.get_indexes(table.name)}
        else:
            self._connection.execute(CreateTable(table))
            self.done.append(f"made table {table.name}")
            there = set()
        for index in sorted(table.indexes, key=lambda each: str(each.name)):
            if index.name not in there:
                self._connection.execute(CreateIndex(index))
                self.done.append(f"made index {index.name}")

    def add_column(self, table: str, column: Column[object]) -> None:
        """Add a column to a table, unless it is there. Nullable: older packages insert rows without it."""
        assert column.nullable, f"{table}.{column.name}: older packages insert rows without it"
        if column.name not in self._columns(table):
            self._operations.add_column(table, column)
            self.done.append(f"added column {column.name} to {table}")

    def drop_column(self, table: str, column: str) -> None:
        """Drop a column, unless it is gone. In a post step only."""
        if column in self._columns(table):
            self._operations.drop_column(table, column)
            self.done.append(f"dropped column {column} of {table}")

    def raise_schema_version(self, version: int) -> None:
        """Say that no package older than this schema version works any more. The first change of a post step."""
        sql = text("UPDATE ow_meta SET schema_version = :version WHERE id = 1 AND schema_version < :version")
        if self._connection.execute(sql, {"version": version}).rowcount:
            self.done.append(f"raised the schema version to {version}: older packages are refused from now on")

    def _columns(self, table: str) -> set[str]:
        return {column["name"] for column in inspect(self._connection).get_columns(table)}

    def _common(self) -> Iterator[Table]:
        common = self._tables.common
        yield from (common.meta, common.workers, common.sequences, common.parked, common.letters)

    def _of_shard(self, shard: int) -> Iterator[Table]:
        own = self._tables.shards[shard]
        yield from (own.orders, own.legs, own.journal, own.accounts, own.postings, own.lines)
