"""SQLite on the standard library's driver: one writer thread a file, readers beside it (WAL)."""

from orderway.sql.dialects.sqlite.database import SqliteDatabase

__all__ = ["SqliteDatabase"]
