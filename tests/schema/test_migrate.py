"""Tables are made and changed step by step, whoever else is at it, and however often it is ended half way."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from schema_clients import Client, orderway

from orderway.adapters import open_ports, places_for
from orderway.errors import ConfigError, SchemaTooNew, Unavailable
from orderway.sql.migrating import Migrated, migrate

pytestmark = pytest.mark.slow

STEPS = Path(__file__).parent / "steps"


async def migrated(client: Client, shards: int | None = None, **options: object) -> Migrated:
    (found,) = await migrate(places_for([client.url]), shards, **options)  # type: ignore[arg-type]
    return found


async def made_by_an_app(client: Client, shards: int) -> None:
    ports = await open_ports(client.url, shards=shards)
    await ports.close()


async def test_a_new_database_is_made_and_then_nothing_is_to_be_done(client: Client) -> None:
    first = await migrated(client, 3)
    assert first.is_well
    assert first.revision == "0002"
    assert "made table ow_orders_2" in first.done

    again = await migrated(client)
    assert (again.done, again.differences, again.shards) == ([], [], [0, 1, 2])
    ports = await open_ports(client.url, shards=3, create=False)
    await ports.close()


async def test_what_an_app_or_a_script_made_is_as_it_should_be(client: Client, second_client: Client) -> None:
    await made_by_an_app(client, 2)
    second_client.run(orderway("schema", "--dialect", second_client.dialect, "--shards", "2").stdout)

    for each in (client, second_client):
        looked = await migrated(each, look_only=True)
        assert looked.is_well
        assert looked.revision is None
        assert (await migrated(each)).done == ["made table ow_alembic", "took step 0001", "took step 0002"]


async def test_what_is_other_than_it_should_be_is_told(client: Client) -> None:
    await migrated(client, 2)
    of_orders = "" if client.dialect in {"sqlite", "postgresql"} else " ON ow_orders_1"
    client.run(
        f"DROP TABLE ow_parked; DROP INDEX ow_orders_1_uid{of_orders}; DROP TABLE ow_journal_1; CREATE TABLE"
        " ow_journal_1 (order_id VARCHAR(26) NOT NULL, version BIGINT NOT NULL, fact INTEGER NOT NULL, at_us BIGINT,"
        " write_id VARCHAR(8) NOT NULL, body TEXT NOT NULL, digest VARCHAR(64) NOT NULL, more INTEGER NOT NULL,"
        " PRIMARY KEY (version, order_id)); ALTER TABLE ow_orders_0 ADD COLUMN extra INTEGER;"
    )

    looked = await migrated(client, look_only=True)

    assert not looked.is_well
    told = "\n".join(looked.differences)
    for sentence in (
        r"table ow_parked is missing",
        r"index ow_orders_1_uid is missing: run `orderway migrate`, or CREATE INDEX ow_orders_1_uid ON",
        r"column ow_journal_1.fact is INTEGER(\(11\))?: change it to VARCHAR\(32\)",
        r"column ow_journal_1.at_us is NULL: change it to NOT NULL",
        r"column ow_journal_1.write_id is VARCHAR\(8\).*: change it to VARCHAR\(32\)",
        r"column ow_journal_1.private is missing: .* add it by hand as (LONG)?TEXT.* NULL",
        r"column ow_journal_1.more is not known to this package, and rows cannot be inserted without it",
        r"table ow_journal_1 has the primary key \(version, order_id\): make it \(order_id, version\)",
    ):
        assert re.search(sentence, told), f"{sentence} is not told in\n{told}"
    assert "extra" not in told  # others may add what this package can do without
    if client.dialect != "sqlite":  # texts there are not compared by their bytes by themselves
        assert re.search(r"column ow_journal_1.order_id is VARCHAR\(26\).*: change it to VARCHAR\(26\).*COLLATE", told)

    repaired = await migrated(client)
    assert {"made table ow_parked", "made index ow_orders_1_uid"} <= set(repaired.done)
    assert all("ow_journal_1" in sentence for sentence in repaired.differences)
    assert not repaired.is_well


async def test_what_was_ended_half_way_goes_on(client: Client) -> None:
    code = (
        "import asyncio, os, pathlib, signal, sys\n"
        "from orderway.adapters import places_for\n"
        "from orderway.sql.migrating import migrate\n"
        "def tell(where, done, total):\n"
        "    if done == 2: os.kill(os.getpid(), signal.SIGKILL)\n"
        "places, versions = places_for([sys.argv[1]]), [pathlib.Path(each) for each in sys.argv[2:]]\n"
        "asyncio.run(migrate(places, 4, versions=versions, tell=tell))\n"
    )

    async def killed(*versions: str) -> None:
        words = [sys.executable, "-c", code, client.url, *versions]
        done = await asyncio.to_thread(subprocess.run, words, check=False, timeout=60)
        assert done.returncode == -signal.SIGKILL

    await killed()
    made = await migrated(client, 4)
    assert made.is_well
    await killed(str(STEPS))
    stepped = await migrated(client, versions=[STEPS])

    assert stepped.revision == "9001"
    assert stepped.is_well
    # Where tables are made in a transaction of their own each, what was done stayed done.
    first_left = 0 if client.dialect == "sqlite" else 2
    assert f"made table ow_orders_{first_left}" in made.done
    assert ("made table ow_orders_1" in made.done) == (first_left == 0)
    assert ("added column gift to ow_orders_1" in stepped.done) == (first_left == 0)
    assert "made table ow_gifts_3" in stepped.done


async def test_what_an_app_or_a_script_left_half_made_is_completed(server_client: Client) -> None:
    script = orderway("schema", "--dialect", server_client.dialect, "--json").stdout
    statements = [each for each in json.loads(script)["statements"] if each not in {"BEGIN;", "COMMIT;"}]
    server_client.run("\n".join(statements[:9]))
    assert (await migrated(server_client)).is_well
    await made_by_an_app(server_client, 1)


async def test_several_at_once_do_it_once(client: Client) -> None:
    *told, _ = await asyncio.gather(*(migrated(client, 3) for _ in range(3)), made_by_an_app(client, 3))

    assert all(each.is_well for each in told)
    assert sum("took step 0001" in each.done for each in told) == 1
    assert sum("made table ow_orders_2" in each.done for each in told) <= 1


async def test_whoever_else_is_changing_tables_is_waited_for(client: Client) -> None:
    inside, leave = threading.Event(), threading.Event()

    def tell(where: str, done: int, total: int) -> None:
        if done == 1 and not inside.is_set():
            inside.set()
            leave.wait(30)

    busy = asyncio.create_task(asyncio.to_thread(asyncio.run, migrate(places_for([client.url]), 3, tell=tell)))
    await asyncio.to_thread(inside.wait, 30)
    with pytest.raises(Unavailable, match="try again"):
        await migrate(places_for([client.url], wait_s=1.0), 3)
    leave.set()

    (first,) = await busy
    assert first.is_well
    assert (await migrated(client)).done == []


async def test_two_databases_keep_their_places(client: Client, second_client: Client) -> None:
    urls = [client.url, second_client.url]
    first, second = await migrate(places_for(urls), 4)
    assert (first.shards, second.shards) == ([0, 1], [2, 3])
    assert first.is_well
    assert second.is_well

    assert [each.done for each in await migrate(places_for(urls))] == [[], []]
    with pytest.raises(ConfigError, match="number 2 of 2 databases, and was given as number 1"):
        await migrate(places_for(urls[::-1]))
    with pytest.raises(ConfigError, match="number 1 of 2 databases that belong together, and 1 was given"):
        await migrate(places_for(urls[:1]))
    with pytest.raises(ConfigError, match="4 shards"):
        await migrate(places_for(urls), 6)


async def test_a_step_that_takes_away_waits_until_it_is_asked_for(client: Client) -> None:
    await made_by_an_app(client, 1)
    before = await migrated(client, versions=[STEPS])
    assert before.revision == "9001"
    assert before.waiting == {
        "post": ["9002 A step that takes away: from then on, packages that write remarks cannot work."]
    }
    assert (await migrated(client, versions=[STEPS])).done == []

    after = await migrated(client, versions=[STEPS], phase="post")
    assert after.waiting == {}
    assert after.done[0].startswith("raised the schema version to 3")
    assert client.run("SELECT schema_version FROM ow_meta") == "3"


async def test_what_a_newer_package_changed_is_left_alone(client: Client) -> None:
    await made_by_an_app(client, 1)
    await migrated(client, versions=[STEPS])

    with pytest.raises(SchemaTooNew, match="has taken step 9001, which this package does not know"):
        await migrated(client)
    ports = await open_ports(client.url)  # its tables have only more than before
    await ports.close()


async def test_what_came_before_the_first_version_is_refused(client: Client) -> None:
    await made_by_an_app(client, 1)
    client.run("UPDATE ow_meta SET schema_version = 1")
    with pytest.raises(ConfigError, match=r"schema version 1, of before 0\.1\.0"):
        await migrated(client)


def test_the_command_tells_what_it_did_and_what_is_left(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/orders.db"
    missing = orderway("migrate", "--check", "--url", url, check=False)
    assert missing.returncode == 4
    assert f"`orderway migrate --url {url}` makes it" in missing.stderr
    assert list(tmp_path.iterdir()) == []

    made = orderway("migrate", "--url", url, "--shards", "2")
    assert "shard 0 to 1\n  made table ow_alembic\n" in made.stdout
    assert made.stdout.endswith("  all tables are as this package needs them\n")
    Client("sqlite", url).run("DROP INDEX ow_orders_1_uid")
    looked = orderway("migrate", "--check", "--url", url, "--json", check=False)
    assert looked.returncode == 1
    document = json.loads(looked.stdout)
    assert document["ok"] is False
    assert document["databases"][0]["differences"][0].startswith("index ow_orders_1_uid is missing")
    assert "made index ow_orders_1_uid" in orderway("migrate", "--url", url).stdout
    assert "nothing was to be done" in orderway("migrate", "--url", url).stdout


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "sys.modules['alembic'] = None\n"
        "from orderway.cli.commands import orderway\n"
        "orderway.main(['migrate'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert "alembic is missing: pip install 'orderway[migrate]'" in done.stderr


def test_memory_has_no_tables() -> None:
    done = orderway("migrate", "--url", "memory://", check=False)
    assert done.returncode == 4
    assert "memory:// has no tables" in done.stderr
