"""PostgreSQL as a dialect."""

from __future__ import annotations

from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.engine.interfaces import Dialect as SqlAlchemyDialect

from orderway.sql.dialects.postgresql.common import CommonStatements
from orderway.sql.dialects.postgresql.orders import OrderStatements
from orderway.sql.dialects.postgresql.postings import PostingStatements

__all__ = ["POSTGRESQL", "PostgresqlDialect"]


class PostgresqlDialect:
    """See ``orderway.sql.dialect.Dialect``."""

    title = "PostgreSQL"
    sqlalchemy: SqlAlchemyDialect = PGDialect_asyncpg(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
    common = CommonStatements()

    def orders(self, shard: int) -> OrderStatements:
        """The statements of a shard's orders."""
        return OrderStatements(shard)

    def postings(self, shard: int) -> PostingStatements:
        """The statements of a shard's ledger."""
        return PostingStatements(shard)


POSTGRESQL = PostgresqlDialect()
