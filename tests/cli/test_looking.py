"""show, list, explain, balance, statement, version: what they print, as text and as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

ORDER_KEYS = {
    "id", "type", "uid", "stage", "status", "status_name", "pay_status", "amount_minor", "currency", "legs", "data",
    "remark", "own_number", "steps", "why", "resume_stage", "created_at", "updated_at", "deadline_at", "due_at",
    "attempts", "last_error", "holder", "version", "digest", "refunds", "paid_minor", "refunded_minor", "needs_person",
}  # fmt: skip
ENTRY_KEYS = {"version", "fact", "at", "actor", "reason", "cause", "fields", "erased", "write_id", "digest"}


def names(shop: Any, *words: str) -> list[str]:
    """The names of the orders that ``list`` finds, in its order."""
    by_id = {order_id: name for name, order_id in shop.ids.items()}
    return [by_id[order["id"]] for order in shop.json("list", *words)["orders"]]


def test_show_tells_row_payments_and_timeline(shop: Any) -> None:
    out = shop.run("show", shop.ids["finished"])
    assert out.exit_code == 0
    lines = out.stdout.splitlines()
    assert lines[0] == f"order {shop.ids['finished']}"
    assert "price       12.50 CNY" in lines
    assert "own number  A-1" in lines
    assert 'data        {"sku":"书"}' in lines
    paid = next(line for line in lines if "  Paid " in line)
    assert paid.endswith(f"leg 0, 12.50 CNY, reference {shop.ids['finished']}-0-1")
    assert [word for line in lines for word in line.split()[1:2] if line.startswith("  20")] == [
        "Created", "Paid", "Delivered", "Finished",
    ]  # fmt: skip


def test_show_tells_who_and_why(shop: Any) -> None:
    out = shop.run("show", shop.ids["closed"])
    unexpected = next(line for line in out.stdout.splitlines() if "UnexpectedPayment" in line)
    assert unexpected.endswith("12.50 CNY through gateway, reference [R-9]  [desk: cause notice 7]")


def test_show_as_json_has_stable_keys(shop: Any) -> None:
    document = shop.json("show", shop.ids["closed"])
    assert set(document) == {"order", "journal"}
    assert set(document["order"]) == ORDER_KEYS
    assert document["order"]["stage"] == "closed"
    assert document["order"]["status"] == 7
    assert document["order"]["legs"][1]["captured_minor"] == 1250
    assert [entry["fact"] for entry in document["journal"]] == [
        "Created", "Closed", "PaymentClosed", "Ended", "UnexpectedPayment",
    ]  # fmt: skip
    assert all(set(entry) == ENTRY_KEYS for entry in document["journal"])
    assert document["journal"][4]["actor"] == "desk"
    assert document["journal"][4]["cause"] == "notice 7"
    assert document["journal"][0]["at"].endswith("Z")
    assert document["journal"][0]["erased"] is False
    assert shop.json("show", shop.ids["finished"])["journal"][0]["fields"]["data"] == {"sku": "书"}


def test_show_tells_of_erased_parts_and_of_entries_that_it_cannot_read(shop: Any) -> None:
    order_id = shop.ids["finished"]
    shop.sql("UPDATE ow_journal_0 SET private = NULL WHERE order_id = ? AND version = 1", order_id)
    shop.sql("UPDATE ow_journal_0 SET fact = 'Teleported' WHERE order_id = ? AND version = 2", order_id)
    out = shop.run("show", order_id)
    assert out.exit_code == 0
    assert "through wallet; private parts erased" in out.stdout
    assert "Teleported  cannot be read: {" in out.stdout
    assert shop.json("show", order_id)["journal"][0]["erased"] is True


def test_list_prints_one_line_an_order(shop: Any) -> None:
    lines = shop.run("list").stdout.splitlines()
    assert lines[0].split() == ["id", "type", "user", "stage", "amount", "created", "due"]
    assert {line.split()[0] for line in lines[1:]} == set(shop.ids.values())


@pytest.mark.slow
def test_a_currency_that_only_the_app_knows_is_shown_in_minor_units(shop: Any) -> None:
    assert "90 COIN (minor)" in shop.process("list", "--uid", "ann").stdout
    with_app = shop.process("list", "--uid", "ann", "--app", "shop:make").stdout
    assert "90 COIN" in with_app
    assert "(minor)" not in with_app


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--uid", "bob"], ["waiting"]),
        (["--status", "stuck"], ["stuck"]),
        (["--status", "3", "--status", "insufficient-balance"], ["cancelled", "rejected"]),
        (["--stage", "created", "--stage", "paid"], ["abandoned", "waiting"]),
        (["--type", "2"], ["closed"]),
        (["--own-number", "A-1"], ["finished"]),
        (["--reference", "[R-9]"], ["closed"]),
        (["--needs-person"], ["closed", "stuck"]),
        (["--needs-person", "--status", "stuck"], ["stuck"]),
        (["--no-needs-person", "--type", "2"], []),
        (["--until", "2026-01-01"], []),
        (["--since", "1h", "--type", "2"], ["closed"]),
        (["--since", "2020-01-01T00:00:00+02:00", "--until", "1s", "--type", "9"], []),
    ],
)
def test_list_restricts(shop: Any, words: list[str], expected: list[str]) -> None:
    assert sorted(names(shop, *words)) == expected


def test_list_gives_pages_in_both_directions(shop: Any) -> None:
    whole = names(shop)
    assert len(whole) == len(shop.ids)
    assert names(shop, "--desc") == whole[::-1]
    first = shop.json("list", "--limit", "3")
    assert names(shop, "--limit", "1000", "--after", first["next"]) == whole[3:]
    assert shop.run("list", "--limit", "3").stdout.splitlines()[-1] == f"more: add --after {first['next']}"
    assert set(first["orders"][0]) == ORDER_KEYS


def test_list_says_that_there_is_nothing(shop: Any) -> None:
    assert shop.run("list", "--uid", "nobody").stdout == "no orders\n"
    assert shop.json("list", "--uid", "nobody") == {"orders": [], "next": None, "unreadable": []}


def test_an_order_that_cannot_be_read_is_named_beside_the_others(shop: Any) -> None:
    whole = names(shop)
    damaged = shop.ids["stuck"]
    shop.sql("UPDATE ow_orders_0 SET stage = 'teleporting' WHERE id = ?", damaged)
    listed = shop.json("list", "--limit", "1000")
    assert len(listed["orders"]) == len(whole) - 1
    assert [each["order_id"] for each in listed["unreadable"]] == [damaged]
    for words in (["list", "--limit", "1000"], ["stuck"]):
        told = shop.run(*words)
        assert (told.exit_code, told.stderr.count(f"order {damaged} cannot be read")) == (0, 1)
    shown = shop.run("show", damaged)
    assert (shown.exit_code, shown.stdout) == (4, "")
    assert f"error: order {damaged} cannot be read: 'teleporting' is unknown here" in shown.stderr
    retried = shop.run(
        "--app", "shop:make", "retry-now", "--all", "--status", "stuck", "--actor", "eve", "--reason", "x"
    )
    assert (retried.exit_code, f"order {damaged} cannot be read" in retried.stderr) == (4, True)
    assert "dry run" in retried.stdout, "what became of the others is summed up all the same"


def test_explain_tells_what_a_person_can_do(shop: Any) -> None:
    order_id = shop.ids["stuck"]
    out = shop.run("explain", order_id)
    assert out.exit_code == 0
    assert out.stdout.splitlines()[0] == f"order {order_id} is stuck"
    assert f"orderway resume {order_id} --actor YOU --reason WHY" in out.stdout
    document = shop.json("explain", order_id)
    assert set(document) == {"order_id", "stage", "status", "next", "at", "reasons", "advice"}
    assert document["stage"] == "stuck"


def test_explain_tells_who_serves_the_type_only_where_it_can_know(shop: Any) -> None:
    (shop.folder / "empty.py").write_text("from orderway import App\napp = App('sqlite:///orders.db')\n")
    sentence = "order type 1 is not registered here"
    assert sentence not in shop.run("explain", shop.ids["waiting"]).stdout
    assert sentence not in shop.run("explain", shop.ids["waiting"], "--app", "shop:make").stdout
    assert sentence in shop.run("explain", shop.ids["waiting"], "--app", "empty:app").stdout


def test_balance_and_statement(shop: Any) -> None:
    assert shop.run("balance", "ann", "CNY").stdout == "87.50 CNY\n"
    assert shop.json("balance", "ann", "CNY") == {"uid": "ann", "currency": "CNY", "balance_minor": 8750}
    assert shop.json("balance", "nobody", "CNY")["balance_minor"] == 0
    document = shop.json("statement", "ann", "CNY")
    assert [line["amount_minor"] for line in document["movements"]] == [10_000, -1250]
    assert [line["balance_minor"] for line in document["movements"]] == [10_000, 8750]
    assert set(document["movements"][0]) == {"key", "at", "amount_minor", "balance_minor", "memo"}
    assert document["next"] is None
    first = shop.json("statement", "ann", "CNY", "--limit", "1")
    assert first["movements"] == document["movements"][:1]
    following = shop.json("statement", "ann", "CNY", "--after", str(first["next"]))
    assert following["movements"] == document["movements"][1:]
    lines = shop.run("statement", "ann", "CNY", "--limit", "1").stdout.splitlines()
    assert "100.00 CNY" in lines[1]
    assert lines[-1] == f"more: add --after {first['next']}"
    assert shop.run("statement", "nobody", "CNY").stdout == "no movements\n"


def test_version(shop: Any) -> None:
    assert shop.run("version").stdout.startswith("orderway ")
    assert set(shop.json("version")) == {"orderway", "python"}


def test_global_options_may_stand_before_the_command(shop: Any) -> None:
    result = shop.run("--json", "--url", "sqlite:///orders.db", "list", "--uid", "bob")
    assert [order["id"] for order in json.loads(result.stdout)["orders"]] == [shop.ids["waiting"]]


def test_the_environment_names_the_database(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (shop.folder / "orders.db").rename(shop.folder / "other.db")
    for side in ("-wal", "-shm"):
        if (shop.folder / f"orders.db{side}").exists():
            (shop.folder / f"orders.db{side}").rename(shop.folder / f"other.db{side}")
    assert shop.run("list").exit_code == 4
    monkeypatch.setenv("ORDERWAY_URL", "sqlite:///other.db")
    assert names(shop, "--uid", "bob") == ["waiting"]


def test_looking_changes_nothing(shop: Any) -> None:
    before = shop.json("list")
    for name in shop.ids:
        assert shop.run("explain", shop.ids[name]).exit_code == 0
        assert shop.run("show", shop.ids[name], "--app", "shop:make").exit_code == 0
    assert shop.run("verify").exit_code == 0
    assert shop.json("list") == before
