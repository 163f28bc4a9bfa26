"""Random bytes from the operating system, fetched by the page: an order takes three small portions."""

from __future__ import annotations

import os
from collections.abc import Callable

__all__ = ["Entropy"]

PAGE_BYTES = 4096


class Entropy:
    """Gives so many random bytes, each only once.

    Not for sharing with a forked child, which would be given the same bytes: an App refuses to run there.

    Args:
        source: where a page of bytes comes from.
    """

    def __init__(self, source: Callable[[int], bytes] = os.urandom) -> None:
        self._source = source
        self._page = b""
        self._used = 0

    def __call__(self, count: int) -> bytes:
        """So many random bytes, at most a page."""
        used = self._used
        end = used + count
        if end > len(self._page):
            self._page = self._source(PAGE_BYTES)
            used, end = 0, count
        self._used = end
        return self._page[used:end]
