"""Redis is flushed, restarted, killed and silent in mid-flight: orders go on, and nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis_shop
from redis.asyncio import Redis as Client
from redis_shop import PRICE, Ahead, Shop, delivered, make_app, make_goods

from orderway import App, Unavailable
from orderway.order_lock import OrderLock
from orderway.redis import Redis, RedisLock, RedisParts
from orderway.testing.clock import VirtualClock
from orderway.testing.servers.redis import RedisServer

ORDERS = 120
PATIENCE_S = 5.0


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A Redis of this test's own, which keeps nothing over a restart."""
    with RedisServer(durable=False) as server:
        yield server


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "orders.db"
    make_goods(path)
    return path


class Halfway:
    """Says when a third of the orders is being delivered, and lets the others wait until the fault is over."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.over = asyncio.Event()
        self.deliveries = 0

    async def pass_by(self) -> None:
        self.deliveries += 1
        if self.deliveries > ORDERS // 3:
            self.reached.set()
            await self.over.wait()


async def carry_through(database: Path, redis_url: str, fault: Callable[[], Awaitable[object]]) -> list[App]:
    """Two workers are told of the same paid orders, and create more of them, while the fault happens."""
    halfway = Halfway()
    options = {"sweep": False, "ids": "sequence", "dead_after_s": 600.0}
    redis = Redis(redis_url, answer_within_s=PATIENCE_S)  # a busy machine is not the fault that is tested here
    apps = [make_app(database, redis, Shop(halfway.pass_by), clock=Ahead(), **options) for _ in range(2)]

    async def buy(app: App, number: int) -> str:
        order = await app.create(1, "alice", amount=PRICE, pay="gateway")
        await app.record_payment(order.id, PRICE, reference=f"payment-{order.id}-{number}")
        return order.id

    async with apps[0], apps[1]:
        bought = await asyncio.gather(*(buy(apps[n % 2], n) for n in range(ORDERS)))
        carried = [asyncio.create_task(app.forward(order_id)) for order_id in bought for app in apps]
        await halfway.reached.wait()
        await fault()
        later = await asyncio.gather(*(buy(apps[n % 2], n) for n in range(ORDERS, ORDERS * 2)))
        halfway.over.set()
        await asyncio.gather(*carried)
        await asyncio.gather(*(app.forward(order_id) for order_id in later for app in apps))
        ids = sorted({*bought, *later})
        assert len(ids) == ORDERS * 2, "two orders got the same id"
        unfinished = [order_id for order_id in ids if not (await apps[0].get(order_id)).is_final]
        assert unfinished == []
        assert sum((await apps[0].overview())["by_status"].values()) == ORDERS * 2
    assert delivered(database) == ids
    return apps


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelname == "WARNING"]


async def test_flushed(database: Path, server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    async with Client.from_url(server.url) as client:

        async def flush() -> None:
            assert await client.dbsize() > ORDERS // 2, "no lock was held"
            await client.flushall()

        apps = await carry_through(database, server.url, flush)
    assert sum(app.order_lock.lost for app in apps if app.order_lock) > 0
    assert warnings_of(caplog) == []


async def test_restarted(database: Path, server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    async def restart() -> None:
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)

    await carry_through(database, server.url, restart)
    assert len(warnings_of(caplog)) <= 4


async def test_gone_for_good(database: Path, server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    await carry_through(database, server.url, lambda: asyncio.to_thread(server.kill))
    assert sorted({message.partition(":")[0] for message in warnings_of(caplog)}) == ["Redis at redis"]
    assert len(warnings_of(caplog)) == 4, "one for the lock and one for the sequence, by two workers"


async def test_gone_from_the_start(database: Path, server: RedisServer) -> None:
    server.kill()
    async with make_app(database, server.url, Shop(), ids="sequence") as app:
        order = await app.forward(await app.create(1, "alice"))
        assert order.is_final
        with pytest.raises(Unavailable, match="Redis at redis://127"):
            await app.next_order_id(1, "alice")


async def test_back_again(database: Path, server: RedisServer) -> None:
    clock = Ahead()
    app = make_app(database, server.url, Shop(), ids="sequence", clock=clock, sweep=False, dead_after_s=600.0)
    async with app:
        assert app.order_lock is not None
        server.kill()
        order = await app.create(1, "alice", pay="gateway", amount=PRICE)
        await app.forward(order.id)
        assert app.order_lock.circuit.is_open
        assert app.numbering.circuit.is_open
        server.start()
        clock.ahead_s = 6.0
        drawn = await app.create(1, "alice", pay="gateway", amount=PRICE)
        await app.forward(drawn.id)
        assert not app.order_lock.circuit.is_open
        assert not app.numbering.circuit.is_open
        assert len(drawn.id) < len(order.id)


@asynccontextmanager
async def silent_server() -> AsyncIterator[str]:
    """Takes connections, and never answers."""
    writers = []

    async def take(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    silent = await asyncio.start_server(take, "127.0.0.1", 0)
    yield f"redis://127.0.0.1:{silent.sockets[0].getsockname()[1]}/0"
    silent.close()
    for writer in writers:
        writer.close()


async def test_silent(database: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with silent_server() as url, make_app(database, url, Shop(), ids="sequence", sweep=False) as app:
        orders = [await app.create(1, "alice", pay="gateway", amount=PRICE) for _ in range(20)]
        for order in orders:
            await app.record_payment(order.id, PRICE, reference=order.id)
        started_s = app.clock.monotonic_s()
        carried = [await app.forward(order.id) for order in orders]
        assert app.clock.monotonic_s() - started_s < 20 * 0.2, "each order waited for the time limit"
        assert all(order.is_final for order in carried)
    assert len(warnings_of(caplog)) == 2
    assert "did not answer within 0.2 s" in warnings_of(caplog)[0]


# ---- one lock, closely ----------------------------------------------------------------------------------------------


async def test_scripts_that_were_flushed_are_sent_again(server: RedisServer) -> None:
    parts = RedisParts(Redis(server.url, answer_within_s=PATIENCE_S))
    parts.start()
    assert parts.lock is not None
    async with Client.from_url(server.url) as client:
        assert await parts.lock.acquire("order", "token") is True
        await client.script_flush()
        assert await parts.lock.renew("order", "token") is True
        await client.script_flush()
        assert await parts.lock.release("order", "token") is True
        assert await client.dbsize() == 0
    await parts.close()


class TellingLock(RedisLock):
    """Says when it was renewed."""

    def expect(self) -> asyncio.Event:
        self.renewed = asyncio.Event()
        return self.renewed

    async def renew(self, name: str, token: str) -> bool:
        renewed = await super().renew(name, token)
        self.renewed.set()
        return renewed


async def test_work_that_takes_longer_than_the_expiry_keeps_its_lock(server: RedisServer) -> None:
    """Redis has no clock that a test could move: what would have gone by is taken from the key's time to live."""
    options = Redis(server.url, lock_expire_s=30.0, answer_within_s=PATIENCE_S)
    parts, clock = RedisParts(options), VirtualClock()
    parts.start()
    lock = TellingLock(parts._connections, options)
    worker = OrderLock(lock, clock, "worker")
    assert parts.lock is not None
    async with worker.around("order"), Client.from_url(server.url) as client:
        key = "order:lock:op:order"
        for _ in range(4):  # four thirds of the expiry
            assert await client.pexpire(key, 20_000)
            renewed = lock.expect()
            await clock.advance(10.0)
            async with asyncio.timeout(60):
                await renewed.wait()
            assert await client.pttl(key) > 20_000
        assert await parts.lock.acquire("order", "another") is False
    assert worker.lost == 0
    assert await parts.lock.acquire("order", "another") is True
    await worker.close()
    await parts.close()


async def test_a_leftover_of_a_killed_process_delays_no_order(database: Path, server: RedisServer) -> None:
    """Whoever calls finds the order locked; the sweeper takes it over when its worker is declared dead."""
    handed_over = asyncio.Event()

    async def tell() -> None:
        handed_over.set()

    options = Redis(server.url, answer_within_s=PATIENCE_S)
    async with make_app(database, options, Shop(tell), beat_every_s=0.1, dead_after_s=1.0) as app:
        order = await app.create(1, "alice", pay="gateway", amount=PRICE)
        async with make_app(database, options, Shop(), sweep=False) as other:
            await other.holds._store.hold(order.id, other.membership.incarnation, app.clock.now_us() + 3_600_000_000)
            await app.record_payment(order.id, PRICE, reference="payment")
            await other.ports.store.postpone(
                *(order.id, (await app.get(order.id)).version, other.membership.incarnation, 2**62, 0, "")
            )
        killed = await asyncio.to_thread(
            *(subprocess.run, [sys.executable, redis_shop.__file__, database, server.url, order.id]), check=False
        )
        assert killed.returncode == -signal.SIGKILL
        async with Client.from_url(server.url) as client:
            key = f"order:lock:op:{order.id}"
            assert await client.exists(key) == 1
            assert not (await app.forward(order.id)).is_final, "somebody else has it locked"
            async with asyncio.timeout(30):
                await handed_over.wait()
            await app.sweep()
            assert (await app.get(order.id)).is_final
            assert await client.exists(key) == 1, "the takeover waited for the lock"
    assert delivered(database) == [order.id]


async def test_a_leftover_over_a_free_order_goes_by_itself(database: Path, server: RedisServer) -> None:
    """Without a sweeper, too: the lock expires, and the next call carries the order."""
    options = Redis(server.url, answer_within_s=PATIENCE_S)
    async with make_app(database, options, Shop(), sweep=False) as app, Client.from_url(server.url) as client:
        order = await app.create(1, "alice", pay="gateway", amount=PRICE)
        await app.record_payment(order.id, PRICE, reference="payment")
        assert app.redis is not None
        assert app.redis.lock is not None
        await app.redis.lock.acquire(order.id, "a process that died")
        assert not (await app.forward(order.id)).is_final
        assert 0 < await client.pttl(f"order:lock:op:{order.id}") <= 30_000
        await client.pexpire(f"order:lock:op:{order.id}", 0)
        assert (await app.forward(order.id)).is_final
        assert await client.keys("order:lock:*") == []
    assert delivered(database) == [order.id]
