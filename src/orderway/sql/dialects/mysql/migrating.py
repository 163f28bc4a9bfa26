"""A MariaDB or MySQL database whose tables are to be changed."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from orderway.sql.dialects.mysql.server import MysqlServer
from orderway.sql.network.migrating import NetworkPlace

__all__ = ["mysql_place"]

_PATIENCE = ("SET SESSION lock_wait_timeout = 10",)
"""Else a change waits for a day until nobody uses the table, and everybody behind it."""


def mysql_place(url: str, **options: Any) -> NetworkPlace:
    """The database with this URL; with the options of ``NetworkPlace``.

    Raises:
        ConfigError: the URL is not of its form, or the driver is not installed.
    """
    server = MysqlServer(url)

    def engine() -> AsyncEngine:
        name = f"{server.dialect.sqlalchemy.name}+asyncmy"
        return create_async_engine(f"{name}://", poolclass=NullPool, connect_args=server._arguments)

    return NetworkPlace(server, engine, _PATIENCE, **options)
