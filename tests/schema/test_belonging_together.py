"""Databases that do not belong together, or are not what they were, are refused before anything is written to them."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from schema_clients import Client, orderway

from orderway import App, Business, ConfigError
from orderway.adapters import databases_for, open_ports, places_for
from orderway.doctor import Finding, examine
from orderway.sql.cluster import Cluster
from orderway.sql.migrating import migrate

pytestmark = pytest.mark.slow


class Song(Business[None]):
    order_type = 1

    async def deliver(self, order: object, delivery: object) -> None:
        pass


@pytest.fixture
def urls(client: Client, second_client: Client) -> list[str]:
    return [client.url, second_client.url]


async def made(urls: list[str], shards: int) -> None:
    ports = await open_ports(urls, shards=shards)
    await ports.close()


async def sell(urls: list[str]) -> None:
    app = App(urls, sweep=False)
    app.register(Song())
    async with app:
        for number in range(8):
            await app.forward(await app.create(1, f"user-{number}"))


async def refused(urls: list[str]) -> str:
    """Why they cannot be opened together; none is open after it."""
    databases = databases_for(urls)
    with pytest.raises(ConfigError) as caught:
        await Cluster(databases).start()
    assert asyncio.all_tasks() == {asyncio.current_task()}  # none is still being opened
    assert [each._engine for each in databases] == [None] * len(urls)  # type: ignore[attr-defined]
    return str(caught.value)


def problems(findings: list[Finding]) -> list[str]:
    return [finding.found for finding in findings if not finding.is_well]


def where(url: str) -> str:
    """What a message calls it."""
    return url.removeprefix("sqlite:///").rpartition("@")[2]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("shards = replace(shards, '32767', '32766')", r"no shard map can be read in"),
        (
            "shards = replace(replace(shards, '16383', '99'), '16384', '100')",
            r"has shard 1 begin at slot 100, not 16384 as .*they do not belong together",
        ),
        ("epoch = 5", r"has epoch 5 of the shard map, and .* has 1: .*set `epoch` in both tables ow_meta to 5"),
        ("shards = 'garbage'", r"no shard map can be read in 'garbage': put back what `shards` was in its table"),
    ],
)
async def test_a_map_that_is_another_is_refused(
    client: Client, second_client: Client, urls: list[str], change: str, words: str
) -> None:
    await made(urls, 4)
    second_client.run(f"UPDATE ow_meta SET {change}")
    told = await refused(urls)
    assert re.search(words, told)
    assert where(second_client.url) in told
    assert problems(await examine(urls)) == [told]


async def test_databases_of_two_shops_are_refused(client: Client, second_client: Client, urls: list[str]) -> None:
    for shards, number, each in ((4, 1, client), (6, 2, second_client)):
        words = ("--shards", str(shards), "--databases", "2", "--database", str(number))
        each.run(orderway("schema", "--dialect", each.dialect, *words).stdout)
    told = await refused(urls)
    assert "has 6 shards, not 4 as" in told
    assert where(client.url) in told
    assert where(second_client.url) in told
    assert problems(await examine(urls)) == [told]


async def test_an_empty_database_does_not_take_the_place_of_one_in_use(
    client: Client, second_client: Client, urls: list[str], request: pytest.FixtureRequest
) -> None:
    await made(urls, 4)
    await sell(urls)
    lost = Client(client.dialect, client.url)
    lost.run(emptied(lost))
    told = await refused(urls)
    assert re.search(r"has no tables of Orderway, and .*, which belongs with it, is in use", told)
    assert told.index(where(client.url)) < told.index(where(second_client.url))
    for shards in (None, 4):
        with pytest.raises(ConfigError, match=re.escape(told)):
            await migrate(places_for(urls), shards)
    assert await migrate_checks(urls) == told
    begun_anew = orderway("schema", "--dialect", lost.dialect, "--shards", "4", "--databases", "2", "--database", "1")
    lost.run(begun_anew.stdout)
    assert problems(await examine(urls)) == []


async def migrate_checks(urls: list[str]) -> str:
    with pytest.raises(ConfigError) as caught:
        await migrate(places_for(urls), look_only=True)
    return str(caught.value)


def emptied(client: Client) -> str:
    """What drops all tables."""
    kinds = ("orders", "legs", "journal", "accounts", "postings", "lines")
    names = [f"ow_{kind}_{shard}" for kind in kinds for shard in range(2)]
    names += [f"ow_{kind}" for kind in ("meta", "workers", "sequences", "parked", "letters")]
    return "".join(f"DROP TABLE {name};" for name in names)


async def test_what_was_made_half_way_goes_on(client: Client, urls: list[str]) -> None:
    await made(urls, 4)
    client.run(emptied(client))
    await made(urls, 4)
    client.run(emptied(client))
    assert all(each.is_well for each in await migrate(places_for(urls)))
    await sell(urls)


async def test_one_that_cannot_be_made_leaves_none_open(client: Client, tmp_path: Path) -> None:
    told = await refused([client.url, f"sqlite:///{tmp_path}/nowhere/second.db"])
    assert "its folder must exist" in told


async def test_what_was_begun_with_more_shards_is_not_finished_with_fewer(client: Client) -> None:
    client.run(orderway("schema", "--dialect", client.dialect, "--shards", "3").stdout + "DELETE FROM ow_meta;")
    told = await refused([client.url])
    assert re.search(r"is unfinished, .*tables of shard 2, which a database made with shards=1 has not", told)
    with pytest.raises(ConfigError, match=re.escape(told)):
        await migrate(places_for([client.url]))
    [finished] = await migrate(places_for([client.url]), 3)
    assert finished.is_well
    await sell([client.url])
