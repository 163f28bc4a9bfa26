"""MariaDB and MySQL as dialects: the same statements, but for the collation that compares texts byte for byte."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.dialects.mysql.base import MySQLDialect
from sqlalchemy.dialects.mysql.mariadb import MariaDBDialect
from sqlalchemy.engine.interfaces import Dialect as SqlAlchemyDialect

from orderway.sql.dialect import union_all
from orderway.sql.dialects.mysql.common import CommonStatements
from orderway.sql.dialects.mysql.orders import OrderStatements
from orderway.sql.dialects.mysql.postings import PostingStatements
from orderway.sql.steps import Read

__all__ = ["MARIADB", "MYSQL", "MysqlDialect"]


class MysqlDialect:
    """See ``orderway.sql.dialect.Dialect``.

    Args:
        title: for messages.
        sqlalchemy: its name chooses the collations of the columns, see ``orderway.sql.tables``.
        collation: of literals: the one of the columns.
        oldest: the first version that has all that is used here.
        idle_setting: ends a session that stands still in a transaction for so many seconds; "" where there is none, and
            the link sees to it.
    """

    now = "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))"
    common = CommonStatements()

    def __init__(
        self,
        title: str,
        sqlalchemy: SqlAlchemyDialect,
        collation: str,
        oldest: tuple[int, int, int],
        idle_setting: str = "",
    ) -> None:
        self.title = title
        self.sqlalchemy = sqlalchemy
        self.collation = collation
        self.oldest = oldest
        self.idle_setting = idle_setting

    def union(self, queries: Sequence[Read]) -> Read:
        """One query for what these find."""
        return Read(union_all(queries), [value for query in queries for value in query.values])

    def orders(self, shard: int) -> OrderStatements:
        """The statements of a shard's orders."""
        return OrderStatements(shard)

    def postings(self, shard: int) -> PostingStatements:
        """The statements of a shard's ledger."""
        return PostingStatements(shard)


# SKIP LOCKED, and texts compared without padding: in utf8mb4_bin 'ann' and 'ann ' would be one user.
MARIADB = MysqlDialect(
    "MariaDB", MariaDBDialect(paramstyle="format"), "utf8mb4_nopad_bin", (10, 6, 0), "idle_transaction_timeout"
)
MYSQL = MysqlDialect("MySQL", MySQLDialect(paramstyle="format"), "utf8mb4_0900_bin", (8, 0, 19))
