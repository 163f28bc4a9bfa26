"""Fixtures of the simulation's tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest


@pytest.fixture
def simulated(summarize: Callable[[str, str], None]) -> Callable[[int, Counter[str], Counter[str]], None]:
    """Has the counts of some seeds printed at the end."""

    def note(seeds: int, reached: Counter[str], ends: Counter[str]) -> None:
        counts = ", ".join(f"{what} {count}" for what, count in sorted(reached.items()))
        ended = ", ".join(f"{stage} {count}" for stage, count in sorted(ends.items()))
        summarize("simulation", f"{seeds} seeds; reached: {counts}; orders ended: {ended}")

    return note
