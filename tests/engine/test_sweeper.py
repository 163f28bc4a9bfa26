"""The sweeper takes one batch after another, and never more than it has hands for."""

from __future__ import annotations

import asyncio
from typing import Any

from orderway.sweeper import Sweeper
from orderway.system_clock import SystemClock

HANDS = 4


async def test_a_full_batch_is_followed_by_the_next_one_at_once() -> None:
    due = list(range(3 * HANDS))
    in_hand, most_in_hand, forwarded = 0, 0, []
    all_forwarded, stop = asyncio.Event(), asyncio.Event()

    async def claim(limit: int) -> Any:
        batch, due[:] = due[:limit], due[limit:]
        return batch

    async def forward(order: Any) -> None:
        nonlocal in_hand, most_in_hand
        in_hand += 1
        most_in_hand = max(most_in_hand, in_hand)
        await asyncio.sleep(0)  # as with a group commit: a whole batch ends in the same turn of the loop
        in_hand -= 1
        forwarded.append(order)
        if len(forwarded) == 3 * HANDS:
            all_forwarded.set()

    sweeper = Sweeper(claim, forward, SystemClock(), most_at_once=HANDS, poll_s=3600)
    running = asyncio.create_task(sweeper.run(stop))
    async with asyncio.timeout(10):  # far less than the poll that it must not wait for
        await all_forwarded.wait()
        stop.set()
        sweeper.wake()
        await running
    assert forwarded == list(range(3 * HANDS))
    assert most_in_hand == HANDS
    assert sweeper.forwarded == 3 * HANDS
