"""What every lock must do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

import pytest

from orderway.ports.lock import Lock
from orderway.testing.conformance.backend import PROCESSES
from orderway.testing.conformance.racing import ProcessRaces, Racers

__all__ = ["LockBackend", "LockConformance"]

EXPIRE_S = 30.0


class LockBackend(Protocol):
    """Where locks are kept, without any at first; the fixture that made it closes all of its connections."""

    url: str | Sequence[str]
    """The database that a racing process opens: ``memory://``, for a lock needs none."""

    shards: int
    """1."""

    redis_url: str
    """Where another process finds the same locks; "" where none can."""

    capabilities: frozenset[str]
    """What it can do beyond the port."""

    async def connect(self, expire_s: float) -> Lock:
        """One more connection, started, whose locks expire after this time."""

    async def age(self, name: str, seconds: float) -> None:
        """Make a lock older: bring it so much nearer to its expiry, and past it, as if the time had gone by."""


@pytest.mark.asyncio
class LockConformance(ProcessRaces):
    """The contract of :class:`orderway.ports.lock.Lock`; needs a fixture ``locks``, a ``LockBackend``."""

    async def test_only_one_has_it_until_it_is_released(self, locks: LockBackend) -> None:
        one, other = await locks.connect(EXPIRE_S), await locks.connect(EXPIRE_S)
        assert await one.acquire("order", "one") is True
        assert await other.acquire("order", "other") is False
        assert await one.release("order", "one") is True
        assert await other.acquire("order", "other") is True
        assert await one.acquire("order", "one") is False

    async def test_its_owner_gets_it_again(self, locks: LockBackend) -> None:
        one, other = await locks.connect(EXPIRE_S), await locks.connect(EXPIRE_S)
        assert await one.acquire("order", "one") is True
        assert await one.acquire("order", "one") is True
        assert await one.release("order", "one") is True
        assert await other.acquire("order", "other") is True

    async def test_nobody_releases_or_renews_what_another_has(self, locks: LockBackend) -> None:
        lock = await locks.connect(EXPIRE_S)
        await lock.acquire("order", "one")
        assert await lock.release("order", "other") is False
        assert await lock.renew("order", "other") is False
        assert await lock.acquire("order", "other") is False

    async def test_what_is_free_is_neither_renewed_nor_released(self, locks: LockBackend) -> None:
        lock = await locks.connect(EXPIRE_S)
        assert await lock.renew("order", "one") is False
        assert await lock.release("order", "one") is False
        assert await lock.acquire("order", "other") is True

    async def test_names_are_locked_one_by_one(self, locks: LockBackend) -> None:
        lock = await locks.connect(EXPIRE_S)
        names = ["a", "A", "a ", "订单"]
        assert [await lock.acquire(name, f"owner of {name}") for name in names] == [True] * 4
        assert [await lock.acquire(name, "another") for name in names] == [False] * 4

    async def test_it_expires_by_itself(self, locks: LockBackend) -> None:
        lock = await locks.connect(EXPIRE_S)
        assert lock.expire_s == EXPIRE_S
        await lock.acquire("order", "one")
        await locks.age("order", EXPIRE_S / 2)
        assert await lock.acquire("order", "other") is False
        await locks.age("order", EXPIRE_S / 2)
        assert await lock.acquire("order", "other") is True

    @pytest.mark.parametrize("again", ["renew", "acquire"])
    async def test_whoever_renews_it_keeps_it(self, locks: LockBackend, again: str) -> None:
        lock = await locks.connect(EXPIRE_S)
        await lock.acquire("order", "one")
        for _ in range(3):
            await locks.age("order", EXPIRE_S * 0.6)
            assert await getattr(lock, again)("order", "one") is True
        assert await lock.acquire("order", "other") is False

    async def test_a_stalled_owner_takes_nothing_from_the_next_one(self, locks: LockBackend) -> None:
        lock = await locks.connect(EXPIRE_S)
        await lock.acquire("order", "stalled")
        await locks.age("order", EXPIRE_S)
        await lock.acquire("order", "next")
        assert await lock.renew("order", "stalled") is False
        assert await lock.release("order", "stalled") is False
        assert await lock.acquire("order", "stalled") is False
        assert await lock.renew("order", "next") is True

    async def test_one_of_two_racing_connections_gets_it(self, locks: LockBackend) -> None:
        one, other = await locks.connect(EXPIRE_S), await locks.connect(EXPIRE_S)
        for turn in range(20):
            got = await asyncio.gather(one.acquire(f"order-{turn}", "one"), other.acquire(f"order-{turn}", "other"))
            assert sorted(got) == [False, True]

    async def test_one_of_two_racing_processes_gets_it(self, locks: LockBackend, racers: Racers) -> None:
        if PROCESSES not in locks.capabilities:
            pytest.skip("this lock is known in one process only")
        names = [f"order-{n}" for n in range(50)]
        first, second = await racers.race(locks, "acquire", redis_url=locks.redis_url, names=names)
        assert sorted(first["acquired"] + second["acquired"]) == sorted(names)
