"""PostgreSQL dies for good under load, and its synchronous standby takes over: nothing is lost or doubled.

What a user must set up for that:

- on the primary ``synchronous_standby_names`` names the standby, and ``synchronous_commit`` is ``on`` or
  ``remote_apply``: an OK then means that the standby has it, too. (With two or more standbys: ``ANY 1 (a, b)``, and
  the one that is furthest ahead is promoted.)
- something that notices the death, makes sure that the old primary is dead and stays so (else there would be two), and
  promotes the standby.
- a URL that leads to whoever is the primary: an address that moves, a proxy, or both hosts in it,
  ``postgresql://user:password@one:5432,two:5432/orders?target_session_attrs=read-write``.

Commits wait while there is no standby: the new primary needs one of its own, or runs without until it has.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

import pytest
from databases import open_session
from fault_load import audit, selling

from orderway.testing.servers import PostgresqlServer, ServerUnavailable
from orderway.testing.servers.fixtures import unavailable
from orderway.testing.servers.proxy import Proxy

SOLD = 100


class Pair:
    """A primary and its synchronous standby.

    Args:
        url: of the database on the primary.
    """

    def __init__(self, primary: PostgresqlServer, standby: PostgresqlServer, url: str) -> None:
        self.primary = primary
        self.standby = standby
        self.url = url
        self.standby_url = urlsplit(standby.url)._replace(path=urlsplit(url).path).geturl()

    @property
    def both(self) -> str:
        """The URL with both hosts."""
        parts = urlsplit(self.url)
        netloc = f"{parts.netloc},{self.standby_url.rpartition('@')[2].partition('/')[0]}"
        return parts._replace(netloc=netloc, query="target_session_attrs=read-write").geturl()


@asynccontextmanager
async def paired() -> AsyncIterator[Pair]:
    primary = PostgresqlServer()
    try:
        await asyncio.to_thread(primary.start)
        standby = await asyncio.to_thread(primary.standby)
    except ServerUnavailable as error:
        primary.remove()
        unavailable(error)
    with primary, standby:
        pair = Pair(primary, standby, primary.new_database())
        async with open_session(pair.url) as session:
            await session.run("CREATE TABLE goods (name VARCHAR(64) NOT NULL)")
        yield pair


@pytest.mark.parametrize("way", ["a proxy", "both hosts in the URL"])
async def test_a_standby_takes_over(way: str, summarize: Callable[[str, str], None]) -> None:
    async with paired() as pair, AsyncExitStack() as stack:
        url = pair.both
        if way == "a proxy":
            proxy = await stack.enter_async_context(Proxy(pair.url))
            url = proxy.url
        async with selling(url) as load:
            await load.until_sold(SOLD)
            before = set(load.told)
            await asyncio.to_thread(pair.primary.kill)
            if way == "a proxy":
                proxy.lead_to(pair.standby_url)  # too early: it takes no writes yet, and must be believed nothing
            await asyncio.to_thread(pair.standby.promote)
            await load.until_sold(SOLD)
        async with open_session(pair.standby_url) as session:
            orders = await audit(session, load.told)
    assert len(before) >= SOLD
    assert load.refusals, "nobody called while there was no primary"
    summarize("PostgreSQL's standby takes over", f"{way}: {orders} orders, 0 lost, 0 doubled")
