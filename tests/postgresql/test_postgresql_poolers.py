"""PgBouncer in front of PostgreSQL: one that shares sessions is refused, and told why; whole sessions do."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import asyncpg
import pytest

from orderway import App, Business, Stage
from orderway.adapters import open_ports
from orderway.errors import ConfigError
from orderway.sql.dialects.postgresql import PostgresqlServer
from orderway.sql.steps import Busy, Failed, Read
from orderway.testing.servers.binaries import find_program
from orderway.testing.servers.fixtures import StartServer
from orderway.testing.servers.server import HOST, Server

if TYPE_CHECKING:
    Connection = asyncpg.Connection[Any]

REFUSED = r"gives one session to several clients.*pool_mode = session"
OURS = "plan_cache_mode,enable_seqscan,enable_hashjoin,enable_mergejoin,jit,lock_timeout,default_transaction_isolation"
KEEPALIVES = "tcp_keepalives_idle,tcp_keepalives_interval,tcp_keepalives_count,idle_in_transaction_session_timeout"


class Song(Business[None]):
    order_type = 1

    async def deliver(self, order: object, delivery: object) -> None:
        pass


class Pgbouncer(Server):
    """A private PgBouncer.

    Args:
        behind: the database that it leads to.
        settings: as in pgbouncer.ini.
    """

    account = "postgres"

    def __init__(self, behind: str, **settings: str) -> None:
        super().__init__(settings)
        self._behind = urlsplit(behind)

    @property
    def url(self) -> str:
        return f"postgresql://anybody@{HOST}:{self.port}/orders"

    def _create(self) -> None:
        there = self._behind
        password = unquote(there.password or "").replace("'", "''")
        place = f"host={there.hostname} port={there.port} dbname={there.path[1:]}"
        settings = {
            "listen_addr": HOST,
            "listen_port": str(self.port),
            "unix_socket_dir": "",
            "auth_type": "any",
            **self.settings,
        }
        lines = [f"orders = {place} user={unquote(there.username or '')} password='{password}'", "[pgbouncer]"]
        lines += [f"{name} = {value}" for name, value in settings.items()]
        self._ini.touch(mode=0o600)
        self._ini.write_text("\n".join(["[databases]", *lines, ""]))
        self._own(self._ini)

    def _command(self) -> Sequence[str]:
        return [find_program("pgbouncer", package="pgbouncer"), str(self._ini)]

    def _is_ready(self, connection: socket.socket) -> bool:
        return True

    @property
    def _ini(self) -> Path:
        return self.folder / "pgbouncer.ini"


@asynccontextmanager
async def others(url: str, *, busy: bool = False) -> AsyncIterator[list[Connection]]:
    """Four clients of the same pooler, with a session for each behind it; busy ones never stop asking."""
    clients = [await asyncpg.connect(url, statement_cache_size=0) for _ in range(4)]
    for end in ("BEGIN", "COMMIT"):
        for client in clients:
            await client.execute(end)
    stopped = not busy

    async def ask(client: Connection) -> None:
        while not stopped:
            await client.execute("SELECT")

    asking = [asyncio.create_task(ask(client)) for client in clients]
    try:
        yield clients
    finally:
        stopped = True
        await asyncio.gather(*asking)
        for client in clients:
            client.terminate()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"ignore_startup_parameters": f"{OURS},{KEEPALIVES}"},
        {"default_pool_size": "1"},
        {"pool_mode": "statement"},
    ],
)
async def test_one_that_shares_its_sessions_is_refused(
    postgresql_url: str, own_server: StartServer, settings: dict[str, str]
) -> None:
    pooler = own_server(Pgbouncer(postgresql_url, **{"pool_mode": "transaction", **settings}))
    with pytest.raises(ConfigError, match=REFUSED) as caught:
        await open_ports(pooler.url)
    assert f"{HOST}:{pooler.port}/orders" in str(caught.value)


@pytest.mark.parametrize("busy", [False, True])
@pytest.mark.parametrize("round_robin", ["0", "1"])
async def test_one_that_shares_its_sessions_is_refused_whomever_else_it_serves(
    postgresql_url: str, own_server: StartServer, round_robin: str, *, busy: bool
) -> None:
    pooler = own_server(Pgbouncer(postgresql_url, pool_mode="transaction", server_round_robin=round_robin))
    async with others(pooler.url, busy=busy):
        for _ in range(10):
            with pytest.raises(ConfigError, match=REFUSED):
                await PostgresqlServer(pooler.url).connect(1)


async def test_to_be_refused_changes_nobodys_session(postgresql_url: str, own_server: StartServer) -> None:
    pooler = own_server(
        Pgbouncer(postgresql_url, pool_mode="transaction", ignore_startup_parameters=f"{OURS},{KEEPALIVES}")
    )
    found = (
        "SELECT current_setting('enable_hashjoin'), current_setting('lock_timeout'),"
        " (SELECT count(*) FROM pg_locks JOIN pg_database ON oid = database AND datname = current_database()"
        " WHERE locktype = 'advisory'), (SELECT count(*) FROM pg_prepared_statements)"
    )
    async with others(pooler.url) as clients:
        for _ in range(4):
            with pytest.raises(ConfigError, match=REFUSED):
                await PostgresqlServer(pooler.url).connect(1)
        for client in clients:
            await client.execute("BEGIN")
        assert {tuple(await client.fetchrow(found) or ()) for client in clients} == {("on", "0", 0, 0)}


async def test_one_of_whole_sessions_serves(postgresql_url: str, own_server: StartServer) -> None:
    pooler = own_server(Pgbouncer(postgresql_url, pool_mode="session", default_pool_size="3"))
    app = App(pooler.url)
    app.register(Song())
    async with app:
        orders = await asyncio.gather(*(app.create(1, f"user-{number}") for number in range(20)))
        for order in orders:
            assert (await app.forward(order)).stage is Stage.FINISHED


async def test_as_many_sessions_as_lines_are_enough(postgresql_url: str, own_server: StartServer) -> None:
    pool = {"default_pool_size": "3", "query_wait_timeout": "5"}  # three, as the page about databases says
    pooler = own_server(Pgbouncer(postgresql_url, pool_mode="session", **pool))
    server = PostgresqlServer(pooler.url)
    for link in [await server.connect(1) for _ in range(3)]:
        await link.close()


async def test_a_session_that_does_not_come_leaves_no_connection(
    postgresql_url: str, own_server: StartServer, open_sockets: Callable[[], int]
) -> None:
    pool = {"default_pool_size": "1", "query_wait_timeout": "1"}
    pooler = own_server(Pgbouncer(postgresql_url, pool_mode="session", **pool))
    client = await asyncpg.connect(pooler.url)
    await client.execute("SELECT")  # holds the only session
    before = open_sockets()
    with pytest.raises(Failed, match="query_wait_timeout"):
        await PostgresqlServer(pooler.url).connect(1)
    for _ in range(5):  # turns of the loop, which closes what is aborted in one of the next
        await asyncio.sleep(0)
    assert open_sockets() == before
    client.terminate()


async def test_sessions_through_it_have_their_settings(postgresql_url: str, own_server: StartServer) -> None:
    pooler = own_server(Pgbouncer(postgresql_url, pool_mode="session"))
    link = await PostgresqlServer(pooler.url).connect(1, idle_s=2)
    wanted = {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off", "lock_timeout": "2s"}
    for name, value in (wanted | {"idle_in_transaction_session_timeout": "2s"}).items():
        assert await link.send([Read(f"SHOW {name}")]) == [(value,)]
    await link.close()


async def test_a_lock_that_comes_too_late_leaves_the_time_limit_as_it_was(
    postgresql_url: str, own_server: StartServer
) -> None:
    pooler = own_server(Pgbouncer(postgresql_url, pool_mode="session"))
    first, second = [await PostgresqlServer(pooler.url).connect(1) for _ in range(2)]
    await first.lock("one", 1)
    with pytest.raises(Busy):
        await second.lock("one", 0.01)
    assert await second.send([Read("SHOW lock_timeout")]) == [("2s",)]
    for link in (first, second):
        await link.close()
