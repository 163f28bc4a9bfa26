"""PgBouncer in front of PostgreSQL: one that shares sessions is refused, and told why; whole sessions do."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from orderway import App, Business, Stage
from orderway.adapters import open_ports
from orderway.errors import ConfigError
from orderway.sql.dialects.postgresql import PostgresqlServer
from orderway.sql.steps import Busy, Read
from orderway.testing.servers.binaries import find_program
from orderway.testing.servers.fixtures import StartServer
from orderway.testing.servers.server import HOST, Server

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


@pytest.mark.parametrize(
    "settings", [{}, {"ignore_startup_parameters": f"{OURS},{KEEPALIVES}"}, {"default_pool_size": "1"}]
)
async def test_one_that_shares_its_sessions_is_refused(
    postgresql_url: str, own_server: StartServer, settings: dict[str, str]
) -> None:
    pooler = own_server(Pgbouncer(postgresql_url, pool_mode="transaction", **settings))
    with pytest.raises(ConfigError, match=r"gives one session to several clients.*pool_mode = session") as caught:
        await open_ports(pooler.url)
    assert f"{HOST}:{pooler.port}/orders" in str(caught.value)


async def test_one_of_whole_sessions_serves(postgresql_url: str, own_server: StartServer) -> None:
    pooler = own_server(Pgbouncer(postgresql_url, pool_mode="session"))
    app = App(pooler.url)
    app.register(Song())
    async with app:
        orders = await asyncio.gather(*(app.create(1, f"user-{number}") for number in range(20)))
        for order in orders:
            assert (await app.forward(order)).stage is Stage.FINISHED


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
