"""What is set for Redis is checked before any connection is made, and its password shows nowhere."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest

from orderway import App, ConfigError, Unavailable, blocking
from orderway.errors import WrongThread
from orderway.redis import Redis, RedisConnections, RedisParts

PLACE = "redis://localhost:6379/0"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"lock_key_format": "order:lock:<uid>:<order_id>"}, "unknown placeholder <uid>: <order_id> are allowed"),
        ({"lock_key_format": "order:lock"}, "lacks <order_id>"),
        ({"lock_key_format": "order:lock:<order_type>"}, "unknown placeholder <order_type>"),
        ({"sequence_key_format": "seqno:<order_id>"}, "<order_id>: <order_type>, <shard_num> are allowed"),
        ({"sequence_key_format": "seqno:<shard_num>"}, "lacks <order_type>"),
        ({"lock_expire_s": 0}, "redis.lock_expire_s is 0: 0.1 to 86,400 are allowed"),
        ({"sequence_block": 0}, "redis.sequence_block is 0: 1 to 1,000,000 are allowed"),
        ({"answer_within_s": 0.0}, "redis.answer_within_s is 0.0"),
        ({"most_connections": 0}, "redis.most_connections is 0"),
        ({"lock_expire_s": 3.0, "answer_within_s": 1.0}, "less than 1 is allowed"),
    ],
)
def test_wrong_options_are_refused_with_what_is_allowed(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Redis(PLACE, **wrong)
    assert said in str(refused.value)


def test_keys_without_a_shard_are_allowed() -> None:
    assert Redis(PLACE, sequence_key_format="numbers:<order_type>").sequence_key_format == "numbers:<order_type>"


@pytest.mark.parametrize("url", ["http://localhost", "localhost:6379", "", "unix:///tmp/redis.sock"])
def test_only_addresses_of_a_redis_are_allowed(url: str) -> None:
    with pytest.raises(ConfigError, match="redis://host:6379/0 and rediss://host:6379/0 are allowed"):
        Redis(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:geheim@localhost:1/0",
        "redis://user:geheim/geheim@localhost:1/0",
        "redis://user:geheim#geheim@localhost:1/0",
        "redis://:geheim@localhost:x/0",
        "redis://localhost:1/0?password=geheim",
        "http://user:geheim@localhost/",
    ],
)
async def test_no_part_of_the_password_is_told(url: str) -> None:
    told = []
    try:
        options = Redis(url)
        told.append(repr(options))
        parts = RedisConnections(options)
        told.append(repr(parts))
        parts.start()
        try:
            with pytest.raises(Unavailable) as unavailable:
                await parts.call(lambda client: client.ping())
            told.append(str(unavailable.value))
        finally:
            await parts.close()
    except ConfigError as error:
        told.append(str(error))
    assert told
    assert "geheim" not in " ".join(told)


async def test_a_refused_password_is_told_without_it(redis_url: str) -> None:
    async with App(
        redis=Redis(f"redis://geheim:geheim@{redis_url.rpartition('@')[2].removeprefix('redis://')}")
    ) as app:
        assert app.redis is not None
        assert app.redis.sequence is not None
        with pytest.raises(Unavailable, match="AuthenticationError") as refused:
            await app.redis.sequence.next("orders:1")
    assert "geheim" not in str(refused.value)


async def test_only_what_is_wanted_is_on_redis() -> None:
    assert RedisParts(Redis(PLACE, lock=False)).lock is None
    assert RedisParts(Redis(PLACE, sequence=False)).sequence is None
    assert App(redis=Redis(PLACE, lock=False)).order_lock is None
    assert App(redis=PLACE).order_lock is not None
    assert App().order_lock is None


async def test_keys_are_those_of_the_original(redis_url: str) -> None:
    options = Redis(redis_url, answer_within_s=5.0)
    parts, connections = RedisParts(options), RedisConnections(options)
    parts.start()
    connections.start()
    assert parts.lock is not None
    assert parts.sequence is not None
    await parts.lock.acquire("A1", "token")
    await parts.sequence.next("orders:7")
    await parts.sequence.next("7")
    keys = await connections.call(lambda client: client.keys("*"))
    assert sorted(keys) == [b"order:lock:op:A1", b"order:seqno:7:0", b"order:seqno::7:0"]
    await parts.close()
    await connections.close()


async def test_closed_connections_answer_nothing() -> None:
    connections = RedisConnections(Redis(PLACE))
    with pytest.raises(Unavailable, match="are closed"):
        await connections.call(lambda client: client.ping())


def test_connections_keep_to_their_event_loop(redis_url: str) -> None:
    with blocking.App(redis=redis_url) as app:
        assert app.inner.redis is not None
        lock = app.inner.redis.lock
        assert lock is not None

        async def from_another_loop() -> None:
            await lock.acquire("order", "token")

        with pytest.raises(WrongThread, match="another event loop"):
            asyncio.run(from_another_loop())


async def test_an_app_can_be_started_again(redis_url: str) -> None:
    app = App(redis=Redis(redis_url, answer_within_s=5.0))
    for turn in range(2):
        async with app:
            assert app.redis is not None
            assert app.redis.sequence is not None
            assert await app.redis.sequence.next("orders:1") == turn + 1


def test_without_the_library_the_extra_is_named() -> None:
    script = """
import sys
sys.modules["redis"] = None
from orderway import App, ConfigError
App()
try:
    App(redis="redis://localhost:6379/0")
except ConfigError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "pip install 'orderway[redis]'" in run.stdout
