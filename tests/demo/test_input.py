"""The demo's input and what a seed deals: the same every time, at the stated rates."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from orderway.demo.fates import RATES, Fate, behaviour_of, fate_of, kill_schedule
from orderway.demo.purchases import by_customer, read_purchases
from orderway.demo.tally import What, read_tallies

PURCHASES = read_purchases()


def test_the_input_is_whole() -> None:
    assert len(PURCHASES) == 6_919
    assert len({purchase.uid for purchase in PURCHASES}) == 2_357
    assert sum(purchase.amount.amount_minor for purchase in PURCHASES) == 24_409_194
    assert sum(purchase.cds for purchase in PURCHASES) == 16_479
    assert sum(not purchase.amount for purchase in PURCHASES) == 8


def test_identical_lines_are_different_orders() -> None:
    bought = Counter((each.uid, each.bought_on, each.cds, each.amount) for each in PURCHASES)
    assert max(bought.values()) > 1
    assert len({purchase.order_id for purchase in PURCHASES}) == len(PURCHASES)


def test_customers_together_have_every_line_once() -> None:
    assert [each for _, lines in by_customer(PURCHASES) for each in lines] == PURCHASES


def test_a_seed_deals_the_same_again_and_another_seed_does_not() -> None:
    def deal(seed: int, count: int) -> list[object]:
        lines = read_purchases(count)
        return [(fate_of(line, seed), behaviour_of(line, seed)) for line in lines]

    assert deal(1, 300) == deal(1, 300)
    assert deal(1, 300) == deal(1, 600)[:300]  # a line's fate does not hang on how many lines there are
    assert deal(1, 300) != deal(2, 300)
    assert kill_schedule(1, 12, 6_919, 2) == kill_schedule(1, 12, 6_919, 2)
    assert kill_schedule(1, 12, 6_919, 2) != kill_schedule(2, 12, 6_919, 2)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_fates_are_dealt_at_the_stated_rates(seed: int) -> None:
    dealt = Counter(fate_of(purchase, seed) for purchase in PURCHASES)
    priced = len(PURCHASES) - dealt[Fate.NOTHING_TO_PAY]
    later = sum(dealt[fate] for fate in RATES)
    assert dealt[Fate.NOTHING_TO_PAY] == 8
    assert dealt[Fate.PREPAID] / priced == pytest.approx(0.5, abs=0.02)
    assert sum(RATES.values()) == 100
    for fate, percent in RATES.items():
        assert dealt[fate] / later == pytest.approx(percent / 100, abs=0.03)
        assert dealt[fate] > 0


def test_kills_are_spread_over_the_run_and_come_before_its_end() -> None:
    kills = kill_schedule(1, 12, 1_200, 2)
    assert [kill.at_ended // 95 for kill in kills] == list(range(12))
    assert {kill.lane for kill in kills} == {0, 1}


def test_a_tally_survives_sigkill(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from orderway.demo.tally import Tally, What\n"
        "tally = Tally(Path(sys.argv[1]))\n"
        "for _ in range(3): tally.add(What.NOTICES)\n"
        "tally.add(What.NOTICES_REFUSED)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    for name in ("one", "two"):
        ended = subprocess.run([sys.executable, "-c", program, str(tmp_path / f"{name}.tally")], check=False)
        assert ended.returncode == -signal.SIGKILL
    assert read_tallies(tmp_path) == {**dict.fromkeys(What, 0), What.NOTICES: 6, What.NOTICES_REFUSED: 2}
