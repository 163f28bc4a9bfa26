"""The demo as a user runs it, judged by reading its files."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from orderway.demo.audit import audit
from orderway.demo.fates import After, Deal, Fate, deal
from orderway.demo.purchases import read_purchases
from orderway.demo.run import DemoFailed, run
from orderway.demo.settings import Folder, Settings

pytestmark = pytest.mark.slow

SEED, LINES, KILLS = 11, 400, 3
LATE = {Fate.LATE_AND_WELCOME, Fate.TOO_LATE}
SENT = {"finished", "refunded"}


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "orderway.demo", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a demo with kills, and its own account of it."""
    path = tmp_path_factory.mktemp("demo") / "kept"
    ended = demo("--lines", str(LINES), "--kills", str(KILLS), "--seed", str(SEED), "--keep", str(path), "--json")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (path / "told.json").write_text(ended.stdout)
    return path


@pytest.fixture
def told(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / "told.json").read_text())
    return told


def fetch(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def dealt() -> list[Deal]:
    return [deal(purchase, SEED) for purchase in read_purchases(LINES)]


def may_end(line: Deal) -> set[str]:
    """Where a line's order may end; what is paid late may come in time after all, if its shop is killed."""
    if line.fate in {Fate.UNDERPAID, Fate.WRONG_CURRENCY}:
        return {"cancelled"}
    if line.fate in LATE:
        return {"finished", "closed"}
    return {"refunded"} if line.after in {After.ALL_BACK, After.TAKEN_BACK} else {"finished"}


def test_every_line_became_its_order_once_and_ended_as_it_was_dealt(folder: Path) -> None:
    ended = fetch(
        folder / "orders.db",
        "SELECT CAST(own_number AS INTEGER), id, amount_minor, stage FROM ow_orders_0 ORDER BY 1",
    )
    lines = dealt()
    expected = [(line.purchase.line, line.order_id, line.purchase.amount.amount_minor) for line in lines]
    assert [order[:3] for order in ended] == expected
    stages = [stage for *_, stage in ended]
    assert all(stage in may_end(line) for stage, line in zip(stages, lines, strict=True))
    assert set(stages) == {"finished", "refunded", "cancelled", "closed"}


def test_every_order_has_exactly_its_goods(folder: Path) -> None:
    stages = dict(fetch(folder / "orders.db", "SELECT CAST(own_number AS INTEGER), stage FROM ow_orders_0"))
    delivered = fetch(folder / "orders.db", "SELECT line, cds FROM demo_deliveries ORDER BY line")
    sent = [(line.purchase.line, line.purchase.cds) for line in dealt() if stages[line.purchase.line] in SENT]
    assert delivered == sent
    returned = fetch(folder / "orders.db", "SELECT line, cds FROM demo_returns ORDER BY line")
    back = [(line.purchase.line, line.purchase.cds) for line in dealt() if line.after is After.TAKEN_BACK]
    assert returned == back != []


def test_every_cent_is_where_it_belongs(folder: Path) -> None:
    orders, channel = folder / "orders.db", folder / "channel.db"
    took, gave = (
        fetch(channel, f"SELECT {reference}, amount_minor, currency FROM {table} WHERE {condition} ORDER BY 1, 2")
        for table, reference, condition in (
            ("captures", "reference", "at_us IS NOT NULL"),
            ("refunds", "payment_reference", "result = 'returned'"),
        )
    )
    legs = "SELECT reference, captured_minor, currency FROM ow_legs_0 WHERE channel = 'scripted' AND captured_minor > 0"
    assert fetch(orders, f"{legs} ORDER BY 1, 2") == took != []
    refunds = (
        "SELECT reference, value ->> 'amount_minor', leg.currency"
        " FROM ow_orders_0 AS o, json_each(refunds)"
        " JOIN ow_legs_0 AS leg ON leg.order_id = o.id AND leg.number = value ->> 'leg'"
        " WHERE leg.channel = 'scripted' AND value ->> 'state' = 'returned'"
    )
    assert fetch(orders, f"{refunds} ORDER BY 1, 2") == gave != []
    kept = "SELECT channel, sum(captured_minor - refunded_minor) FROM ow_legs_0 WHERE channel <> 'scripted' GROUP BY 1"
    sales = "SELECT currency, sum(amount_minor) FROM ow_lines_0 WHERE account = 'house:sales' GROUP BY 1"
    assert [minor for _, minor in fetch(orders, kept)] == [minor for _, minor in fetch(orders, sales)]
    held = "SELECT sum(amount_minor) FROM ow_lines_0 WHERE account = 'house:held' GROUP BY currency"
    assert fetch(orders, held) == [(0,), (0,)]


def test_operators_are_named_with_their_reasons(folder: Path) -> None:
    acted = fetch(
        folder / "orders.db",
        "SELECT DISTINCT order_id FROM ow_journal_0 WHERE json_extract(body, '$.actor') = 'operator'"
        " AND json_extract(body, '$.reason') <> ''",
    )
    assert {order_id for (order_id,) in acted} == {line.order_id for line in dealt() if line.needs_operator}


def test_what_it_tells_is_what_happened(folder: Path, told: dict[str, Any]) -> None:
    assert told["clean"] is True
    assert told["kills"] == KILLS
    assert told["shops_started"] == KILLS + 2 == len(list(folder.glob("shop-*.log")))
    assert told["orders"] == LINES
    assert told["problems"] == []
    assert all(check["holds"] for check in told["checks"])
    assert told["verify"] == {
        "orders": LINES,
        "entries": fetch(folder / "orders.db", "SELECT count(*) FROM ow_journal_0")[0][0],
        "postings": told["verify"]["postings"],
        "findings": 0,
    }
    assert told["prevented"]["orders created a second time"] > 0
    assert told["prevented"]["callbacks that told known news"] > 0
    assert told["prevented"]["forged callbacks refused"] > 0


def test_calm_kills_nobody_and_prints_a_page_for_people(tmp_path: Path) -> None:
    ended = demo("--calm", "--lines", "120", "--keep", str(tmp_path / "kept"))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Everything adds up." in ended.stdout
    assert "\x1b" not in ended.stdout
    assert len(list((tmp_path / "kept").glob("shop-*.log"))) == 2


@pytest.mark.parametrize(
    ("file", "tamper", "problem"),
    [
        ("orders.db", "DELETE FROM demo_deliveries WHERE rowid = 7", "orders with exactly their goods"),
        ("orders.db", "DELETE FROM demo_returns WHERE rowid = 1", "and with exactly their returns"),
        ("orders.db", "INSERT INTO demo_returns SELECT * FROM demo_returns", "deliveries taken back"),
        (
            "orders.db",
            "INSERT INTO demo_deliveries SELECT * FROM demo_deliveries WHERE rowid = 7",
            "goods: deliveries:",
        ),
        ("orders.db", "UPDATE demo_customers SET cds = cds + 1 WHERE rowid = 3", "CDs that customers own"),
        ("orders.db", "DELETE FROM ow_orders_0 WHERE own_number = '9'", "lines with exactly their order"),
        (
            "orders.db",
            "UPDATE ow_orders_0 SET amount_minor = amount_minor + 1 WHERE own_number = '9'",
            "the row's amount",
        ),
        ("orders.db", "UPDATE ow_orders_0 SET stage = 'paid', status = 1 WHERE own_number = '9'", "in any other state"),
        (
            "orders.db",
            "UPDATE ow_accounts_0 SET balance_minor = balance_minor + 1 WHERE rowid_of_one",
            "left with customers",
        ),
        ("orders.db", "UPDATE ow_journal_0 SET at_us = at_us + 1 WHERE fact = 'Paid'", "was altered"),
        ("orders.db", "UPDATE ow_legs_0 SET refunded_minor = 0 WHERE refunded_minor > 0", "wallets: given back"),
        (
            "orders.db",
            """UPDATE ow_orders_0 SET refunds = replace(refunds, '"returned"', '"pending"')""",
            "refunds without a result",
        ),
        ("channel.db", "UPDATE captures SET amount_minor = amount_minor - 1", "the channel: took"),
        ("channel.db", "DELETE FROM refunds WHERE result = 'returned'", "the channel: gave back"),
        ("channel.db", "UPDATE refunds SET payment_reference = 'S9' || payment_reference", "and the orders know of"),
        ("channel.db", "UPDATE captures SET reference = 'S9' || reference", "and the orders know of"),
    ],
)
def test_whatever_is_tampered_with_fails_the_audit(
    folder: Path, tmp_path: Path, file: str, tamper: str, problem: str
) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert audit(Folder(copy)).clean
    one = "uid = (SELECT min(uid) FROM ow_accounts_0)"
    with closing(sqlite3.connect(copy / file)) as connection:
        assert connection.execute(tamper.replace("rowid_of_one", one)).rowcount > 0
        connection.commit()
    found = audit(Folder(copy))
    assert not found.clean
    assert any(problem in each for each in found.problems), found.problems


def test_a_shop_that_ends_by_itself_fails_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    # Both shops end at once: whichever has ended when it is looked at first is the one that is told of.
    with pytest.raises(DemoFailed, match=r"shop [12] ended by itself with exit code 1"):
        run(Folder(tmp_path), Settings(lines=10), _look_away)


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    ended = demo("--keep", str(tmp_path))
    assert (ended.returncode, "is not empty" in ended.stderr) == (2, True)


def _look_away(_: object) -> None:
    pass
