"""Lock and sequence on Redis pass their conformance suites, from one process and from two; the lock in memory too."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis as Client

from orderway.adapters import memory_ports
from orderway.memory import MemoryDatabase
from orderway.memory.lock import MemoryLock
from orderway.ports.lock import Lock
from orderway.redis import Redis, RedisParts
from orderway.testing.clock import VirtualClock
from orderway.testing.conformance import (
    PROCESSES,
    Backend,
    Connection,
    LockBackend,
    LockConformance,
    SequenceConformance,
)
from orderway.testing.conformance.racing import Racers

PATIENCE_S = 5.0


class MemoryLocks:
    """One lock in memory: all connections are the same."""

    url, shards, redis_url = "memory://", 1, ""
    capabilities: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.lock: MemoryLock | None = None

    async def connect(self, expire_s: float) -> Lock:
        self.lock = self.lock or MemoryLock(self.clock, expire_s)
        return self.lock

    async def age(self, name: str, seconds: float) -> None:
        await self.clock.advance(seconds)


class RedisLocks:
    """A Redis; each connection is a pool of its own."""

    url, shards = "memory://", 1
    capabilities = frozenset({PROCESSES})

    def __init__(self, redis_url: str, client: Client) -> None:
        self.redis_url = redis_url
        self.client = client
        self.opened: list[RedisParts] = []

    async def connect(self, expire_s: float) -> Lock:
        options = Redis(self.redis_url, lock_expire_s=expire_s, answer_within_s=PATIENCE_S)
        parts = RedisParts(options)
        parts.start()
        self.opened.append(parts)
        assert parts.lock is not None
        return parts.lock

    async def age(self, name: str, seconds: float) -> None:
        key = f"order:lock:op:{name}"
        left_ms = await self.client.pttl(key)
        assert left_ms > 0, f"{key} would stay for ever"
        # An expiry in the past removes the key at once; the few ms that passed by themselves count for no more.
        await self.client.pexpire(key, round(left_ms - seconds * 1000))


@pytest.fixture(params=["memory", "redis"])
async def locks(request: pytest.FixtureRequest) -> AsyncIterator[LockBackend]:
    if request.param == "memory":
        yield MemoryLocks()
        return
    redis_url = request.getfixturevalue("redis_url")
    async with Client.from_url(redis_url) as client:
        backend = RedisLocks(redis_url, client)
        yield backend
        for parts in backend.opened:
            await parts.close()


class TestLock(LockConformance):
    pass


class RedisBackend:
    """A database in memory, with its sequence on Redis."""

    url, shards = "memory://", 1
    capabilities: frozenset[str] = frozenset()

    def __init__(self, redis_url: str, block: int) -> None:
        self.options = Redis(redis_url, sequence_block=block, answer_within_s=PATIENCE_S)
        self.opened: list[RedisParts] = []

    async def connect(self) -> Connection:
        ports = memory_ports(MemoryDatabase())
        parts = RedisParts(self.options)
        parts.start()
        self.opened.append(parts)
        assert parts.sequence is not None
        return Connection(ports.store, ports.workers, ports.ledger, parts.sequence, ports.parking, ports.mailbox)

    async def execute(self, sql: str) -> None:
        raise NotImplementedError

    async def fetch(self, sql: str) -> list[tuple[object, ...]]:
        raise NotImplementedError


@pytest.fixture(params=[1, 100], ids=["one-by-one", "blocks"])
async def backend(request: pytest.FixtureRequest, redis_url: str) -> AsyncIterator[Backend]:
    backend = RedisBackend(redis_url, request.param)
    yield backend
    for parts in backend.opened:
        await parts.close()


class TestSequence(SequenceConformance):
    async def test_no_number_is_given_out_twice_by_two_processes(self, backend: Backend, racers: Racers) -> None:
        assert isinstance(backend, RedisBackend)
        options = backend.options
        first, second = await racers.race(
            backend, "draw", redis_url=options.url, block=options.sequence_block, name="orders", draws=150
        )
        numbers = first["numbers"] + second["numbers"]
        assert len(numbers) == len(set(numbers)) == 300
