"""Verification: a shop in order gives no finding; each way to damage its file gives the finding that names it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orderway import App, Business, Money
from orderway.adapters import Ports, ports_for
from orderway.checkpoint import Checkpoint, CheckpointWriter
from orderway.core.order import Order
from orderway.errors import InvalidValue
from orderway.verify import MOST_SENTENCES, Report, compare, verify

PRICE = Money.of("12.50", "CNY")


class Toy(Business[dict[str, Any]]):
    order_type = 1

    def deliver(self, order: Order[dict[str, Any]], delivery: Any) -> None:
        pass


@dataclass
class File:
    """An open file with a paid, a rejected, a free and a waiting order."""

    path: Path
    ports: Ports
    ids: dict[str, str]

    def sql(self, statement: str, *parameters: Any) -> None:
        """Damage it."""
        connection = sqlite3.connect(self.path)
        connection.execute("PRAGMA ignore_check_constraints = ON")
        with connection:
            assert connection.execute(statement, parameters).rowcount > 0
        connection.close()

    async def verify(self) -> Report:
        return await verify(self.ports.store, self.ports.ledger)

    async def checkpoint(self, name: str = "checkpoint.jsonl") -> Path:
        writer = CheckpointWriter(self.path.with_name(name), 1_790_000_000_000_000)
        await verify(self.ports.store, self.ports.ledger, checkpoint=writer)
        writer.commit()
        return self.path.with_name(name)


async def fill(ports: Ports) -> dict[str, str]:
    app = App(ports, sweep=False)
    app.register(Toy())
    async with app:
        await app.wallet.top_up("ann", Money.of("100.00", "CNY"), key="gift")
        paid = await app.forward(await app.create(1, "ann", amount=PRICE, pay="wallet", remark="r", data={"n": 1}))
        rejected = await app.forward(await app.create(1, "bob", amount=PRICE, pay="wallet"))
        free = await app.forward(await app.create(1, "eve"))
        waiting = await app.create(1, "bob", amount=PRICE, pay="gateway")
    return {"paid": paid.id, "rejected": rejected.id, "free": free.id, "waiting": waiting.id}


@pytest.fixture(params=[1, 3])
async def file(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[File]:
    """With one shard and with three."""
    path = tmp_path / "orders.db"
    ids = await fill(ports_for(f"sqlite:///{path}", shards=request.param))
    ports = ports_for(f"sqlite:///{path}", shards=None)
    await ports.start()
    yield File(path, ports, ids)
    await ports.close()


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[File]:
    """With one shard, so that a test can name its tables."""
    path = tmp_path / "orders.db"
    ids = await fill(ports_for(f"sqlite:///{path}"))
    ports = ports_for(f"sqlite:///{path}", shards=None)
    await ports.start()
    yield File(path, ports, ids)
    await ports.close()


async def test_a_shop_in_order_has_no_findings(file: File) -> None:
    seen = []
    report = await verify(file.ports.store, file.ports.ledger, progress=lambda done, total: seen.append((done, total)))
    assert (report.findings, report.found, report.orders, report.in_flight) == ([], 0, 4, 0)
    assert report.entries == 4 + 4 + 3 + 1
    assert dict(report.books["CNY"]) == {"wallet": 8750, "house:funding": -10_000, "house:sales": 1250}
    assert seen[-1] == (4, 4)


async def test_an_empty_shop_in_memory_has_no_findings() -> None:
    ports = ports_for("memory://")
    await ports.start()
    report = await verify(ports.store, ports.ledger)
    assert (report.found, report.orders, report.books) == (0, 0, {})


DAMAGES = {
    "row's uid is 'zoe'": "UPDATE ow_orders_0 SET uid = 'zoe' WHERE id = :free",
    "row's data_text is": "UPDATE ow_orders_0 SET data_text = '{}' WHERE id = :paid",
    "row's version is 9": "UPDATE ow_orders_0 SET version = 9 WHERE id = :paid",
    "row's digest is": "UPDATE ow_orders_0 SET digest = 'x' WHERE id = :paid",
    "entry 2 of {paid} was altered": "UPDATE ow_journal_0 SET at_us = 5 WHERE order_id = :paid AND version = 2",
    "the private part of entry 1 of {paid} was altered": (
        """UPDATE ow_journal_0 SET private = '{"salt":""}' WHERE order_id = :paid AND version = 1"""
    ),
    "entry 2 of {paid} is missing": "DELETE FROM ow_journal_0 WHERE order_id = :paid AND version = 2",
    "order {free} has no journal": "DELETE FROM ow_journal_0 WHERE order_id = :free",
    "the journal of order {free} cannot be replayed": (
        "UPDATE ow_journal_0 SET fact = 'Teleported' WHERE order_id = :free AND version = 2"
    ),
    "the journal of order {paid} cannot be replayed": (
        "UPDATE ow_journal_0 SET body = '[' WHERE order_id = :paid AND version = 2"
    ),
    "never due: nobody will look at it again": "UPDATE ow_orders_0 SET due_at_us = NULL WHERE id = :waiting",
    "and still due or held": "UPDATE ow_orders_0 SET holder = 7 WHERE id = :free",
    "its leg 0 asks for 7 minor units, and counts for 1250 of the price": (
        "UPDATE ow_legs_0 SET amount_minor = 7 WHERE order_id = :waiting"
    ),
    "are not numbered from 0 on": "UPDATE ow_legs_0 SET number = 4 WHERE order_id = :waiting",
    "its leg 0 has amounts that contradict each other": (
        "UPDATE ow_legs_0 SET refunded_minor = 1251 WHERE order_id = :paid"
    ),
    "0 of 1250 minor units are paid": "UPDATE ow_legs_0 SET state = 'planned' WHERE order_id = :paid",
    "its leg 0 is paid with another amount": "UPDATE ow_legs_0 SET captured_minor = 1 WHERE order_id = :paid",
    "the ledger has 0 paid and 0 held in CNY under": "UPDATE ow_lines_0 SET key = 'x' WHERE key = :paid || '-0-1'",
    "leg 0 is closed, with 0 paid and 0 held in minor units of CNY; the ledger has 1250 paid": (
        "UPDATE ow_lines_0 SET account = 'wallet', amount_minor = -1250 WHERE number = 0 AND key = :rejected || '-0-1'"
    ),
    "the books in CNY do not balance: all accounts together hold 5 minor units": (
        "UPDATE ow_accounts_0 SET balance_minor = balance_minor + 5"
    ),
    "there is no order {paid}: money without its order": "DELETE FROM ow_orders_0 WHERE id = :paid",
    "order {free} cannot be read": "UPDATE ow_orders_0 SET stage = 'nowhere' WHERE id = :free",
}


@pytest.mark.parametrize(("expected", "statement"), DAMAGES.items())
async def test_each_damage_is_found(one: File, expected: str, statement: str) -> None:
    names = [name for name in one.ids if f":{name}" in statement]
    for name in names:
        statement = statement.replace(f":{name}", f"'{one.ids[name]}'")
    one.sql(statement)
    report = await one.verify()
    wanted = expected.format(**one.ids) if "{" in expected else expected
    assert any(wanted in finding for finding in report.findings), report.findings
    assert report.found == len(report.findings)


async def test_erased_private_parts_are_no_fault(file: File) -> None:
    tables = [f"ow_journal_{shard}" for shard in range(3)]
    connection = sqlite3.connect(file.path)
    known = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    with connection:
        for table in known.intersection(tables):
            connection.execute(f"UPDATE {table} SET private = NULL")
    connection.close()
    report = await file.verify()
    assert (report.findings, report.erased) == ([], 1)


async def test_a_payment_taken_but_not_recorded_yet_is_in_flight(one: File) -> None:
    """As a crash between the charge and the fact leaves it."""
    order_id = one.ids["paid"]
    one.sql("DELETE FROM ow_journal_0 WHERE order_id = ? AND version > 1", order_id)
    one.sql(
        "UPDATE ow_orders_0 SET"
        " (stage, status, pay_status, version, due_at_us, digest, updated_at_us, deadline_at_us) ="
        " (SELECT 'created', 1, 0, 1, 5, digest, at_us, json_extract(body, '$.deadline_at_us')"
        "  FROM ow_journal_0 WHERE order_id = id) WHERE id = ?",
        order_id,
    )
    one.sql(
        "UPDATE ow_legs_0 SET state = 'planned', captured_minor = 0, authorized_minor = 0, reference = ''"
        " WHERE order_id = ?",
        order_id,
    )
    report = await one.verify()
    assert (report.findings, report.in_flight) == ([], 1)


async def test_an_order_that_moves_while_it_is_checked_is_no_fault(one: File) -> None:
    """The row is read, then the order is paid, then the journal is read."""
    app = App(ports_for(f"sqlite:///{one.path}", shards=None), sweep=False)
    app.register(Toy())
    store = one.ports.store
    read = store.entries
    moved = []

    async def entries(order_id: str) -> Any:
        if order_id == one.ids["waiting"] and not moved:
            moved.append(order_id)
            async with app:
                await app.record_payment(order_id, PRICE, reference="r1")
        return await read(order_id)

    store.entries = entries  # type: ignore[method-assign]
    report = await one.verify()
    assert moved == [one.ids["waiting"]]
    assert report.findings == []
    assert report.entries == 13


def test_the_number_of_sentences_is_bounded() -> None:
    report = Report()
    for number in range(MOST_SENTENCES + 5):
        report.add(str(number))
    assert (report.found, len(report.findings)) == (MOST_SENTENCES + 5, MOST_SENTENCES)


# ---- checkpoints --------------------------------------------------------------------------------------------------


async def compared(file: File, path: Path) -> Report:
    report = Report()
    await compare(file.ports.store, Checkpoint(path), report)
    return report


async def test_a_checkpoint_agrees_with_the_shop_it_was_made_of_and_with_its_future(file: File) -> None:
    path = await file.checkpoint()
    assert [mark.order_id for mark in Checkpoint(path)] == sorted(file.ids.values())
    assert Checkpoint(path).at == "2026-09-21T14:13:20Z"
    report = await compared(file, path)
    assert (report.findings, report.compared) == ([], 4)
    app = App(ports_for(f"sqlite:///{file.path}", shards=None), sweep=False)
    app.register(Toy())
    async with app:
        await app.record_payment(file.ids["waiting"], PRICE, reference="r1")
        await app.forward(file.ids["waiting"])
    assert (await compared(file, path)).findings == []


async def test_a_checkpoint_finds_what_the_chain_cannot(one: File) -> None:
    """A forger who rewrites a whole journal, or takes it away, leaves nothing for ``verify`` itself to find."""
    path = await one.checkpoint()
    free, waiting, rejected = (one.ids[name] for name in ("free", "waiting", "rejected"))
    one.sql("DELETE FROM ow_orders_0 WHERE id = ?", waiting)
    one.sql("DELETE FROM ow_journal_0 WHERE order_id = ?", waiting)
    one.sql("UPDATE ow_journal_0 SET digest = 'other' WHERE order_id = ? AND version = 3", free)
    one.sql("DELETE FROM ow_journal_0 WHERE order_id = ? AND version = 4", rejected)
    findings = sorted((await compared(one, path)).findings)
    assert findings == sorted(
        [
            f"order {waiting} is missing: the checkpoint has it at version 1",
            f"order {free} was rewritten: entry 3 is not the one that the checkpoint has",
            f"order {rejected} ends at version 3: the checkpoint has it at version 4",
        ]
    )


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda text: text[:-1], "was altered"),
        (lambda text: text[:-20], "was cut short or altered: line 5 cannot be read"),
        (lambda text: "".join(text.splitlines(keepends=True)[:-1]), "says that it holds 4 orders and holds 3"),
        (lambda text: text.replace('"version":1', '"version":2'), "do not match its own SHA-256"),
        (lambda text: text.replace('"version": 1', '"version": 2', 1), "has format version 2"),
        (lambda text: "", "is no checkpoint"),
        (lambda text: "[1]\n", "is no checkpoint"),
        (lambda text: '{"format": "orderway-checkpoint"}\n', "is no checkpoint"),
        (lambda text: "\x00\xff" + text, "is no checkpoint"),
        (lambda text: text + "[]\n", "line 6 cannot be read"),
    ],
)
async def test_a_damaged_checkpoint_is_a_sentence(one: File, damage: Any, sentence: str) -> None:
    path = await one.checkpoint()
    path.write_text(damage(path.read_text()))
    with pytest.raises(InvalidValue, match=sentence):
        Checkpoint(path)


def test_a_checkpoint_appears_all_at_once_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    path.write_text("the older one")
    writer = CheckpointWriter(path, 0)
    assert path.read_text() == "the older one"
    writer.discard()
    assert [found.name for found in tmp_path.iterdir()] == ["checkpoint"]
    writer = CheckpointWriter(path, 0)
    assert writer.commit() == 0
    writer.discard()
    assert len(Checkpoint(path)) == 0
    assert json.loads(path.read_text())["orders"] == 0
    with pytest.raises(InvalidValue, match="cannot be written"):
        CheckpointWriter(tmp_path / "no" / "folder", 0)
