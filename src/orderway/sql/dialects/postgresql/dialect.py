"""PostgreSQL as a dialect."""

from __future__ import annotations

from sqlalchemy.engine.interfaces import Dialect as SqlAlchemyDialect
from sqlalchemy.engine.url import URL

from orderway.sql.dialects.postgresql.common import CommonStatements
from orderway.sql.dialects.postgresql.orders import OrderStatements
from orderway.sql.dialects.postgresql.postings import PostingStatements

__all__ = ["POSTGRESQL", "PostgresqlDialect"]


class PostgresqlDialect:
    """See ``orderway.sql.dialect.Dialect``."""

    title = "PostgreSQL"
    sqlalchemy: SqlAlchemyDialect = URL.create("postgresql+asyncpg").get_dialect()()
    common = CommonStatements()

    def orders(self, shard: int) -> OrderStatements:
        """The statements of a shard's orders."""
        return OrderStatements(shard)

    def postings(self, shard: int) -> PostingStatements:
        """The statements of a shard's ledger."""
        return PostingStatements(shard)


POSTGRESQL = PostgresqlDialect()
