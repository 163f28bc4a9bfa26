"""An order whose shop did not carry it is carried on its hint, by a worker, over each kind of queue."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from orderway import App, Business
from orderway.config import load_settings
from orderway.core.order import Order, Stage
from orderway.ports.queue import DELAYS

pytestmark = pytest.mark.slow

WITHIN_S = 60


class Song(Business[None]):
    order_type = 1

    def __init__(self) -> None:
        self.delivered = asyncio.Event()

    async def deliver(self, order: Order[Any], delivery: Any) -> None:
        self.delivered.set()


async def nothing_is_due(types: Sequence[int], most: int) -> Sequence[Order[Any]]:
    """What the worker's sweeper finds, so that nothing but the hint can have the order carried."""
    return ()


@pytest.fixture(params=["store", "pulsar", "rabbitmq"])
def queue(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The section of the configuration for a queue that nobody has used."""
    if request.param == "store":
        return {"kind": "store"}
    server = request.getfixturevalue(f"{request.param}_server")
    return {"kind": request.param, "url": server.new_database()}


async def test_an_order_is_carried_on_its_hint(queue: dict[str, Any], tmp_path: Path) -> None:
    def app(*, sweep: bool) -> tuple[App, Song]:
        settings = load_settings(
            environ={},
            databases=f"sqlite:///{tmp_path}/orders.db",
            queue={**queue, "enabled": True, "delay_s": 2},
            worker={"sweep": sweep, "beat_every_s": 0.25, "dead_after_s": 1},
        )
        made, song = App.from_settings(settings), Song()
        made.register(song)
        return made, song

    (shop, _), (worker, song) = app(sweep=False), app(sweep=True)
    worker.sweeper._claim = nothing_is_due
    assert shop.hinting is not None
    assert worker.hinting is not None
    if DELAYS not in shop.hinting.queue.capabilities:
        pytest.skip("this broker knows no delays: its hints come before the shop's own time is over, and move nothing")
    async with asyncio.timeout(WITHIN_S), shop:
        async with worker:  # which, when it closes, has finished what it had in hand
            order = await shop.create(1, "ann")
            await song.delivered.wait()
        assert (await shop.get(order.id)).stage is Stage.FINISHED
    assert shop.hinting.outcomes["sent"] == 1
    assert worker.hinting.outcomes["carried"] == 1
