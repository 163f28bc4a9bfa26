"""What `orderway schema` prints makes a whole database, by the hands of each database's own client."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from subprocess import run

import pytest
from schema_clients import Client, orderway

from orderway import App, Business
from orderway.adapters import ports_for
from orderway.sql.shards import ShardMap

pytestmark = pytest.mark.slow


class Toy(Business[dict[str, int]]):
    order_type = 1

    def deliver(self, order: object, delivery: object) -> None:
        pass


async def sell_to(app: App, uids: list[str]) -> None:
    """Have an order finished for each of these users."""
    app.register(Toy())
    async with app:
        for uid in uids:
            order = await app.forward(await app.create(1, uid))
            assert order.stage == "finished"


async def test_what_is_printed_makes_a_database_that_an_app_opens(client: Client) -> None:
    client.run(orderway("schema", "--dialect", client.dialect, "--shards", "3").stdout)

    await sell_to(App(ports_for(client.url, shards=3, create=False)), ["ann", "bob", "zoe", "kim"])

    assert client.run("SELECT id, schema_version, epoch FROM ow_meta").replace("\t", "|") == "1|2|1"


async def test_two_databases_are_made_one_by_one(client: Client, second_client: Client) -> None:
    clients = [client, second_client]
    shards = ("--shards", "4", "--databases", "2")
    for number, each in enumerate(clients, 1):
        each.run(orderway("schema", "--dialect", each.dialect, *shards, "--database", str(number)).stdout)

    ports = ports_for([each.url for each in clients], shards=4, create=False)
    await sell_to(App(ports), [f"user-{number}" for number in range(12)])

    counts = [
        sum(int(each.run(f"SELECT count(*) FROM ow_orders_{shard}")) for shard in own)
        for each, own in zip(clients, ((0, 1), (2, 3)), strict=True)
    ]
    assert sum(counts) == 12
    assert all(counts)


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql", "mysql", "mariadb"])
def test_it_is_complete_and_ends_with_the_row_that_says_so(dialect: str) -> None:
    found = json.loads(orderway("schema", "--dialect", dialect, "--shards", "64", "--json").stdout)

    statements = [each for each in found["statements"] if each not in {"BEGIN;", "COMMIT;"}]
    assert statements[-1].startswith("INSERT INTO ow_meta")
    assert ShardMap.even(64).text in statements[-1]
    for table in ("orders", "legs", "journal", "accounts", "postings", "lines"):
        made = [each for each in statements if re.match(rf"CREATE TABLE (IF NOT EXISTS )?ow_{table}_", each)]
        assert len(made) == 64


def test_it_needs_no_driver_no_alembic_and_no_database(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "for name in ('asyncpg', 'asyncmy', 'alembic', 'redis'): sys.modules[name] = None\n"
        "from orderway.cli.commands import orderway\n"
        "orderway.main(['schema', '--dialect', sys.argv[1], '--shards', '2'])\n"
    )
    for dialect in ("sqlite", "postgresql", "mysql", "mariadb"):
        done = run([sys.executable, "-c", code, dialect], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert re.search(r"^CREATE TABLE (IF NOT EXISTS )?ow_orders_1 ", done.stdout, re.MULTILINE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--databases", "2"], "--database N is missing"),
        (["--databases", "2", "--database", "3"], "from 1 to 2 are allowed"),
        (["--shards", "70000"], "1 to 65536 are allowed"),
        (["--databases", "2", "--database", "1"], "each needs at least one, so give at least 2"),
    ],
)
def test_what_cannot_be_is_refused(words: list[str], message: str) -> None:
    done = orderway("schema", "--dialect", "sqlite", *words, check=False)
    assert done.returncode in {2, 4}
    assert message in done.stderr
