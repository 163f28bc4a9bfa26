"""A real process kills itself with SIGKILL at each named point; another takes up, and an auditor judges.

The processes share files only. The auditor reads them with the standard library and knows nothing of the package.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from auditor import audit
from shop_processes import Shops, kill_and_take_up, make_folder

LONG = bool(os.environ.get("ORDERWAY_LONG"))

CALLS = (
    *("channel bank.charge", "channel bank.query", "channel bank.refund"),
    *("channel wallet.charge", "channel wallet.close", "channel wallet.hold", "channel wallet.capture"),
    *("channel wallet.refund", "channel points.hold", "channel points.refund"),
    *("delivery.execute", "delivery.receipt", "delivery.step pack", "delivery.step pick"),
    *("hook can_forward", "hook deliver", "hook ended", "hook finished", "hook take_back"),
    *("ledger.post", "store.claim", "store.create", "store.record"),
    *("store.transaction.execute", "store.transaction.commit_with", "workers.beat", "workers.join"),
)
STATEMENTS = (
    *("BEGIN", "COMMIT", "INSERT INTO came_back", "INSERT INTO goods", "INSERT INTO ow_accounts"),
    "INSERT INTO ow_journal",
    *("INSERT INTO ow_legs", "INSERT INTO ow_lines", "INSERT INTO ow_orders", "INSERT INTO ow_postings"),
    "UPDATE ow_orders",
)
POINTS = [
    f"{when} {what}"
    for what in (*CALLS, *(f"sql {statement}" for statement in STATEMENTS))
    for when in ("before", "after")
]
OFTEN = ("store.record", "sql BEGIN", "sql COMMIT", "sql INSERT INTO ow_journal", "sql UPDATE ow_orders")
"""Passed so often that a later pass is another situation."""
LATER = (1, 4, 9, 25, 45) if LONG else (1, 25)
KILLS = [(point, nth) for point in POINTS for nth in (LATER if point.endswith(OFTEN) else (1, 2) if LONG else (1,))]
ONCE = ("workers.join", "points.refund")
KILLS = [(point, nth) for point, nth in KILLS if nth == 1 or not point.endswith(ONCE)]


@pytest.fixture(scope="module")
def shops() -> Iterator[Shops]:
    shops = Shops(4)
    yield shops
    shops.close()


@pytest.fixture(scope="module")
def verdicts(shops: Shops) -> Iterator[dict[tuple[str, int], Future[list[str]]]]:
    """All kills, under way side by side while the tests below wait for one after the other.

    In memory where the system has a folder for that: a killed process loses nothing that it has handed to the system,
    so waiting for a disk would show nothing more.
    """
    shared = Path("/dev/shm")
    place = shared if os.access(shared, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="orderway-kills-", dir=place) as name, ThreadPoolExecutor(4) as pool:
        folder = Path(name)
        yield {
            (point, nth): pool.submit(kill_and_take_up, shops, folder / str(number), point, nth)
            for number, (point, nth) in enumerate(KILLS)
        }


@pytest.fixture(scope="module")
def sold(shops: Shops, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a shop leaves behind that was never killed."""
    folder = make_folder(tmp_path_factory.mktemp("sold") / "folder")
    assert shops.run(str(folder)) == 0
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("point", "nth"), KILLS, ids=[f"{point} #{nth}" for point, nth in KILLS])
def test_nothing_is_lost_and_nothing_doubled(
    point: str, nth: int, verdicts: dict[tuple[str, int], Future[list[str]]]
) -> None:
    assert verdicts[point, nth].result() == []


def test_enough_points_are_named_and_all_of_them_are_passed(sold: Path) -> None:
    passed = json.loads((sold / "passed.json").read_text())
    assert len(POINTS) >= 32
    assert not set(POINTS) - set(passed), "points that no shop ever passes"
    assert audit(sold) == []


@pytest.mark.slow
def test_a_fresh_key_per_attempt_is_caught(shops: Shops, tmp_path: Path) -> None:
    """A breakage on purpose: who charges under another key after a crash charges twice, and the auditor sees it."""
    problems = kill_and_take_up(shops, tmp_path / "bug", "after channel wallet.charge", 1, "--bug", "fresh-key")
    assert any("wallet" in problem for problem in problems), problems


@pytest.mark.slow
def test_a_fresh_refund_key_per_attempt_is_caught(shops: Shops, tmp_path: Path) -> None:
    """Who gives back under another key after a crash gives back twice, or never knows that it did."""
    problems = kill_and_take_up(shops, tmp_path / "bug", "after channel bank.refund", 1, "--bug", "fresh-refund-key")
    assert any("gave" in problem for problem in problems), problems


TAMPERINGS = {
    "a delivery is deleted": ("orders.db", "DELETE FROM goods WHERE own_number = 'coins-1'"),
    "a delivery is doubled": ("orders.db", "INSERT INTO goods VALUES ('gift-1')"),
    "a delivery to the shop is doubled": ("shop.db", "INSERT INTO goods VALUES ('card-1')"),
    "a rejected order was delivered": ("orders.db", "INSERT INTO goods VALUES ('poor-1')"),
    "a price is changed": ("orders.db", "UPDATE ow_orders_0 SET amount_minor = 989 WHERE own_number = 'coins-1'"),
    "an order is deleted": ("orders.db", "DELETE FROM ow_orders_0 WHERE own_number = 'kit-2'"),
    "an order is unfinished": ("orders.db", "UPDATE ow_orders_0 SET stage = 'paid' WHERE own_number = 'kit-2'"),
    "a balance is changed": ("orders.db", "UPDATE ow_accounts_0 SET balance_minor = balance_minor + 1"),
    "a line is changed": ("orders.db", "UPDATE ow_lines_0 SET amount_minor = amount_minor + 1 WHERE number = 0"),
    "a leg is changed": (
        "orders.db",
        "UPDATE ow_legs_0 SET captured_minor = captured_minor - 1 WHERE channel = 'gateway'",
    ),
    "a bank payment is unknown": ("orders.db", "UPDATE ow_legs_0 SET reference = 'x' WHERE channel = 'bank'"),
    "a bank payment is doubled": (
        "bank.db",
        "INSERT INTO captures SELECT reference || '-2', key, amount_minor, currency, after_us, at_us"
        " FROM captures LIMIT 1",
    ),
    "a journal has a gap": ("orders.db", "DELETE FROM ow_journal_0 WHERE fact = 'Paid'"),
    "a journal has lost its end": ("orders.db", "DELETE FROM ow_journal_0 WHERE fact = 'Finished'"),
    "an entry is altered": ("orders.db", "UPDATE ow_journal_0 SET at_us = at_us + 1 WHERE version = 2"),
    "goods came back twice": ("orders.db", "INSERT INTO came_back VALUES ('back-1')"),
    "goods came back of a finished order": ("orders.db", "INSERT INTO came_back VALUES ('coins-1')"),
    "a leg gave back less": ("orders.db", "UPDATE ow_legs_0 SET refunded_minor = 1 WHERE refunded_minor = 50"),
    "a leg is to give back more": ("orders.db", "UPDATE ow_legs_0 SET refunding_minor = 1 WHERE captured_minor = 400"),
    "a hold was never released": ("orders.db", "UPDATE ow_legs_0 SET state = 'held' WHERE state = 'released'"),
    "something is still held": ("orders.db", "DELETE FROM ow_lines_0 WHERE amount_minor = -350"),
    "a refund is forgotten": ("orders.db", "UPDATE ow_orders_0 SET refunds = '[]' WHERE own_number = 'back-2'"),
    "a refund is still under way": (
        "orders.db",
        "UPDATE ow_orders_0 SET refunds = replace(refunds, 'returned', 'pending') WHERE own_number = 'part-1'",
    ),
    "a refund is another one": (
        "orders.db",
        "UPDATE ow_orders_0 SET refunds = replace(refunds, '610', '609') WHERE own_number = 'back-1'",
    ),
    "the bank gave back twice": (
        "bank.db",
        "INSERT INTO refunds SELECT key || 'x', order_id, payment_reference, amount_minor, currency, reference,"
        " result, why, at_us FROM refunds WHERE amount_minor = 610",
    ),
    "the bank never gave back": ("bank.db", "DELETE FROM refunds WHERE amount_minor = 800"),
    "the bank still holds": ("bank.db", "UPDATE payments SET state = 'held' WHERE amount_minor = 500"),
    "a movement is altered": ("orders.db", "UPDATE ow_postings_0 SET balance_minor = 0 WHERE movement = 1"),
}


@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_the_auditor_sees(tampering: str, sold: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tampered"
    shutil.copytree(sold, folder)
    name, sql = TAMPERINGS[tampering]
    with closing(sqlite3.connect(folder / name)) as connection, connection:
        assert connection.execute(sql).rowcount > 0
    assert audit(folder) != []
