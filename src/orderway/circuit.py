"""The circuit: what is only an option and does not answer is left out for a while, with one warning."""

from __future__ import annotations

import logging

from orderway.ports.clock import Clock

__all__ = ["Circuit"]

logger = logging.getLogger("orderway")


class Circuit:
    """Says whether something is asked at all. After a failure nothing is, until one caller tries again.

    Args:
        clock: for the waiting.
        meanwhile: what happens without it, for the warning.
        ask_again_after_s: how long it is left out after a failure.
    """

    def __init__(self, clock: Clock, meanwhile: str, ask_again_after_s: float = 5.0) -> None:
        self._clock = clock
        self._meanwhile = meanwhile
        self._ask_again_after_s = ask_again_after_s
        self._asks_again_at_s: float | None = None

    @property
    def is_open(self) -> bool:
        """True from a failure until something was answered again."""
        return self._asks_again_at_s is not None

    def may_ask(self) -> bool:
        """True if it may be asked now. While it does not answer, one caller at a time may, after the pause."""
        if self._asks_again_at_s is None:
            return True
        now_s = self._clock.monotonic_s()
        if now_s < self._asks_again_at_s:
            return False
        self._asks_again_at_s = now_s + self._ask_again_after_s
        return True

    def failed(self, error: Exception) -> None:
        """Note that there was no answer."""
        if self._asks_again_at_s is None:
            logger.warning("%s; %s, and it is asked again every %g s", error, self._meanwhile, self._ask_again_after_s)
        self._asks_again_at_s = self._clock.monotonic_s() + self._ask_again_after_s

    def answered(self) -> None:
        """Note that there was an answer."""
        if self._asks_again_at_s is not None:
            logger.info("it answers again: no more that %s", self._meanwhile)
        self._asks_again_at_s = None
