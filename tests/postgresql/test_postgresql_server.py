"""How a PostgreSQL is reached, and what is said where it cannot be; never a password."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import asyncpg
import pytest
from asyncpg import connect_utils
from postgresql_links import Connect, Connection, until

from orderway.adapters import open_ports
from orderway.errors import ConfigError, Unavailable
from orderway.sql.dialects.postgresql import PostgresqlServer
from orderway.sql.steps import Read
from orderway.testing.conformance.builders import make_order
from orderway.testing.servers.postgresql import PostgresqlDatabases

SETTINGS = {
    "transaction_isolation": "read committed",
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    "lock_timeout": "2s",
    "TimeZone": "UTC",
    "synchronous_commit": "on",
}

PLACES = [
    "u@a/x",
    "u@a:1,b:2/x",
    "u@a:1,b/x",
    "u@%2Frun%2FOne:5433/x",
    "u@a:1/x?host=b&port=2",
    "u@a/x?port=2",
    "u@/x?host=a&port=1",
    "/x?host=a:1",
    "/x?host=a:1&port=2",
    "/x?host=a:1,b,/run/one",
    "/x?host=a:1,b&port=3,4",
    "/x?host=a,b&port=3",
    "/x?host=/run/one",
    "/x?host=/run/one/.s.PGSQL.1&port=2",
    "/x?host=/run/one,/run/two&port=1,2",
    "/x?host=&port=1&host=a",
    "/x?host=a,b,c&port=1,2",
]


@pytest.mark.parametrize("setting", SETTINGS)
async def test_every_session_begins_with_its_settings(connect: Connect, setting: str) -> None:
    assert await (await connect()).send([Read(f"SHOW {setting}")]) == [(SETTINGS[setting],)]


async def test_commits_are_durable_where_the_server_would_forget_them(
    connect: Connect, other: Connection, postgresql_url: str
) -> None:
    database = urlsplit(postgresql_url).path[1:]
    for given, found in (("off", "on"), ("remote_apply", "remote_apply")):
        await other.execute(f'ALTER DATABASE "{database}" SET synchronous_commit = {given}')
        assert await (await connect()).send([Read("SHOW synchronous_commit")]) == [(found,)]


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
async def test_both_names_of_the_scheme_open_it(postgresql_url: str, scheme: str) -> None:
    ports = await open_ports(postgresql_url.replace("postgresql://", f"{scheme}://"))
    order, entry = make_order()
    assert await ports.store.create(order, entry) == order
    await ports.close()


async def test_a_wrong_password_is_a_config_error_that_does_not_show_it(postgresql_url: str) -> None:
    secret = urlsplit(postgresql_url).password
    assert secret is not None
    with pytest.raises(ConfigError, match="password authentication failed") as caught:
        await open_ports(postgresql_url.replace(secret, "s3cr3t"))
    assert "s3cr3t" not in "".join([str(caught.value), repr(caught.value), str(caught.value.__cause__)])
    assert "postgresql://127.0.0.1" in str(caught.value)


async def test_an_unknown_database_is_a_config_error_that_names_it(postgresql_url: str) -> None:
    with pytest.raises(ConfigError, match='"nowhere" does not exist'):
        await open_ports(urlsplit(postgresql_url)._replace(path="/nowhere").geturl())


async def test_a_user_who_may_not_make_tables_is_told_so(
    postgresql_server: PostgresqlDatabases, postgresql_url: str, other: Connection
) -> None:
    await other.execute("DROP TABLE ow_meta; REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    await other.execute("DROP ROLE IF EXISTS visitor; CREATE ROLE visitor LOGIN PASSWORD 'v'")
    url = urlsplit(postgresql_url)
    try:
        with pytest.raises(ConfigError, match=r"permission denied.*Run `orderway migrate`"):
            await open_ports(url._replace(netloc=f"visitor:v@{url.hostname}:{url.port}").geturl())
    finally:
        await other.execute("DROP ROLE visitor")


async def test_an_option_that_the_server_does_not_know_is_a_config_error(postgresql_url: str) -> None:
    with pytest.raises(ConfigError, match="no_such_option"):
        await open_ports(f"{postgresql_url}?no_such_option=1")


async def test_encryption_is_insisted_on_where_it_is_asked_for(postgresql_url: str) -> None:
    with pytest.raises(ConfigError, match=r"test_\w+ speaks no TLS: switch it on there, or do not insist on it"):
        await open_ports(f"{postgresql_url}?sslmode=require")


async def test_a_file_that_is_gone_when_it_is_needed_is_named(
    postgresql_url: str, certificate: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ca.pem"
    path.write_bytes(certificate[0].read_bytes())
    server = PostgresqlServer(f"{postgresql_url}?sslmode=verify-full&sslrootcert={path}")
    path.unlink()
    with pytest.raises(ConfigError, match=rf"sslrootcert={path} cannot be read.*No such file"):
        await server.connect(None)
    monkeypatch.setenv("PGSSLROOTCERT", str(path))
    with pytest.raises(ConfigError, match="the file that PGSSLROOTCERT names cannot be read"):
        await PostgresqlServer(f"{postgresql_url}?sslmode=verify-full").connect(None)


async def test_a_socket_that_nobody_listens_on_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=rf"postgresql://{tmp_path}/.s.PGSQL.5433/shop did not answer"):
        await open_ports(f"postgresql:///shop?host={tmp_path}&port=5433")


async def test_the_password_may_be_in_a_file(
    postgresql_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    url, path = urlsplit(postgresql_url), tmp_path / "pgpass"
    path.touch(mode=0o600)
    path.write_text(f"{url.hostname}:{url.port}:*:{url.username}:{unquote(url.password or '')}\n")
    without = url._replace(netloc=f"{url.username}@{url.hostname}:{url.port}").geturl()
    link = await PostgresqlServer(f"{without}?passfile={path}").connect(None)
    assert await link.send([Read("SELECT 1")]) == [(1,)]
    await link.close()


async def test_a_user_of_the_options_may_have_its_server_in_its_name(postgresql_url: str, other: Connection) -> None:
    url = urlsplit(postgresql_url)
    await other.execute("""DROP ROLE IF EXISTS "me@server"; CREATE ROLE "me@server" LOGIN PASSWORD 'v'""")
    try:
        server = PostgresqlServer(
            f"postgresql://{url.path}?host={url.hostname}&port={url.port}&user=me@server&password=v&sslmode=disable"
            "&sslrootcert=/no/such.pem&sslcert="
        )
        assert server.where == f"postgresql://{url.hostname}:{url.port}{url.path}"
        link = await server.connect(None)
        assert await link.send([Read("SELECT current_user::text")]) == [("me@server",)]
        await link.close()
    finally:
        await other.execute('DROP ROLE "me@server"')


@pytest.mark.parametrize("environment", [{}, {"PGHOST": "/run/other,c", "PGPORT": "7,8"}, {"PGPORT": "9"}], ids=str)
@pytest.mark.parametrize("place", PLACES)
def test_where_it_is_said_to_be_is_where_the_driver_goes(
    place: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PGHOST", "PGPORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    url = f"postgresql://{place}"
    names = inspect.signature(connect_utils._parse_connect_dsn_and_args).parameters
    try:
        addresses, _ = connect_utils._parse_connect_dsn_and_args(**dict.fromkeys(names) | {"dsn": url})
    except asyncpg.ClientConfigurationError:  # not as many ports as hosts
        with pytest.raises(ConfigError, match="hosts or ports that cannot be read"):
            PostgresqlServer(url)
        return
    told = [each if isinstance(each, str) else f"{each[0]}:{each[1]}" for each in addresses]
    assert PostgresqlServer(url).where == f"postgresql://{','.join(told)}/x"


async def test_settings_of_the_session_are_those_of_the_url(postgresql_url: str) -> None:
    name = "a 'shop'"
    options = (
        f"application_name={quote(name)}&search_path=own,public&options={quote('-c work_mem=1MB -c lock_timeout=9s')}"
    )
    link = await PostgresqlServer(f"{postgresql_url}?{options}").connect(None)
    for setting, value in {
        "application_name": name,
        "search_path": "own,public",
        "work_mem": "1MB",
        "lock_timeout": "2s",
    }.items():
        assert await link.send([Read(f"SHOW {setting}")]) == [(value,)]
    await link.close()


async def test_nobody_there_is_unavailable() -> None:
    listening = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    listening.close()
    await listening.wait_closed()
    with pytest.raises(Unavailable, match=f"postgresql://127.0.0.1:{port}/shop did not answer"):
        await open_ports(f"postgresql://user:s3cr3t@127.0.0.1:{port}/shop")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://user:s3cr3t@host", "names no database"),
        ("postgresql://user:s3cr3t@host/", "names no database"),
        ("postgresql://user:s3cr3t@host/a/b", "names no database"),
        ("postgresql:///user:s3cr3t@host/shop", "cannot be read: what is special"),
        ("postgresql://user:s3cr3t@host:port/shop", "wrong host or port"),
        ("postgresql://user:s3cr3t@host:99999/shop", "wrong host or port"),
        ("postgresql://user:s3cr3t@[::1/shop", "wrong host or port"),
    ],
)
def test_a_url_that_names_no_database_is_refused_without_its_password(url: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        PostgresqlServer(url)
    assert "s3cr3t" not in str(caught.value)


def test_a_missing_driver_is_named_with_its_extra() -> None:
    program = (
        "import sys; sys.modules['asyncpg'] = None\n"
        "from orderway.adapters import ports_for\n"
        "from orderway.errors import ConfigError\n"
        "try:\n    ports_for('postgresql://user@host/shop')\n"
        "except ConfigError as error:\n    print(error)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "asyncpg is missing: pip install 'orderway[postgresql]'"


async def test_names_with_reserved_characters_are_percent_encoded(
    postgresql_server: PostgresqlDatabases,
) -> None:
    postgresql_server.new_database("a shop: 100% @home?")
    encoded = urlsplit(postgresql_server.url)._replace(path="/" + quote("a shop: 100% @home?", safe="")).geturl()
    try:
        server = PostgresqlServer(encoded)
        assert server.where.endswith("/a shop: 100% @home?")
        link = await server.connect(None)
        assert await link.send([Read("SELECT current_database()")]) == [("a shop: 100% @home?",)]
        await link.close()
    finally:
        postgresql_server.execute('DROP DATABASE "a shop: 100% @home?" WITH (FORCE)')


async def test_no_session_is_left_behind(postgresql_url: str) -> None:
    ports = await open_ports(postgresql_url)
    await ports.store.create(*make_order())
    await ports.close()
    beside = await asyncpg.connect(postgresql_url)
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    await until(beside, f"SELECT ({sessions}) = 1")
    await beside.close()
