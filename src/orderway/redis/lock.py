"""The lock on Redis: a key with a token that expires."""

from __future__ import annotations

from orderway.redis.connections import RedisConnections, Script
from orderway.redis.options import Redis

__all__ = ["RedisLock"]

_ACQUIRE = Script("""
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
""")

_RENEW = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
""")

_RELEASE = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
""")


class RedisLock:
    """The ``Lock`` port; see there for what it promises.

    Args:
        connections: to Redis; they are closed by whoever made them.
        options: key format and expiry.
    """

    def __init__(self, connections: RedisConnections, options: Redis) -> None:
        self._connections = connections
        self._format = options.lock_key_format
        self._expire_ms = round(options.lock_expire_s * 1000)

    @property
    def expire_s(self) -> float:
        """After so many seconds without ``renew`` a lock is gone by itself."""
        return self._expire_ms / 1000

    async def acquire(self, name: str, token: str) -> bool:
        """Lock a name; False if another token has it."""
        return await self._run(_ACQUIRE, name, token, self._expire_ms)

    async def renew(self, name: str, token: str) -> bool:
        """Let the lock expire later; False if this token has it no more."""
        return await self._run(_RENEW, name, token, self._expire_ms)

    async def release(self, name: str, token: str) -> bool:
        """Unlock a name; False if this token has it no more."""
        return await self._run(_RELEASE, name, token)

    async def _run(self, script: Script, name: str, *arguments: str | int) -> bool:
        key = self._format.replace("<order_id>", name)
        return bool(await self._connections.call(lambda client: script.run(client, key, *arguments)))
