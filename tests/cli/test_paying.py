"""confirm-payment, change-payment, record-refund, parked, match."""

from __future__ import annotations

from typing import Any

SIGNED = ("--actor", "mia", "--reason", "seen on the statement")
APP = ("--app", "shop:make")
PARKED_KEYS = {
    "channel", "reference", "order_id", "key", "uid", "amount_minor", "currency", "at", "cause", "tries", "due_at",
}  # fmt: skip


def confirm(till: Any, name: str, amount: str, *words: str) -> Any:
    return till.run("confirm-payment", till.ids[name], amount, "--reference", "B-77", *words, *SIGNED)


def test_confirm_payment_records_it_on_a_persons_word(till: Any) -> None:
    out = confirm(till, "waiting", "20.00CNY", *APP)
    assert out.exit_code == 0, out.output
    entry = till.last("waiting")
    assert (entry["fact"], entry["actor"], entry["reason"]) == ("Paid", "mia", "seen on the statement")
    assert confirm(till, "waiting", "20.00CNY", *APP).exit_code == 0
    assert till.order("waiting")["version"] == 2, "the same payment is recorded once"
    assert till.run("forward", till.ids["waiting"], *APP).exit_code == 0
    assert till.order("waiting")["stage"] == "finished"


def test_confirm_payment_does_what_the_type_says_of_odd_payments(till: Any) -> None:
    without = confirm(till, "closed", "20.00CNY")
    assert without.exit_code == 4
    assert "what the order's business says of late and odd ones, so it needs your App" in without.stderr
    assert confirm(till, "waiting", "19.00CNY", *APP).exit_code == 0
    assert till.order("waiting")["needs_person"] is True
    (till.folder / "other.py").write_text("from orderway import App\napp = App('sqlite:///orders.db', sweep=False)\n")
    unserved = confirm(till, "closed", "20.00CNY", "--app", "other:app")
    assert (unserved.exit_code, "order type 3 is not registered here" in unserved.stderr) == (4, True)
    assert len(till.order("closed")["legs"]) == 1


def test_confirm_payment_asks_the_channel(till: Any) -> None:
    unpaid = confirm(till, "held", "15.00CNY", "--channel", "scripted", *APP)
    assert (unpaid.exit_code, "it was not paid there" in unpaid.stderr) == (2, True), unpaid.output
    other = confirm(till, "toy", "20.00CNY", "--channel", "scripted", *APP)
    assert (other.exit_code, "scripted knows of 20.00 CNY as 'S1-" in other.stderr) == (5, True), other.output
    missing = confirm(till, "toy", "20.00CNY", "--channel", "bank", *APP)
    assert (missing.exit_code, "no channel is called 'bank'" in missing.stderr) == (4, True)


def test_change_payment_closes_the_old_one(till: Any) -> None:
    out = till.run("change-payment", till.ids["held"], "gateway", "--actor", "mia")
    assert out.exit_code == 0, out.output
    assert "to be paid through gateway  [mia]" in till.run("show", till.ids["held"]).stdout
    assert [leg["state"] for leg in till.order("held")["legs"]] == ["held", "closing", "planned"]
    unknown = till.run("change-payment", till.ids["held"], "scripted", "--actor", "mia")
    assert unknown.exit_code == 4
    assert "Only the database was given, not your App: give --app" in unknown.stderr
    assert till.run("change-payment", till.ids["held"], "scripted", "--actor", "mia", *APP).exit_code == 0
    late = till.run("change-payment", till.ids["toy"], "gateway", "--actor", "mia")
    assert (late.exit_code, "only while it waits for its payment" in late.stderr) == (5, True)


def test_record_refund_tells_what_became_of_one_that_you_pay_out(till: Any) -> None:
    order_id = till.ids["own"]
    till.run("refund", order_id, "5.00CNY", "--key", "r1", *SIGNED)
    out = till.run("record-refund", order_id, "1", "--returned", "BANK-1", "--actor", "mia", "--cause", "slip 4")
    assert out.exit_code == 0, out.output
    assert till.order("own")["refunds"][0]["state"] == "returned"
    line = next(line for line in till.run("show", order_id).stdout.splitlines() if " Refunded " in line)
    assert line.endswith("refund 1 of leg 0, 5.00 CNY went back, reference BANK-1  [mia: cause slip 4]")
    assert till.run("record-refund", order_id, "1", "--refused", "no", "--actor", "mia").exit_code == 0
    assert till.order("own")["refunds"][0]["state"] == "returned", "what is known stays so"
    till.run("refund", order_id, "1.00CNY", "--key", "r2", *SIGNED)
    till.run("record-refund", order_id, "2", "--refused", "account closed", "--actor", "mia")
    assert [refund["state"] for refund in till.order("own")["refunds"]] == ["returned", "refused"]
    table = till.run("show", order_id).stdout.partition("\nrefunds\n")[2].splitlines()
    assert table[0].split() == ["refund", "leg", "state", "amount", "why", "key", "reference"]
    assert table[1].split() == ["1", "0", "returned", "5.00", "CNY", "requested", "r1", "BANK-1"]


def test_record_refund_wants_one_result(till: Any) -> None:
    for words in ([], ["--returned", "x", "--refused", "y"], ["--returned", " "]):
        out = till.run("record-refund", till.ids["own"], "1", *words, "--actor", "mia")
        assert (out.exit_code, "one of them" in out.stderr) == (2, True), out.output
    none = till.run("record-refund", till.ids["own"], "1", "--returned", "x", "--actor", "mia")
    assert (none.exit_code, "has 0 refunds" in none.stderr) == (2, True)


def test_parked_lists_payments_without_an_order(till: Any) -> None:
    lines = till.run("parked", *APP).stdout.splitlines()
    assert lines[0].split() == ["channel", "reference", "amount", "said", "to", "be", "for", "since"]
    assert "7.00 CNY" in lines[1]
    assert "5 POINTS" in lines[2]
    assert r"\x1b[31mhostile" in lines[2]
    document = till.json("parked", "--limit", "1")
    assert set(document["payments"][0]) == PARKED_KEYS
    assert (document["payments"][0]["amount_minor"], document["payments"][0]["cause"]) == (700, "notice 9")
    assert document["next"] == ["gateway", "lost 1"]
    assert till.run("parked", "--limit", "1").stdout.splitlines()[-1] == "more: add --after gateway 'lost 1'"
    following = till.json("parked", "--after", *document["next"])
    assert [payment["reference"] for payment in following["payments"]] == ["lost-2"]
    assert following["next"] is None


def test_match_records_a_parked_payment_with_an_order(till: Any) -> None:
    words = ["match", "gateway", "lost 1", till.ids["waiting"], *SIGNED]
    assert till.run(*words).exit_code == 4
    out = till.run(*words, *APP)
    assert out.exit_code == 0, out.output
    leg = till.order("waiting")["legs"][1]
    assert (leg["state"], leg["captured_minor"], leg["reference"]) == ("unexpected", 700, "lost 1")
    journal = till.json("show", till.ids["waiting"])["journal"]
    assert [(entry["fact"], entry["actor"], entry["cause"]) for entry in journal[1:]] == [
        ("UnexpectedPayment", "mia", "notice 9"),
        ("Stuck", "mia", "notice 9"),
    ]
    gone = till.run(*words, *APP)
    assert (gone.exit_code, "is parked: see" in gone.stderr) == (2, True)
    assert [payment["reference"] for payment in till.json("parked")["payments"]] == ["lost-2"]


def test_nothing_parked(shop: Any) -> None:
    assert shop.run("parked").stdout == "no parked payments\n"
    assert shop.json("parked") == {"payments": [], "next": None}
