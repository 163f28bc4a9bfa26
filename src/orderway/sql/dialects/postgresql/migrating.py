"""A PostgreSQL database whose tables are to be changed."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from orderway.sql.dialects.postgresql.server import PostgresqlServer
from orderway.sql.network.migrating import NetworkPlace

__all__ = ["postgresql_place"]

_PATIENCE = ("SET lock_timeout = '10s'", "SET timezone = 'UTC'")
"""Else a change waits for as long as somebody uses the table, and everybody else behind it."""


def postgresql_place(url: str, **options: Any) -> NetworkPlace:
    """The database with this URL; with the options of ``NetworkPlace``.

    Raises:
        ConfigError: the URL is not of its form, or the driver is not installed.
    """
    server = PostgresqlServer(url)

    async def connect() -> Any:
        import asyncpg

        return await asyncpg.connect(server.url)

    def engine() -> AsyncEngine:
        return create_async_engine("postgresql+asyncpg://", poolclass=NullPool, async_creator=connect)

    return NetworkPlace(server, engine, _PATIENCE, **options)
