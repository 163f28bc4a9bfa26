"""Which rights a user of the database needs: an App makes tables only where it may, and works without that right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from schema_clients import Client

from orderway import App, Business, Money
from orderway.adapters import open_ports, places_for
from orderway.errors import ConfigError
from orderway.sql.dialects.mysql import MysqlServer
from orderway.sql.dialects.postgresql import PostgresqlServer
from orderway.sql.migrating import migrate
from orderway.sql.steps import Failed

pytestmark = pytest.mark.slow

USER, PASSWORD = "clerk", "k1osk"


class Toy(Business[dict[str, Any]]):
    order_type = 1

    def deliver(self, order: Any, delivery: Any) -> None:
        pass


@pytest.fixture
def clerk(server_client: Client) -> Iterator[Client]:
    """The same database for a user of the server that may do nothing but look whether it is there."""
    parts = urlsplit(server_client.url)
    name = f"{USER}_{parts.path[-12:]}"
    if server_client.dialect == "postgresql":
        server_client.run(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
        leave = f"DROP OWNED BY {name}; DROP ROLE {name}"
    else:  # without any right on it, nobody can connect to a database
        name_there = f"{name}@'%'"
        server_client.run(f"CREATE USER {name_there} IDENTIFIED BY '{PASSWORD}'")
        server_client.run(f"GRANT SELECT ON `{parts.path[1:]}`.* TO {name_there}")
        leave = f"DROP USER {name_there}"
    url = parts._replace(netloc=f"{name}:{PASSWORD}@{parts.hostname}:{parts.port}").geturl()
    yield Client(server_client.dialect, url)
    server_client.run(leave)


def grant(owner: Client, name: str, rights: str) -> None:
    """As docs/schema.md says."""
    if owner.dialect == "postgresql":
        owner.run(f"GRANT {rights} ON ALL TABLES IN SCHEMA public TO {name}")
    else:
        owner.run(f"GRANT {rights} ON `{urlsplit(owner.url).path[1:]}`.* TO {name}@'%'")


async def test_who_may_make_no_tables_is_told_who_may(server_client: Client, clerk: Client) -> None:
    with pytest.raises(ConfigError, match="Run `orderway migrate` as a user who may make tables"):
        await open_ports(clerk.url)
    with pytest.raises(ConfigError, match="as a user who may make and change tables"):
        await migrate(places_for([clerk.url]))

    await migrate(places_for([server_client.url]))  # who may, does
    ports = await open_ports(server_client.url)
    await ports.close()


async def test_an_app_needs_no_more_than_to_read_and_write_rows(server_client: Client, clerk: Client) -> None:
    await migrate(places_for([server_client.url]), 2)
    grant(server_client, str(urlsplit(clerk.url).username), "SELECT, INSERT, UPDATE, DELETE")

    app = App(clerk.url, shards=2, sweep=False)
    app.register(Toy())
    async with app:
        await app.wallet.top_up("ann", Money.of("9.00", "CNY"), key="float")
        order = await app.create(1, "ann", amount=Money.of("1.00", "CNY"), pay="wallet")
        order = await app.forward(order)
        assert order.stage == "finished"
        await app.refund(order.id, key="back", actor="mia", reason="broken")
    (looked,) = await migrate(places_for([clerk.url]), look_only=True)
    assert looked.is_well


async def test_a_user_may_end_a_session_of_its_own(server_client: Client, clerk: Client) -> None:
    """As is needed to know what became of a commit without an answer."""
    await migrate(places_for([server_client.url]))
    server = PostgresqlServer(clerk.url) if clerk.dialect == "postgresql" else MysqlServer(clerk.url)
    lost, link = await server.connect(None), await server.connect(None)
    await link.end_session(lost.name, 5.0)
    with pytest.raises(Failed):
        await lost.script("SELECT 1")
    await link.close()
    await lost.close()
