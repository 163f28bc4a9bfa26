"""The sweeper takes one batch after another, and never more than it has hands for."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from orderway.sweeper import Sweeper
from orderway.system_clock import SystemClock

HANDS = 4


async def test_a_full_batch_is_followed_by_the_next_one_at_once() -> None:
    due = [SimpleNamespace(id=str(n), type=1, number=n) for n in range(3 * HANDS)]
    in_hand, most_in_hand, forwarded = 0, 0, []
    all_forwarded, stop = asyncio.Event(), asyncio.Event()

    async def claim(types: Sequence[int], limit: int) -> Any:
        batch, due[:] = due[:limit], due[limit:]
        return batch

    async def forward(order: Any) -> None:
        nonlocal in_hand, most_in_hand
        in_hand += 1
        most_in_hand = max(most_in_hand, in_hand)
        await asyncio.sleep(0)  # as with a group commit: a whole batch ends in the same turn of the loop
        in_hand -= 1
        forwarded.append(order.number)
        if len(forwarded) == 3 * HANDS:
            all_forwarded.set()

    sweeper = Sweeper(claim, lambda: [1], forward, SystemClock(), most_at_once=HANDS, poll_s=3600)
    running = asyncio.create_task(sweeper.run(stop))
    async with asyncio.timeout(60):  # far less than the poll that it must not wait for
        await all_forwarded.wait()
        stop.set()
        sweeper.wake()
        await running
    assert forwarded == list(range(3 * HANDS))
    assert most_in_hand == HANDS
    assert sweeper.forwarded == 3 * HANDS


async def test_many_orders_of_one_type_do_not_keep_the_others_waiting() -> None:
    """A flood of slow orders of one type takes its share of the hands; another type's order is begun at once."""
    flood, rare = SimpleNamespace(id="flood", type=1), SimpleNamespace(id="rare", type=2)
    due = [flood] * 100
    begun: Counter[int] = Counter()
    go_on = asyncio.Event()

    async def claim(types: Sequence[int], limit: int) -> Any:
        batch = [order for order in due if order.type in types][:limit]
        for order in batch:
            due.remove(order)
        return batch

    async def forward(order: Any) -> None:
        begun[order.type] += 1
        await go_on.wait()

    sweeper = Sweeper(claim, lambda: [1, 2, 3], forward, SystemClock(), most_at_once=12, poll_s=3600)
    for _ in range(3):
        await sweeper.sweep_once()
        await asyncio.sleep(0)
    assert begun == {1: 8}, "half of the hands are for all, a third of the others is its own"
    due.extend([rare] * 5)
    for _ in range(3):
        await sweeper.sweep_once()
        await asyncio.sleep(0)
    assert begun == {1: 8, 2: 2}
    go_on.set()
    await sweeper.sweep()
    assert begun == {1: 100, 2: 5}


async def test_a_type_alone_has_all_hands() -> None:
    asked: list[int] = []

    async def claim(types: Sequence[int], limit: int) -> Any:
        asked.append(limit)
        return []

    sweeper = Sweeper(claim, lambda: [1], claim, SystemClock(), most_at_once=12)  # type: ignore[arg-type]
    await sweeper.sweep_once()
    assert asked == [12]
