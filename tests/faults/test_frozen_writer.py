"""A process that is frozen in the middle of a transaction does not keep for ever what it has locked."""

from __future__ import annotations

import time
from contextlib import suppress

from orderway.adapters import databases_for, open_ports
from orderway.errors import Unavailable
from orderway.sql.network.database import IDLE_S, NetworkDatabase
from orderway.sql.operations import Beat
from orderway.sql.writes import Writes

FROZEN, WITHIN_S = 7, 4 * IDLE_S


async def test_a_worker_that_stands_still_in_a_transaction_can_be_buried(url: str) -> None:
    others = await open_ports(url)
    [database] = databases_for([url])
    assert isinstance(database, NetworkDatabase)
    await database.start()
    try:
        await others.workers.join(FROZEN, "frozen")
        link = await database._open()._lines[0].get()
        # As the writer does, but for the commit: its process has stopped.
        await link._drive(Writes.together(database._open().writes, [Beat(FROZEN)]), begin=True, commit=False)
        began_at_s = time.monotonic()
        while FROZEN in await others.workers.counters():
            assert time.monotonic() - began_at_s < WITHIN_S, "it is still locked"
            with suppress(Unavailable):  # as a worker, which tries again with its next heartbeat
                await others.workers.bury(FROZEN)
        assert time.monotonic() - began_at_s > IDLE_S / 2, "nothing was locked: this shows nothing"
    finally:
        await database.close()
        await others.close()
