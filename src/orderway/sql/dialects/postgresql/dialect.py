"""PostgreSQL as a dialect."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.engine.interfaces import Dialect as SqlAlchemyDialect
from sqlalchemy.engine.url import URL

from orderway.sql.dialect import union_all
from orderway.sql.dialects.postgresql.common import CommonStatements
from orderway.sql.dialects.postgresql.orders import OrderStatements
from orderway.sql.dialects.postgresql.postings import PostingStatements
from orderway.sql.steps import Read

__all__ = ["POSTGRESQL", "PostgresqlDialect"]


class PostgresqlDialect:
    """See ``orderway.sql.dialect.Dialect``."""

    title = "PostgreSQL"
    sqlalchemy: SqlAlchemyDialect = URL.create("postgresql+asyncpg").get_dialect()()
    now = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
    common = CommonStatements()

    def union(self, queries: Sequence[Read]) -> Read:
        """One query for what these find, with the parameters of one: they have numbers."""
        return Read(union_all(queries), queries[0].values)

    def orders(self, shard: int) -> OrderStatements:
        """The statements of a shard's orders."""
        return OrderStatements(shard)

    def postings(self, shard: int) -> PostingStatements:
        """The statements of a shard's ledger."""
        return PostingStatements(shard)


POSTGRESQL = PostgresqlDialect()
