"""The lock, in memory."""

from __future__ import annotations

from threading import Lock as ThreadLock

from orderway.ports.clock import Clock

__all__ = ["MemoryLock"]


class MemoryLock:
    """The lock of the Apps of one process; see :class:`orderway.ports.lock.Lock`. Usable from several threads.

    Args:
        clock: for the expiry.
        expire_s: after so many seconds without ``renew`` a lock is gone by itself.
    """

    def __init__(self, clock: Clock, expire_s: float = 30.0) -> None:
        self.expire_s = expire_s
        self._clock = clock
        self._owners: dict[str, tuple[str, float]] = {}
        self._mutex = ThreadLock()

    async def acquire(self, name: str, token: str) -> bool:
        """Lock a name; False if another token has it."""
        with self._mutex:
            free = self._owner(name) in {None, token}
            if free:
                self._lock(name, token)
            return free

    async def renew(self, name: str, token: str) -> bool:
        """Let the lock expire later; False if this token has it no more."""
        with self._mutex:
            ours = self._owner(name) == token
            if ours:
                self._lock(name, token)
            return ours

    async def release(self, name: str, token: str) -> bool:
        """Unlock a name; False if this token has it no more."""
        with self._mutex:
            ours = self._owner(name) == token
            if ours:
                del self._owners[name]
            return ours

    def _owner(self, name: str) -> str | None:
        token, expires_s = self._owners.get(name, (None, 0.0))
        if token is not None and self._clock.monotonic_s() >= expires_s:
            del self._owners[name]
            return None
        return token

    def _lock(self, name: str, token: str) -> None:
        self._owners[name] = token, self._clock.monotonic_s() + self.expire_s
