"""Orders and journal as CSV and JSON lines: complete, exact, once, and nothing personal unless asked for."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filling import HOSTILE, Taken, fill_orders

from orderway.adapters import Ports
from orderway.core.facts import RefundRequested
from orderway.core.journal import compact_json
from orderway.core.order import Stage
from orderway.export import Chunk, Format, export_journal, export_orders
from orderway.export.documents import ENTRY_COLUMNS, ORDER_COLUMNS, entry_document, order_document
from orderway.ports.store import Query
from orderway.testing.conformance.builders import NOW_US, make_change, make_order, paid

DOCS = Path(__file__).parents[2] / "docs" / "export.md"
FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n")


def rows_of(text: str) -> list[dict[str, str]]:
    """CSV as a strict reader sees it."""
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def cell(value: Any) -> str:
    """What an exact CSV cell holds for a value of JSON lines."""
    if isinstance(value, dict | list | bool):
        return compact_json(value)
    return "" if value is None else str(value)


async def test_json_lines_hold_every_order_once_in_pages(ports: Ports, taken: Taken) -> None:
    ids = await fill_orders(ports)
    assert await export_orders(ports.store, taken.write, query=Query(limit=7), private=True) == 40
    documents = [json.loads(line) for line in taken.text.splitlines()]
    assert [document["id"] for document in documents] == ids
    assert [chunk.records for chunk in taken.chunks] == [7, 7, 7, 7, 7, 5]
    assert [chunk.cursor is None for chunk in taken.chunks] == [False] * 5 + [True]
    stored = [await ports.store.get(order_id) for order_id in ids]
    assert [document["uid"] for document in documents] == [order.uid for order in stored]
    assert [document["remark"] for document in documents] == list(HOSTILE[:40])
    assert {tuple(document) for document in documents} == {ORDER_COLUMNS}


async def test_json_lines_hold_every_entry_of_the_journal(ports: Ports, taken: Taken) -> None:
    ids = await fill_orders(ports)
    written = await export_journal(ports.store, taken.write, query=Query(limit=7))
    documents = [json.loads(line) for line in taken.text.splitlines()]
    stored = [entry for order_id in ids for entry in await ports.store.entries(order_id)]
    assert written == len(stored) == len(documents) > 40
    assert [(each["order_id"], each["version"], each["digest"]) for each in documents] == [
        (entry.order_id, entry.version, entry.digest) for entry in stored
    ]
    assert {tuple(document) for document in documents} == {ENTRY_COLUMNS}


@pytest.mark.parametrize("export", [export_orders, export_journal])
async def test_csv_without_the_guard_says_what_json_lines_say(export: Any, ports: Ports, taken: Taken) -> None:
    await fill_orders(ports)
    exact = Taken()
    await export(ports.store, exact.write, Format.JSONL, Query(limit=9), private=True)
    await export(ports.store, taken.write, Format.CSV, Query(limit=9), private=True, guard=False)
    documents = [json.loads(line) for line in exact.text.splitlines()]
    assert rows_of(taken.text) == [{name: cell(value) for name, value in each.items()} for each in documents]
    assert taken.text.endswith("\r\n")


@pytest.mark.parametrize("export", [export_orders, export_journal])
async def test_no_cell_is_a_formula(export: Any, ports: Ports, taken: Taken) -> None:
    await fill_orders(ports)
    await export(ports.store, taken.write, Format.CSV, private=True)
    cells = [cell for row in rows_of(taken.text) for cell in row.values()]
    assert [cell for cell in cells if cell.startswith(FORMULAS)] == []
    if export is export_orders:
        assert {"'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\t=1"} <= set(cells)


@pytest.mark.parametrize("export", [export_orders, export_journal])
@pytest.mark.parametrize("form", Format)
async def test_nothing_private_leaves_unless_it_is_asked_for(
    export: Any, form: Format, ports: Ports, taken: Taken
) -> None:
    order, entry = make_order("ann", data='{"note":"s3cret"}', remark="s3cret")
    await ports.store.create(order, entry)
    await export(ports.store, taken.write, form)
    assert "s3cret" not in taken.text
    asked = Taken()
    await export(ports.store, asked.write, form, private=True)
    assert asked.text.count("s3cret") == 2


@pytest.mark.parametrize("export", [export_orders, export_journal])
@pytest.mark.parametrize("form", Format)
async def test_an_export_goes_on_after_any_chunk(export: Any, form: Format, ports: Ports, taken: Taken) -> None:
    await fill_orders(ports, 12)
    whole = await export(ports.store, taken.write, form, Query(limit=5))
    for at, chunk in enumerate(taken.chunks[:-1], start=1):
        rest = Taken()
        written = await export(ports.store, rest.write, form, Query(limit=5), chunk.cursor)
        assert rest.text == "".join(chunk.text for chunk in taken.chunks[at:])
        assert written == whole - sum(chunk.records for chunk in taken.chunks[:at])


async def test_orders_that_change_meanwhile_are_each_exported_once(ports: Ports, taken: Taken) -> None:
    before = [await ports.store.create(*make_order(f"u{n}", at_us=NOW_US + n)) for n in range(12)]

    async def write(chunk: Chunk) -> None:
        await taken.write(chunk)
        at = len(taken.chunks)
        for each in before:
            order = await ports.store.get(each.id)
            if order.stage is Stage.CREATED and (at + order.slot) % 2:
                await ports.store.record(make_change(order, paid(order)))
        await ports.store.create(*make_order("early", at_us=NOW_US - at))
        if at < 4:
            await ports.store.create(*make_order("late", at_us=NOW_US + 100 + at))

    await export_orders(ports.store, write, query=Query(limit=3))
    found = [json.loads(line) for line in taken.text.splitlines()]
    ids = [document["id"] for document in found]
    assert len(ids) == len(set(ids))
    assert set(ids) >= {order.id for order in before}
    assert {document["stage"] for document in found} == {"created", "paid"}
    assert [document["uid"] for document in found].count("late") == 3


async def test_conditions_choose_the_orders(ports: Ports, taken: Taken) -> None:
    ids = await fill_orders(ports, 12)
    await export_orders(ports.store, taken.write, query=Query(order_type=1, stages=[Stage.PAID], limit=5))
    chosen = [json.loads(line)["id"] for line in taken.text.splitlines()]
    orders = [await ports.store.get(order_id) for order_id in ids]
    assert chosen == [order.id for order in orders if order.type == 1 and order.stage is Stage.PAID]
    assert chosen


@pytest.mark.parametrize(("form", "text"), [(Format.JSONL, ""), (Format.CSV, ",".join(ORDER_COLUMNS) + "\r\n")])
async def test_no_orders_give_one_chunk(form: Format, text: str, ports: Ports, taken: Taken) -> None:
    assert await export_orders(ports.store, taken.write, form) == 0
    assert taken.chunks == [Chunk(text, 0, None)]


def test_amounts_are_in_minor_and_in_major_units() -> None:
    order, _ = make_order(amount_minor=1500, currency="KWD")
    change = make_change(order, paid(order))
    back = RefundRequested(
        refund=1, leg=0, amount_minor=5, worth_minor=5, key="k", why="requested", deadline_at_us=NOW_US
    )
    document = order_document(make_change(change.order, back).order)
    assert (document["amount_minor"], document["amount"], document["paid"]) == (1500, "1.500", "1.500")
    (leg,) = document["legs"]
    assert (leg["captured"], leg["refunding_minor"], leg["refunding"]) == ("1.500", 5, "0.005")
    assert document["refunds"] == [
        {
            "number": 1,
            "leg": 0,
            "amount_minor": 5,
            "amount": "0.005",
            "worth_minor": 5,
            "worth": "0.005",
            "key": "k",
            "why": "requested",
            "deadline_at": "2026-09-21T14:13:20.000000Z",
            "state": "reserved",
            "reference": "",
        }
    ]


def test_a_currency_of_an_unknown_program_has_no_decimals_to_show() -> None:
    document = order_document(make_order(amount_minor=1500, currency="NOBODY_KNOWS")[0])
    assert (document["amount_minor"], document["amount"]) == (1500, None)


def test_erased_and_altered_entries_are_exported_as_they_are() -> None:
    _, entry = make_order(data='{"a":1}', remark="r")
    assert entry_document(entry, private=True)["private"] == {"data": {"a": 1}, "remark": "r"}
    erased = entry_document(entry._replace(private=None), private=True)
    assert (erased["private"], erased["erased"]) == (None, True)
    altered = entry_document(entry._replace(body="no json"))
    assert altered["fields"] == {"body": "no json"}


def test_a_row_with_a_number_as_data_is_no_formula_either() -> None:
    order = replace(make_order()[0], data_text="-5")
    assert order_document(order, private=True)["data"] == -5


def test_the_page_names_every_key() -> None:
    page = DOCS.read_text()
    leg = order_document(make_order()[0])["legs"][0]
    assert [name for name in {*ORDER_COLUMNS, *ENTRY_COLUMNS, *leg} if f"`{name}`" not in page] == []
