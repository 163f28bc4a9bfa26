"""Redis: a lock that saves work, and a sequence for order ids. Both are options; no order rests on them.

Needs the extra ``redis``: ``pip install 'orderway[redis]'``.
"""

from orderway.redis.connections import RedisConnections
from orderway.redis.lock import RedisLock
from orderway.redis.options import Redis
from orderway.redis.parts import RedisParts
from orderway.redis.sequence import RedisSequence

__all__ = ["Redis", "RedisConnections", "RedisLock", "RedisParts", "RedisSequence"]
