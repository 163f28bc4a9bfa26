"""Connections to a Redis server: few, with a time limit on each answer, and with its errors translated."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from orderway.errors import ConfigError, Unavailable, WrongThread
from orderway.redis.options import Redis, mask

try:
    from redis import asyncio as redis_asyncio
    from redis import exceptions
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
except ModuleNotFoundError as missing:
    raise ConfigError("Redis needs the package redis: pip install 'orderway[redis]'") from missing

if TYPE_CHECKING:
    from redis.asyncio import Redis as Client

__all__ = ["RedisConnections", "Script"]

T = TypeVar("T")

_HEALTH_CHECK_S = 30
"""A connection that was idle for longer is asked for a sign of life before it is used."""


class Script:
    """A Lua script over one key, so that it runs on a cluster as well.

    It is named by its hash, and sent in full only where the server does not know it: at first, after a restart or a
    ``SCRIPT FLUSH``. (redis-py's ``register_script`` loads, then calls again: it may be flushed in between.)
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    async def run(self, client: Client, key: str, *arguments: str | int) -> int:
        """Run it on a key; returns its answer, an integer."""
        try:
            answer = await client.evalsha(self._sha, 1, key, *arguments)
        except exceptions.NoScriptError:
            answer = await client.eval(self._text, 1, key, *arguments)
        return int(answer)


class RedisConnections:
    """A pool of connections, bound to one event loop from ``start`` to ``close``. Each is made when it is needed.

    Past ``most_connections`` a caller waits for a free one. A connection that broke is made anew, and the command is
    sent once more: each command sent here may be repeated.
    """

    def __init__(self, options: Redis) -> None:
        self._options = options
        self._client: Client | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        try:
            pool = self._pool()
            pool.connection_class(**pool.connection_kwargs)  # nothing is connected yet: it tells a wrong URL or option
        except (ValueError, TypeError, exceptions.RedisError):  # whose texts may quote a part of the password
            raise ConfigError(
                f"redis.url {mask(options.url)!r} cannot be read: redis://user:password@host:6379/0 is its form; what"
                " is special in a password is percent-encoded. Options are redis-py's, as in ?ssl_ca_certs=/path"
            ) from None

    def __repr__(self) -> str:
        return f"RedisConnections({mask(self._options.url)!r})"

    async def call(self, command: Callable[[Client], Awaitable[T]]) -> T:
        """Send a command and wait for its answer, for at most ``answer_within_s``.

        Raises:
            Unavailable: no answer in time, or Redis refused it; it may have been carried out all the same. Or closed.
            WrongThread: the connections belong to another event loop.
        """
        client = self._client
        if client is None:
            raise Unavailable(f"the connections to Redis at {mask(self._options.url)} are closed")
        if self._loop is not asyncio.get_running_loop():
            raise WrongThread("these connections to Redis belong to another event loop: make an App for each loop")
        try:
            async with asyncio.timeout(self._options.answer_within_s):
                return await command(client)
        except TimeoutError:
            raise Unavailable(
                f"Redis at {mask(self._options.url)} did not answer within {self._options.answer_within_s} s"
            ) from None
        except exceptions.RedisError as error:
            raise Unavailable(
                f"Redis at {mask(self._options.url)}: {type(error).__name__}: {error}", is_refusal=_is_refusal(error)
            ) from error

    def start(self) -> None:
        """Allow connections, on this event loop; asks nothing yet, so that a Redis that is gone stops nobody."""
        if self._client is None:
            self._client = redis_asyncio.Redis.from_pool(self._pool())
            self._loop = asyncio.get_running_loop()

    async def close(self) -> None:
        """Close all connections. Idempotent."""
        client, self._client, self._loop = self._client, None, None
        if client is not None:
            await client.aclose()

    def _pool(self) -> redis_asyncio.BlockingConnectionPool:
        limit_s = self._options.answer_within_s
        return redis_asyncio.BlockingConnectionPool.from_url(
            self._options.url,
            max_connections=self._options.most_connections,
            timeout=limit_s,
            socket_timeout=limit_s,
            socket_connect_timeout=limit_s,
            health_check_interval=_HEALTH_CHECK_S,
            retry=Retry(NoBackoff(), 1),
        )


def _is_refusal(error: exceptions.RedisError) -> bool:
    """Whether the server refuses us, or the number of our database. Its other errors are its own, or pass."""
    refusals = (exceptions.AuthenticationError, exceptions.AuthorizationError, exceptions.NoPermissionError)
    return isinstance(error, refusals) or "DB index" in str(error)
