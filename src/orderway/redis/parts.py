"""What an App has on one Redis."""

from __future__ import annotations

from orderway.redis.connections import RedisConnections
from orderway.redis.lock import RedisLock
from orderway.redis.options import Redis
from orderway.redis.sequence import RedisSequence

__all__ = ["RedisParts"]


class RedisParts:
    """The lock, the sequence, or both, over the same connections.

    Args:
        options: all of them, or the URL.

    Attributes:
        options: all of them.
        lock: the ``Lock`` port; None if it is not to be on Redis.
        sequence: the ``Sequence`` port; None if it is not to be on Redis.

    Raises:
        ConfigError: an option is wrong.
    """

    def __init__(self, options: Redis | str) -> None:
        options = Redis(options) if isinstance(options, str) else options
        self.options = options
        self._connections = RedisConnections(options)
        self.lock = RedisLock(self._connections, options) if options.lock else None
        self.sequence = RedisSequence(self._connections, options) if options.sequence else None

    def start(self) -> None:
        """Allow connections, on this event loop. Asks nothing yet: a Redis that is gone stops nobody."""
        self._connections.start()

    async def ping(self) -> None:
        """See whether it answers.

        Raises:
            Unavailable: it does not.
        """
        await self._connections.call(lambda client: client.exists("ping"))

    async def close(self) -> None:
        """Close all connections. Idempotent."""
        await self._connections.close()
