"""The three kinds of server, and how a test writes and reads a word in each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from orderway.testing.servers import MariadbServer, PostgresqlServer, RedisServer

__all__ = ["KINDS", "AnyServer", "Kind", "each_kind"]


AnyServer = PostgresqlServer | MariadbServer | RedisServer


@dataclass(frozen=True)
class Kind:
    """One kind of server.

    Args:
        write: keeps a word that is committed when it returns.
        read: all words that are kept, as a text.
        durable: what the server says of its settings.
    """

    server: type[PostgresqlServer] | type[MariadbServer] | type[RedisServer]
    account: str
    package: str
    write: Callable[[Any, str], object]
    read: Callable[[Any], str]
    durable: dict[str, str]


def _write_redis(server: RedisServer, word: str) -> None:
    server.execute("RPUSH", "words", word)


def _write_postgresql(server: PostgresqlServer, word: str) -> None:
    server.execute("CREATE TABLE IF NOT EXISTS words (word text)")
    server.execute(f"INSERT INTO words VALUES ('{word}')")


def _write_mariadb(server: MariadbServer, word: str) -> None:
    server.execute("CREATE DATABASE IF NOT EXISTS kept")
    server.execute("CREATE TABLE IF NOT EXISTS kept.words (word text)")
    server.execute(f"INSERT INTO kept.words VALUES ('{word}')")


KINDS = {
    "postgresql": Kind(
        PostgresqlServer,
        "postgres",
        "postgresql",
        _write_postgresql,
        lambda server: server.execute("SELECT word FROM words"),
        {"SHOW fsync": "on", "SHOW synchronous_commit": "on", "SHOW full_page_writes": "on"},
    ),
    "mariadb": Kind(
        MariadbServer,
        "mysql",
        "mariadb-server",
        _write_mariadb,
        lambda server: server.execute("SELECT word FROM kept.words"),
        {"SELECT @@innodb_flush_log_at_trx_commit": "1", "SELECT @@innodb_doublewrite": "1"},
    ),
    "redis": Kind(
        RedisServer,
        "redis",
        "redis-server",
        _write_redis,
        lambda server: server.execute("LRANGE", "words", "0", "-1"),
        {
            "CONFIG | GET | appendonly": "['appendonly', 'yes']",
            "CONFIG | GET | appendfsync": "['appendfsync', 'always']",
        },
    ),
}
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
