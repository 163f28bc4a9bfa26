"""PostgreSQL on asyncpg: a transaction of one kind of operation is one statement, there and back once."""

from orderway.sql.dialects.postgresql.server import PostgresqlServer

__all__ = ["PostgresqlServer"]
