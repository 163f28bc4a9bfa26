"""Which rights a user of the database needs: an App makes tables only where it may, and works without that right."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from schema_clients import Client, orderway

from orderway import App, Business, Money
from orderway.adapters import open_ports, places_for
from orderway.doctor import examine
from orderway.errors import ConfigError, MissingRights, Unavailable
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
        server_client.run(f"GRANT SHOW VIEW ON `{parts.path[1:]}`.* TO {name_there}")
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


def per_table(owner: Client, verb: str, clerk: Client, rights: str, *tables: str) -> None:
    """GRANT or REVOKE on each of these tables; without any, on all. It holds for sessions that are open already."""
    name = str(urlsplit(clerk.url).username)
    where = "public" if owner.dialect == "postgresql" else urlsplit(owner.url).path[1:]
    named = (
        tables
        or owner.run(f"SELECT table_name FROM information_schema.tables WHERE table_schema = '{where}'").splitlines()
    )
    grantee = name if owner.dialect == "postgresql" else f"{name}@'%'"
    word = "TO" if verb == "GRANT" else "FROM"
    owner.run("".join(f"{verb} {rights} ON {table} {word} {grantee};" for table in named))


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


async def test_a_password_that_is_being_changed_is_waited_for(server_client: Client, clerk: Client) -> None:
    await migrate(places_for([server_client.url]))
    grant(server_client, str(urlsplit(clerk.url).username), "SELECT, INSERT, UPDATE, DELETE")
    app = App(clerk.url, sweep=False)
    app.register(Toy())
    async with app:
        order = await app.create(1, "ann")
        change_password(server_client, clerk, "another")
        for call in (lambda: app.get(order.id), app.list, lambda: app.create(1, "ann"), lambda: app.create(1, "ann")):
            with pytest.raises(Unavailable, match="nothing was done") as caught:  # at first, that a session has ended
                await call()
            assert PASSWORD not in str(caught.value)
        assert caught.value.is_refusal
        change_password(server_client, clerk, PASSWORD)
        assert (await app.forward(order)).stage == "finished"


def change_password(owner: Client, clerk: Client, password: str) -> None:
    """And end the sessions that it let in."""
    name = str(urlsplit(clerk.url).username)
    if owner.dialect == "postgresql":
        owner.run(f"ALTER ROLE {name} PASSWORD '{password}'")
        owner.run(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = '{name}'")
    else:
        owner.run(f"ALTER USER {name}@'%' IDENTIFIED BY '{password}'")
        sessions = owner.run(f"SELECT id FROM information_schema.processlist WHERE user = '{name}'").split()
        owner.run("".join(f"KILL {session};" for session in sessions))


def test_who_may_only_read_is_told_so(server_client: Client, clerk: Client, tmp_path: Path) -> None:
    asyncio.run(migrate(places_for([server_client.url]), 2))
    per_table(server_client, "GRANT", clerk, "SELECT")
    (tmp_path / "rights_shop.py").write_text(
        "from orderway import App, Business\n\n\nclass Toy(Business):\n    order_type = 1\n\n"
        "    def deliver(self, order, delivery):\n        pass\n\n\n"
        f"app = App({clerk.url!r})\napp.register(Toy())\n"
    )

    async def start() -> None:
        with pytest.raises(MissingRights, match=r"GRANT SELECT, INSERT, UPDATE, DELETE ON .* `orderway doctor`"):
            await App(clerk.url, sweep=False).start()

    asyncio.run(start())
    worker = orderway("worker", "rights_shop:app", check=False, cwd=tmp_path)
    assert worker.returncode == 4
    assert "lacks a right" in worker.stderr
    assert "Traceback" not in worker.stderr
    assert orderway("list", "--url", clerk.url).returncode == 0, "to read is enough for looking"

    looked = orderway("doctor", "--url", clerk.url, check=False)
    assert looked.returncode == 1
    assert "lacks INSERT, UPDATE, DELETE on ow_accounts_0" in looked.stdout
    assert "and 11 more tables" in looked.stdout
    assert "GRANT SELECT, INSERT, UPDATE, DELETE ON" in looked.stdout
    assert PASSWORD not in looked.stdout + worker.stderr

    server_client.run(looked.stdout.partition("To grant it: ")[2].splitlines()[0])
    assert "may read and write them" in orderway("doctor", "--url", clerk.url).stdout


async def test_a_table_that_only_migrate_needs_is_no_fault(server_client: Client, clerk: Client) -> None:
    """Granted first, migrated later: the table of steps is a new one, which no App reads."""
    ports = await open_ports(server_client.url)
    await ports.close()
    per_table(server_client, "GRANT", clerk, "SELECT, INSERT, UPDATE, DELETE")
    await migrate(places_for([server_client.url]))
    found = {each.part: each for each in await examine([clerk.url])}
    assert all(finding.is_well for finding in found.values()), found
    assert {"workers", "orders"} < set(found)
    words = found["tables of database 1"].found
    assert "may read and write them; not compared with what is needed: " in words
    with pytest.raises(MissingRights, match="may not read ow_alembic"):
        await migrate(places_for([clerk.url]), look_only=True)

    server_client.run(words.partition("To grant it: ")[2])
    found = {each.part: each for each in await examine([clerk.url])}
    assert found["tables of database 1"].found.startswith("they are as this package needs them")


async def test_one_that_may_not_be_compared_hides_no_fault_of_another(
    server_client: Client, clerk: Client, tmp_path: Path
) -> None:
    file = f"sqlite:///{tmp_path}/orders.db"
    await migrate(places_for([server_client.url, file]))
    per_table(server_client, "GRANT", clerk, "SELECT, INSERT, UPDATE, DELETE")
    per_table(server_client, "REVOKE", clerk, "SELECT, INSERT, UPDATE, DELETE", "ow_alembic")
    Client("sqlite", file).run("DROP INDEX ow_orders_1_uid;")
    found = {each.part: each for each in await examine([clerk.url, file])}
    assert found["tables of database 1"].is_well
    assert "may not read ow_alembic" in found["tables of database 1"].found
    assert "ow_orders_1_uid is missing" in found["tables of database 2"].found


async def test_rights_on_letters_are_needed_for_the_queue_alone(server_client: Client, clerk: Client) -> None:
    await migrate(places_for([server_client.url]))
    per_table(server_client, "GRANT", clerk, "SELECT, INSERT, UPDATE, DELETE")
    per_table(server_client, "REVOKE", clerk, "SELECT, INSERT, UPDATE, DELETE", "ow_letters")
    assert all(finding.is_well for finding in await examine([clerk.url]))

    found = {each.part: each for each in await examine([clerk.url], queue="store")}
    assert "lacks SELECT, INSERT, UPDATE, DELETE on ow_letters." in found["tables of database 1"].found
    assert "ow_letters" in found["queue"].found
    assert (found["queue"].is_well, found["queue"].advice) == (False, ""), "it does run, and can be reached"
    assert found["orders"].is_well


async def test_the_shared_lock_on_the_shard_map_needs_update(server_client: Client, clerk: Client) -> None:
    await migrate(places_for([server_client.url]))
    per_table(server_client, "GRANT", clerk, "SELECT, INSERT, UPDATE, DELETE")
    per_table(server_client, "REVOKE", clerk, "UPDATE", "ow_meta")
    looked = orderway("doctor", "--url", clerk.url, check=False)
    assert looked.returncode == 1
    assert "lacks UPDATE on ow_meta." in looked.stdout
    if server_client.dialect == "postgresql":  # MariaDB's LOCK IN SHARE MODE does without
        with pytest.raises(MissingRights, match="permission denied for table ow_meta"):
            await App(clerk.url, sweep=False).start()


async def test_a_right_on_one_table_is_nobody_elses_trouble(server_client: Client, clerk: Client) -> None:
    await migrate(places_for([server_client.url]), 2)
    per_table(server_client, "GRANT", clerk, "SELECT, INSERT, UPDATE, DELETE")
    app = App(clerk.url, sweep=False)
    app.register(Toy())
    async with app:
        users = [f"user {number}" for number in range(8)]
        before = await asyncio.gather(*(app.create(1, uid) for uid in users))
        per_table(server_client, "REVOKE", clerk, "INSERT", "ow_orders_0")
        made = await asyncio.gather(*(app.create(1, uid) for uid in users), return_exceptions=True)
        refused = [each for each in made if isinstance(each, BaseException)]
        assert 0 < len(refused) < len(users)
        assert all(isinstance(each, MissingRights) and "ow_orders_0" in str(each) for each in refused)
        assert await app.forward(before[0]), "what needs no INSERT there goes on"

        per_table(server_client, "REVOKE", clerk, "SELECT", "ow_orders_0")
        read = await asyncio.gather(*(app.get(order.id) for order in before), return_exceptions=True)
        assert [isinstance(each, MissingRights) for each in read] == [isinstance(each, MissingRights) for each in made]

        per_table(server_client, "GRANT", clerk, "SELECT, INSERT", "ow_orders_0")
        assert all(await asyncio.gather(*(app.create(1, uid) for uid in users)))


class Gift(Business[dict[str, Any]]):
    """The first delivery loses every right to write while it is under way."""

    order_type = 1

    def __init__(self, owner: Client, clerk: Client) -> None:
        self.owner, self.clerk = owner, clerk
        self.deliveries = 0
        self.is_over = asyncio.Event()

    async def deliver(self, order: Any, delivery: Any) -> None:
        self.deliveries += 1
        delivery.execute("INSERT INTO gifts VALUES (:id)", {"id": order.id}, expect=1)
        if self.deliveries == 1:
            per_table(self.owner, "REVOKE", self.clerk, "INSERT, UPDATE, DELETE")

    async def finished(self, order: Any) -> None:
        self.is_over.set()


class Heard(logging.Handler):
    """Waits for words in the log."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self.words, self.event = words, asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if self.words in record.getMessage():
            self.event.set()


async def test_rights_that_are_taken_away_are_waited_for(server_client: Client, clerk: Client) -> None:
    await migrate(places_for([server_client.url]), 2)
    server_client.run("CREATE TABLE gifts (id VARCHAR(26) PRIMARY KEY)")
    per_table(server_client, "GRANT", clerk, "SELECT, INSERT, UPDATE, DELETE")
    gift = Gift(server_client, clerk)
    app = App(clerk.url, beat_every_s=0.05)
    app.register(gift)
    heard = Heard("heartbeat failed, will be tried again: the database's user lacks a right")
    logging.getLogger("orderway").addHandler(heard)
    try:
        async with app:
            await app.wallet.top_up("ann", Money.of("9.00", "CNY"), key="float")
            order = await app.create(1, "ann", amount=Money.of("1.00", "CNY"), pay="wallet")
            app.sweeper.wake()
            async with asyncio.timeout(60):
                await heard.event.wait()
                with pytest.raises(Unavailable, match="lacks a right"):
                    await app.create(1, "ann")
                assert app._is_running
                per_table(server_client, "GRANT", clerk, "SELECT, INSERT, UPDATE, DELETE")
                await gift.is_over.wait()
        async with app:  # it was closed when nothing was in hand any more
            assert (await app.get(order.id)).stage == "finished"
            assert await app.wallet.balance("ann", "CNY") == Money.of("8.00", "CNY")
    finally:
        logging.getLogger("orderway").removeHandler(heard)
    assert gift.deliveries == 2
    assert server_client.run("SELECT COUNT(*) FROM gifts") == "1"


async def test_one_of_two_databases_without_rights_keeps_nobody_from_the_other(
    server_client: Client, clerk: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = f"sqlite:///{tmp_path}/orders.db"
    await migrate(places_for([file, server_client.url]))
    per_table(server_client, "GRANT", clerk, "SELECT")
    app = App([file, clerk.url], sweep=False)
    app.register(Toy())
    async with app:
        made = await asyncio.gather(*(app.create(1, f"user {each}") for each in range(8)), return_exceptions=True)
    refused = [each for each in made if isinstance(each, BaseException)]
    assert 0 < len(refused) < len(made)
    assert all(isinstance(each, MissingRights) for each in refused)
    told = [record.getMessage() for record in caplog.records if "is left out, the others go on" in record.getMessage()]
    assert len(told) == 1, "and not with every heartbeat"
    assert "lacks a right" in told[0]


async def test_a_shard_map_that_cannot_be_read_is_told(server_client: Client) -> None:
    app = App(server_client.url, sweep=False)
    app.register(Toy())
    async with app:
        server_client.run("ALTER TABLE ow_meta RENAME TO ow_lost")
        with pytest.raises(Unavailable, match=r"(?i)shard map .*ow_meta.* (does not|doesn't) exist"):
            await app.create(1, "ann")
        server_client.run("ALTER TABLE ow_lost RENAME TO ow_meta")
        assert await app.create(1, "ann")
