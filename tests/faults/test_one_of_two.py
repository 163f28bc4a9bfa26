"""One of two databases is down, or silent: the orders of the other go on, and its own when it is back."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from orderway import App, Business
from orderway.core.order import Order
from orderway.errors import Unavailable
from orderway.system_clock import SystemClock
from orderway.testing.conformance.builders import uids_in_shards
from orderway.testing.servers.proxy import Proxy

WITHIN_S = 40


class Gifts(Business[None]):
    order_type = 1

    def __init__(self) -> None:
        self.delivered: Counter[str] = Counter()
        self.changed = asyncio.Condition()

    async def deliver(self, order: Order[Any], delivery: Any) -> None:
        async with self.changed:
            self.delivered[order.id] += 1
            self.changed.notify_all()

    async def until(self, order: Order[Any]) -> None:
        async with asyncio.timeout(WITHIN_S), self.changed:
            await self.changed.wait_for(lambda: self.delivered[order.id])


@pytest.mark.parametrize("silent", [False, True], ids=["down", "silent"])
async def test_the_other_goes_on(tmp_path: Path, proxy: Proxy, silent: bool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="orderway")
    gifts = Gifts()
    app = App([f"sqlite:///{tmp_path}/orders.db", proxy.url], shards=2, beat_every_s=0.1)
    app.register(gifts)
    here, there = uids_in_shards(2)
    async with app:
        waiting = await app.create(1, there)  # nobody forwards it: the sweeper does, when its lease is over
        if silent:
            proxy.flows.clear()
        else:
            proxy.refuses = True
            proxy.cut_all()
        await until_logged(caplog, "database 2 does not answer")
        left = await app.create(1, here)
        assert (await app.forward(await app.create(1, here))).is_final
        await gifts.until(left)
        assert gifts.delivered[waiting.id] == 0
        if not silent:
            with pytest.raises(Unavailable):
                await app.get(waiting.id)
        proxy.refuses = False
        proxy.flows.set()
        await gifts.until(waiting)
        await until_logged(caplog, "database 2 answers again")
    assert set(gifts.delivered.values()) == {1}
    assert app.membership.rebirths == 0
    warnings = [record.message for record in caplog.records if "does not answer:" in record.message]
    assert len(warnings) == 1, warnings


async def until_logged(caplog: pytest.LogCaptureFixture, words: str) -> None:
    clock, never = SystemClock(), asyncio.Event()
    async with asyncio.timeout(WITHIN_S):
        while not any(words in record.message for record in caplog.records):
            await clock.wait(never, 0.02)
