"""The demo's input and what a seed deals: the same every time, at the stated rates."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from orderway.demo.fates import (
    AFTERWARDS,
    ANSWERS,
    FATES,
    After,
    Answer,
    Deal,
    Fate,
    OrderType,
    Way,
    deal,
    kill_schedule,
)
from orderway.demo.payers import behaviour_of, refund_behaviour_of
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
    assert len({purchase.order_id(1) for purchase in PURCHASES}) == len(PURCHASES)


def test_customers_together_have_every_line_once() -> None:
    assert [each for _, lines in by_customer(PURCHASES) for each in lines] == PURCHASES


def test_a_seed_deals_the_same_again_and_another_seed_does_not() -> None:
    def dealt(seed: int, count: int) -> list[object]:
        deals = [deal(line, seed) for line in read_purchases(count)]
        return [(each, behaviour_of(each, seed), refund_behaviour_of(each, seed)) for each in deals]

    assert dealt(1, 300) == dealt(1, 300)
    assert dealt(1, 300) == dealt(1, 600)[:300]  # a line's fate does not hang on how many lines there are
    assert dealt(1, 300) != dealt(2, 300)
    assert kill_schedule(1, 12, 6_919, 2) == kill_schedule(1, 12, 6_919, 2)
    assert kill_schedule(1, 12, 6_919, 2) != kill_schedule(2, 12, 6_919, 2)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_fates_are_dealt_at_the_stated_rates(seed: int) -> None:
    deals = [deal(purchase, seed) for purchase in PURCHASES]
    ways = Counter(each.way for each in deals)
    assert ways[Way.NOTHING_TO_PAY] == 8
    for way in (Way.PREPAID, Way.MIXED, Way.LATER):
        assert ways[way] / len(deals) == pytest.approx(1 / 3, abs=0.02)
    through_channel = [each for each in deals if each.way in {Way.MIXED, Way.LATER}]
    in_time = [each for each in through_channel if each.order_type is OrderType.RECORDS and not _is_odd(each)]
    agree(Counter(each.fate for each in through_channel), FATES, len(through_channel))
    agree(Counter(each.after for each in in_time), AFTERWARDS, len(in_time))
    agree(Counter(each.answer for each in through_channel), ANSWERS, len(through_channel))


def agree(dealt: Mapping[Any, int], rates: Mapping[Any, int], of: int) -> None:
    for what, one_in in rates.items():
        assert dealt[what] > 0
        assert dealt[what] / of == pytest.approx(1 / one_in, abs=0.015), what


def _is_odd(dealt: Deal) -> bool:
    return dealt.fate in {Fate.UNDERPAID, Fate.WRONG_CURRENCY}


def test_the_parts_of_every_line_are_its_price_to_the_cent() -> None:
    deals = [deal(purchase, 1) for purchase in PURCHASES]
    for each in deals:
        parts = each.parts
        assert parts.points + parts.wallet + parts.channel == each.purchase.amount.amount_minor
        assert each.way is not Way.MIXED or min(parts.points, parts.wallet, parts.channel) > 0


def test_what_cannot_follow_is_not_dealt() -> None:
    for each in (deal(purchase, 1) for purchase in PURCHASES):
        takes_part = each.way in {Way.MIXED, Way.LATER}
        assert takes_part or (each.fate, each.answer) == (Fate.TOLD, Answer.AT_ONCE)
        assert takes_part or each.after is not After.PART_REFUSED
        delivered_in_time = each.order_type is OrderType.RECORDS and not _is_odd(each)
        assert delivered_in_time or each.after is After.NOTHING


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
