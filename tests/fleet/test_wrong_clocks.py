"""Workers whose wall clocks are an hour wrong, or set back in mid-flight: nothing is doubled, and nothing closed early.

An order waits half an hour for its payment, so that half an hour's error would close it.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from fleet_plan import make_folder, make_goods, orders_for, top_ups_for
from order_database import open_database
from test_fleet import audit, url

from fleet import Buyers, Fleet, HookLog, environment_for, until

__all__ = ["url"]

HOUR_US = 3_600_000_000
COARSE_US = 1_000_000
WRONG_US = {"ahead": HOUR_US, "behind": -HOUR_US, "set back": 0}
ORDERS = 60
BEATS = 4

pytestmark = pytest.mark.slow


@pytest.fixture
async def fleet(url: str, tmp_path: Path) -> AsyncIterator[Fleet]:
    """Three workers, none of which has the right time all the time."""
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(url))
        await make_goods(database)
        fleet = Fleet(tmp_path, environment_for(url, tmp_path / "hooks.log"), database)
        stack.push_async_callback(fleet.end)
        for name, wrong_us in WRONG_US.items():
            clock = tmp_path / name
            clock.write_text(str(wrong_us))
            worker = await fleet.start(FLEET_CLOCK=str(clock))
            await worker.is_ready
        yield fleet


async def count_stages(fleet: Fleet) -> dict[str, int]:
    """How many orders are in each stage."""
    rows = await fleet.fetch("SELECT stage, count(*) AS orders FROM ow_orders_0 GROUP BY stage")
    return {row["stage"]: row["orders"] for row in rows}


async def beats(fleet: Fleet) -> dict[int, int]:
    """The heartbeats of the workers up to now, by incarnation. They look for due orders as often as they beat."""
    rows = await fleet.fetch("SELECT incarnation, name, beats FROM ow_workers")
    pids = tuple(f":{worker.process.pid}" for worker in fleet.workers)
    return {row["incarnation"]: row["beats"] for row in rows if row["name"].endswith(pids)}


async def test_a_wrong_clock_closes_nothing_early(fleet: Fleet, tmp_path: Path) -> None:
    began_at_us = time.time_ns() // 1000
    orders = orders_for(ORDERS)
    cards = [order for order in orders if order["kind"] == "cards"]
    make_folder(tmp_path, fleet.environment["FLEET_URL"], orders)
    log = HookLog(tmp_path / "hooks.log")
    async with Buyers.started(1, fleet.environment) as buyers:
        for top_up in top_ups_for(orders):
            buyers.ask({"top_up": top_up["uid"], "amount_minor": top_up["amount_minor"], "key": top_up["key"]})
        for order in orders:
            buyers.ask({"create": order})
        await log.until_delivering(ORDERS // 4, within_s=60)
        set_back = tmp_path / "new"
        set_back.write_text(str(-HOUR_US))
        set_back.rename(tmp_path / "set back")  # at once, and never half written

        async def all_are_finished_that_are_paid() -> bool:
            stages = await count_stages(fleet)
            assert not {"closing", "closed"} & stages.keys(), f"closed early: {stages}"
            return stages == {"created": len(cards), "finished": ORDERS - len(cards)}

        await until("all is finished that is paid", all_are_finished_that_are_paid)
        before = await beats(fleet)
        assert len(before) == len(WRONG_US)

        async def each_has_looked() -> bool:
            now = await beats(fleet)
            return all(now[incarnation] >= count + BEATS for incarnation, count in before.items())

        await until("each worker has looked for due orders a few times more", each_has_looked)
        assert (await count_stages(fleet))["created"] == len(cards), "closed early"
        for order in cards:
            buyers.ask({"pay": order})
        await buyers.done()

    async def all_finished() -> bool:
        rows = await fleet.fetch("SELECT count(*) AS finished FROM ow_orders_0 WHERE stage = 'finished'")
        return bool(rows[0]["finished"] == ORDERS)

    await until("all is finished", all_finished)
    written = [row["at_us"] for row in await fleet.fetch("SELECT at_us FROM ow_journal_0")]
    assert began_at_us - COARSE_US < min(written) <= max(written) < time.time_ns() // 1000 + COARSE_US
    await fleet.stop()
    assert audit(tmp_path) == []
