"""The fixtures that give each test an empty database."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from orderway.testing.servers import MariadbDatabases, PostgresqlDatabases, RedisDatabases


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_has_an_empty_postgresql_database(postgresql_url: str, turn: int) -> None:
    database = PostgresqlDatabases(postgresql_url)
    assert database.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == "0"
    database.execute(f"CREATE TABLE left_over_{turn} (n int)")


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_has_an_empty_mariadb_database(mariadb_url: str, mariadb_server: MariadbDatabases, turn: int) -> None:
    name = urlsplit(mariadb_url).path.lstrip("/")
    assert mariadb_server.execute(f"SHOW TABLES IN {name}") == ""
    mariadb_server.execute(f"CREATE TABLE {name}.left_over_{turn} (n int)")


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_has_an_empty_redis_database(redis_url: str, turn: int) -> None:
    database = RedisDatabases(redis_url)
    assert database.execute("DBSIZE") == "0"
    database.execute("SET", f"left over {turn}", "1")
