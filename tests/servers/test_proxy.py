"""The proxy cuts where it says: seen by the servers' own clients on one side, and in the database on the other."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from orderway.testing.servers import MariadbDatabases, PostgresqlDatabases, ServerUnavailable
from orderway.testing.servers.proxy import Proxy


@dataclass(frozen=True)
class Words:
    """A database with a table of words."""

    databases: type[PostgresqlDatabases] | type[MariadbDatabases]
    url: str
    table: str

    async def run(self, statement: str, url: str) -> str:
        return await asyncio.to_thread(self.databases(url).execute, statement)

    async def write(self, url: str) -> None:
        await self.run(f"BEGIN; INSERT INTO {self.table} VALUES ('new'); COMMIT", url)

    async def written(self) -> str:
        return await self.run(f"SELECT word FROM {self.table}", self.url)


@pytest.fixture(params=[PostgresqlDatabases, MariadbDatabases], ids=["postgresql", "mariadb"])
def words(request: pytest.FixtureRequest) -> Words:
    if request.param is PostgresqlDatabases:
        words = Words(PostgresqlDatabases, request.getfixturevalue("postgresql_url"), "words")
    else:
        url = request.getfixturevalue("mariadb_url")
        words = Words(MariadbDatabases, url, f"{urlsplit(url).path[1:]}.words")
    words.databases(words.url).execute(f"CREATE TABLE {words.table} (word VARCHAR(9))")
    return words


async def test_it_passes_on_what_nobody_cuts(words: Words) -> None:
    async with Proxy(words.url) as proxy:
        await words.write(proxy.url)
        assert (proxy.connections, proxy.cuts) == (1, 0)
    assert await words.written() == "new"


@pytest.mark.parametrize(("answered", "left"), [(True, "new"), (False, "")])
async def test_a_commit_is_cut_before_or_after_it_happens(words: Words, answered: bool, left: str) -> None:
    async with Proxy(words.url) as proxy:
        fault = proxy.cut(answered=answered)
        with pytest.raises(ServerUnavailable, match=r"(?i)closed the connection|lost connection|has gone away"):
            await words.write(proxy.url)
        await fault.over.wait()
        assert fault.reached.is_set()
        assert proxy.cuts == 1
        assert await words.written() == left
        await words.write(proxy.url)  # only the first was meant


async def test_the_nth_request_of_ones_own_choice_is_cut(words: Words) -> None:
    async with Proxy(words.url) as proxy:
        fault = proxy.cut(answered=False, when=lambda request: b"SELECT 42" in request.data, nth=2)
        assert await words.run("SELECT 42", proxy.url) == "42"
        assert not fault.reached.is_set()
        with pytest.raises(ServerUnavailable):
            await words.run("SELECT 42", proxy.url)
        assert fault.reached.is_set()


async def test_an_answer_that_stalls_comes_when_it_is_released(words: Words) -> None:
    async with Proxy(words.url) as proxy:
        fault = proxy.stall(answered=True)
        writing = asyncio.create_task(words.write(proxy.url))
        await fault.reached.wait()
        assert await words.written() == "new", "it has happened, and nobody was told"
        assert not writing.done()
        fault.released.set()
        await writing
        assert proxy.cuts == 0


async def test_all_are_cut_and_new_ones_refused(words: Words) -> None:
    async with Proxy(words.url) as proxy:
        fault = proxy.stall(answered=False)
        writing = asyncio.create_task(words.write(proxy.url))
        await fault.reached.wait()
        proxy.refuses = True
        proxy.cut_all()
        for attempt in (writing, words.write(proxy.url)):
            with pytest.raises(ServerUnavailable):
                await attempt
        assert (proxy.connections, proxy.cuts) == (2, 2)
        proxy.refuses = False
        assert await words.written() == ""
        await words.write(proxy.url)
        assert await words.written() == "new"
