"""Opening a file: its shard map, its schema, its epoch; closing it; and processes that are forked."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlite_file import Open

from orderway.adapters import open_ports, ports_for
from orderway.errors import ConfigError, InvalidValue, SchemaTooNew, Unavailable, WrongThread
from orderway.sql.operations import Beat
from orderway.sql.shards import ShardMap
from orderway.testing.conformance.builders import make_id, make_order


async def test_another_number_of_shards_is_refused(open_file: Open, tmp_path: Path) -> None:
    opened = await open_file(shards=3)
    assert len(opened.database.shards) == 3
    with pytest.raises(ConfigError, match=r"3 shards, not 2 as shards=2 asks for"):
        await open_file(shards=2)
    with pytest.raises(ConfigError, match="shards=3"):
        await open_ports(f"sqlite:///{tmp_path}/orders.db", shards=1)
    assert len((await open_file(shards=None)).database.shards) == 3


async def test_newer_schema_is_refused(open_file: Open) -> None:
    opened = await open_file()
    opened.run("UPDATE ow_meta SET schema_version = 99")
    with pytest.raises(SchemaTooNew, match="99"):
        await open_file()


async def test_schema_of_an_older_package_is_refused_and_left_as_it_is(open_file: Open) -> None:
    opened = await open_file()
    order = await opened.store.create(*make_order())
    opened.run("UPDATE ow_meta SET schema_version = 1")
    with pytest.raises(
        ConfigError, match=r"orders\.db has schema version 1, .* needs 2: run `orderway migrate`"
    ) as caught:
        await open_file()
    assert type(caught.value) is ConfigError
    assert opened.run("SELECT id FROM ow_orders_0") == [(order.id,)]
    assert opened.run("SELECT schema_version FROM ow_meta") == [(1,)]


async def test_no_write_by_a_shard_map_that_is_no_longer_in_force(open_file: Open) -> None:
    opened = await open_file()
    order, entry = make_order()
    opened.run("UPDATE ow_meta SET epoch = epoch + 1")
    with pytest.raises(Unavailable, match="epoch 2"):
        await opened.store.create(order, entry)
    with pytest.raises(Unavailable):
        async with opened.store.transaction(make_id("u"), 10) as transaction:
            await transaction.fetch("SELECT 1")
    restarted = await open_file()
    assert await restarted.store.create(order, entry) == order


async def test_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is no database, but it is long enough to be taken for one" * 20)
    with pytest.raises(ConfigError, match=r"text\.db"):
        await open_ports(f"sqlite:///{tmp_path}/text.db")
    with pytest.raises(ConfigError, match="folder"):
        await open_ports(f"sqlite:///{tmp_path}/missing/orders.db")


@pytest.mark.parametrize(
    "url", ["orders.db", "redis://x", "sqlite://", "sqlite:///", "sqlite:///:memory:", "memory://x"]
)
def test_urls_that_name_no_database(url: str) -> None:
    with pytest.raises(ConfigError, match="allowed"):
        ports_for(url)


async def test_relative_and_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    order, entry = make_order()
    relative = await open_ports("sqlite:///orders.db")
    await relative.store.create(order, entry)
    absolute = await open_ports(f"sqlite:////{tmp_path}/orders.db")
    assert await absolute.store.get(order.id) == order
    await absolute.close()
    await relative.close()


async def test_many_open_the_same_new_file_at_once(tmp_path: Path) -> None:
    every = await asyncio.gather(*(open_ports(f"sqlite:///{tmp_path}/new.db", shards=2) for _ in range(5)))
    orders = [await ports.store.create(*make_order()) for ports in every]
    for ports in every:
        assert [await ports.store.get(order.id) for order in orders] == orders
        await ports.close()


async def test_close_finishes_what_was_accepted(open_file: Open) -> None:
    opened = await open_file()
    orders = [make_order() for _ in range(50)]
    tasks = [asyncio.create_task(opened.store.create(*each)) for each in orders]
    await asyncio.sleep(0)
    await opened.store.close()
    await opened.store.close()
    assert all(task.done() for task in tasks)
    assert len(opened.run("SELECT id FROM ow_orders_0")) == 50
    with pytest.raises(Unavailable):
        await opened.store.create(*make_order())
    with pytest.raises(Unavailable):
        await opened.store.get(orders[0][0].id)


async def test_close_leaves_no_file_open(tmp_path: Path) -> None:
    def ours() -> list[Path]:
        return [name for fd in Path("/proc/self/fd").iterdir() if (name := fd.resolve()).is_relative_to(tmp_path)]

    ports = await open_ports(f"sqlite:///{tmp_path}/orders.db")
    order = await ports.store.create(*make_order(amount_minor=0))
    await ports.store.get(order.id)
    async with ports.store.transaction(make_id("u"), 10) as transaction:
        await transaction.fetch("SELECT 1")
    assert ours()
    await ports.close()
    assert ours() == []


def test_system_without_file_locks_is_refused_in_plain_words(tmp_path: Path) -> None:
    program = f"""
import asyncio, sys
sys.modules["fcntl"] = None  # as on Windows: the import fails
from orderway.adapters import open_ports
from orderway.errors import ConfigError
try:
    asyncio.run(open_ports("sqlite:///{tmp_path}/orders.db"))
except ConfigError as error:
    print(error)
"""
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert "Windows" in said
    assert "memory://" in said


async def test_use_after_a_fork_is_refused(open_file: Open) -> None:
    opened = await open_file()
    pid = os.fork()
    if pid == 0:
        try:
            opened.database.write(Beat(1))
        except WrongThread:
            os._exit(17)
        os._exit(1)
    _, status = await asyncio.to_thread(os.waitpid, pid, 0)
    assert os.waitstatus_to_exitcode(status) == 17


async def test_use_from_another_event_loop_or_thread_is_refused(open_file: Open) -> None:
    opened = await open_file()
    order, entry = make_order()
    for call in (opened.store.create(order, entry), opened.store.get(order.id)):
        with pytest.raises(WrongThread, match="another event loop") as caught:
            await asyncio.wait_for(asyncio.to_thread(asyncio.run, call), 10)
        assert caught.value.order_id == order.id
    with pytest.raises(WrongThread):
        await asyncio.to_thread(opened.database.write, Beat(1))
    assert await opened.store.create(order, entry) == order


def test_two_event_loops_share_a_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/orders.db"
    order, entry = make_order()

    async def write() -> None:
        ports = await open_ports(url)
        await ports.store.create(order, entry)
        await ports.close()

    async def read() -> None:
        ports = await open_ports(url)
        assert await ports.store.get(order.id) == order
        await ports.close()

    asyncio.run(write())
    asyncio.run(read())


async def test_commits_are_durable_and_readers_never_write(open_file: Open, tmp_path: Path) -> None:
    opened = await open_file()
    for connection in (opened.database.connect(), opened.database.connect_reader()):
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        connection.close()
    reader = opened.database.connect_reader()
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("DELETE FROM ow_workers")
    reader.close()


def test_shard_maps_cover_every_slot_once() -> None:
    for count in (1, 2, 3, 7, 1000, 65_536):
        shards = ShardMap.even(count)
        assert [shards.of_slot(slot) for slot in range(65_536)] == [slot * count // 65_536 for slot in range(65_536)]
        assert ShardMap.parse(shards.stored(0)) == (shards, 0)
    for wrong in (0, -1, 65_537):
        with pytest.raises(ConfigError):
            ShardMap.even(wrong)
    with pytest.raises(ConfigError):
        ports_for("sqlite:///orders.db", shards=0)
    with pytest.raises(InvalidValue):
        ShardMap.even(2).of_uid("\ud800")


@pytest.mark.parametrize(("count", "databases"), [(2, 2), (3, 2), (7, 3), (1000, 4)])
def test_shard_maps_over_several_databases(count: int, databases: int) -> None:
    shards = ShardMap.even(count, databases)
    own = [shards.of_database(number) for number in range(databases)]
    assert [shard for each in own for shard in each] == list(range(count))
    assert max(map(len, own)) - min(map(len, own)) <= 1
    assert [ShardMap.parse(shards.stored(number)) for number in range(databases)] == [
        (shards, number) for number in range(databases)
    ]


def test_more_databases_than_shards_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"shards=1 for 2 databases: .* at least 2"):
        ShardMap.even(1, 2)
