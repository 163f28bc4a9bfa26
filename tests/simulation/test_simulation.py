"""Seed after seed: whatever goes wrong, everything comes right. A seed that fails is printed, and repeats exactly."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable

import pytest

from orderway.testing.simulation import FAULTS, Odds, simulate

SEEDS = 20_000 if os.environ.get("ORDERWAY_LONG") else 200
PARTS = 8
ENDS = ("finished", "closed", "cancelled", "rejected", "refunded")
pytestmark = pytest.mark.slow

DIGEST = "from orderway.testing.simulation import simulate; print(simulate(3).digest)"


@pytest.mark.parametrize("part", range(PARTS))
def test_everything_comes_right(part: int, simulated: Callable[[int, Counter[str], Counter[str]], None]) -> None:
    reached: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    seeds = range(part, SEEDS, PARTS)
    for seed in seeds:
        result = simulate(seed)
        result.check()
        reached += result.reached
        ends += result.ends
    simulated(len(seeds), reached, ends)
    assert all(reached[fault] for fault in FAULTS), reached
    assert all(ends[stage] for stage in ENDS), ends


def test_a_seed_repeats_exactly() -> None:
    first, again, other = simulate(1, trace=True), simulate(1, trace=True), simulate(2)
    assert first.trace == again.trace
    assert first == again
    assert other.digest != first.digest


def test_a_seed_is_the_same_in_each_process() -> None:
    def digest(hash_seed: str) -> str:
        ran = subprocess.run(
            [sys.executable, "-c", DIGEST],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        return ran.stdout.strip()

    assert digest("1") == digest("2") == simulate(3).digest


def test_in_fair_weather_nothing_goes_wrong_and_nobody_dies() -> None:
    fair = Odds(fail=0, crash=0, freeze=0, slow=0, lost=0, doubled=0, wrong_clock=0)
    result = simulate(1, odds=fair)
    result.check()
    assert not any(result.reached[fault] for fault in FAULTS)


def test_a_failed_seed_says_how_to_repeat_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orderway.testing.simulation.run.judge", broken_judge)
    with pytest.raises(AssertionError, match=r"python -m orderway\.testing\.simulation 4"):
        simulate(4).check()


async def broken_judge(*_: object) -> list[str]:
    return ["something is wrong"]
