"""The lock: who is at an order right now. It saves work; nothing may rest on it."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Lock"]


class Lock(Protocol):
    """Names, each locked by at most one token at a time, and only for so long as the token renews it.

    A lock may vanish at any time: it expires while its owner stalls, or the server that keeps it is emptied. Whoever
    needs to be alone guards what it writes; see ``Store.hold``. Each method is atomic, and may be repeated after
    ``Unavailable``. All methods raise ``Unavailable`` when there is no answer within a short time.
    """

    @property
    def expire_s(self) -> float:
        """After so many seconds without ``renew`` a lock is gone by itself."""

    async def acquire(self, name: str, token: str) -> bool:
        """Lock a name; False if another token has it. Idempotent: its own token gets it again, renewed.

        Args:
            name: what to lock, for instance an order's id.
            token: random, one per owner; it is what tells owners apart.
        """

    async def renew(self, name: str, token: str) -> bool:
        """Let the lock expire later; False, and nothing changed, if this token has it no more."""

    async def release(self, name: str, token: str) -> bool:
        """Unlock a name; False, and nothing changed, if this token has it no more. Never unlocks what another has."""
