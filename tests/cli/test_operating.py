"""cancel, refund, resume and hold of one order."""

from __future__ import annotations

from typing import Any

import pytest

SIGNED = ("--actor", "mia", "--reason", "she rang")
APP = ("--app", "shop:make")


def refunds(till: Any, name: str) -> list[tuple[int, int, str]]:
    """The refunds of an order: of which leg, how much, in which state."""
    return [(each["leg"], each["amount_minor"], each["state"]) for each in till.order(name)["refunds"]]


def test_cancel_ends_an_unpaid_order_and_says_who_and_why(till: Any) -> None:
    order_id = till.ids["waiting"]
    out = till.run("cancel", order_id, *SIGNED)
    assert out.exit_code == 0, out.output
    assert out.stdout.splitlines()[0] == f"order {order_id} is cancelling"
    entry = till.last("waiting")
    assert (entry["fact"], entry["actor"], entry["reason"]) == ("Cancelled", "mia", "she rang")
    again = till.json("cancel", order_id, *SIGNED)
    assert again["order"]["version"] == 2, "asked again, nothing is done"
    assert till.run("forward", order_id, *APP).exit_code == 0
    assert till.order("waiting")["stage"] == "cancelled"


def test_cancel_releases_what_is_held(till: Any) -> None:
    assert till.run("cancel", till.ids["held"], *SIGNED, *APP).exit_code == 0
    text = till.run("show", till.ids["held"]).stdout
    assert "closing" in text
    assert till.run("forward", till.ids["held"], *APP).exit_code == 0
    assert [leg["state"] for leg in till.order("held")["legs"]] == ["released", "closed"]
    assert till.json("balance", "slow", "CNY")["balance_minor"] == 10_000
    assert "leg 0: its hold went back to the payer" in till.run("show", till.ids["held"]).stdout


def test_cancel_after_delivery_needs_the_business_and_its_hook(till: Any) -> None:
    without = till.run("cancel", till.ids["parcel"], *SIGNED)
    assert without.exit_code == 4
    assert "whether its goods can be taken back is for its business to say" in without.stderr
    assert "give --app module:attribute, or set ORDERWAY_APP" in without.stderr
    hookless = till.run("cancel", till.ids["toy"], *SIGNED, *APP)
    assert (hookless.exit_code, "Toy has no take_back hook" in hookless.stderr) == (5, True)
    taken = till.run("cancel", till.ids["parcel"], *SIGNED, *APP)
    assert taken.stdout.splitlines()[0].endswith("is returning")
    assert till.run("forward", till.ids["parcel"], *APP).exit_code == 0
    assert till.order("parcel")["stage"] == "refunded"
    assert refunds(till, "parcel") == [(0, 2000, "returned")]


def test_refund_of_a_part_is_reserved_then_sent(till: Any) -> None:
    words = ["refund", till.ids["toy"], "5.00CNY", "--key", "r1", *SIGNED]
    out = till.run(*words)
    assert out.exit_code == 0, out.output
    assert "because refund 1, 5.00 CNY through scripted, is reserved, and sent next; it is tried until" in out.stdout
    assert refunds(till, "toy") == [(0, 500, "reserved")]
    assert till.run("forward", till.ids["toy"], *APP).exit_code == 0
    assert refunds(till, "toy") == [(0, 500, "returned")]
    assert till.order("toy")["refunded_minor"] == 500
    before = till.order("toy")["version"]
    assert till.json(*words)["order"]["version"] == before, "the same key gives nothing twice"
    reused = till.run("refund", till.ids["toy"], "6 CNY", "--key", "r1", *SIGNED)
    assert (reused.exit_code, "use another key" in reused.stderr) == (5, True)


def test_refund_says_what_is_left(till: Any) -> None:
    out = till.run("refund", till.ids["toy"], "20.01CNY", "--key", "r1", *SIGNED)
    assert out.exit_code == 5
    assert "20.00 CNY can go back, 20.01 CNY was asked for" in out.stderr
    assert till.json("refund", till.ids["waiting"], "--key", "r1", *SIGNED)["error"]["code"] == "refund_exceeds_payment"


@pytest.mark.parametrize(
    ("amount", "sentence"),
    [
        ("5.00", "12.50CNY or '12.50 CNY'"),
        ("-5.00CNY", "No such option"),
        ("5.001CNY", "CNY has 2 decimals"),
        ("5.00USD", "is in CNY, a refund of 5.00 USD is not"),
        ("5SHELLS", "where your App defines it, give --app"),
        ("0CNY", "a refund is more than 0"),
    ],
)
def test_refund_of_an_amount_that_cannot_be(till: Any, amount: str, sentence: str) -> None:
    out = till.run("refund", till.ids["toy"], amount, "--key", "r1", *SIGNED)
    assert (out.exit_code, sentence in out.stderr) == (2, True), out.output
    assert refunds(till, "toy") == []


def test_refund_over_several_legs_is_spread_as_its_type_or_the_operator_says(till: Any) -> None:
    words = ["refund", till.ids["mixed"], "10.00CNY", "--key", "r1", *SIGNED]
    unknown = till.run(*words)
    assert unknown.exit_code == 4
    assert "give --by reverse or --by ratio, or --leg" in unknown.stderr
    assert till.run(*words, *APP).exit_code == 0
    assert refunds(till, "mixed") == [(0, 150, "reserved"), (1, 250, "reserved"), (2, 600, "reserved")]
    last = till.run("refund", till.ids["mixed"], "6.00CNY", "--key", "r2", "--by", "reverse", *SIGNED)
    assert last.exit_code == 0, last.output
    assert refunds(till, "mixed")[3:] == [(2, 600, "reserved")]
    one = till.run("refund", till.ids["mixed"], "50POINTS", "--leg", "0", "--key", "r3", *SIGNED, *APP)
    assert one.exit_code == 0, one.output
    rest = till.run("refund", till.ids["mixed"], "--key", "r4", *SIGNED)
    assert rest.exit_code == 0, "all that is left need not be spread"
    assert till.run("forward", till.ids["mixed"], *APP).exit_code == 0
    assert till.order("mixed")["stage"] == "refunded"
    assert till.json("balance", "ann", "POINTS")["balance_minor"] == 900
    assert till.json("balance", "ann", "CNY")["balance_minor"] == 10_000


def test_a_refused_refund_is_explained_with_what_to_do(till: Any) -> None:
    assert till.run("refund", till.ids["cursed"], "--key", "r1", *SIGNED).exit_code == 0
    out = till.run("forward", till.ids["cursed"], *APP)
    assert "was refused for good: its money is with us" in out.stdout
    assert f"orderway refund {till.ids['cursed']} --leg 0 --key again-2 --actor YOU --reason WHY" in out.stdout
    text = till.run("show", till.ids["cursed"]).stdout
    assert next(line for line in text.splitlines() if " RefundRefused " in line).endswith("leg 0, 20.00 CNY: no")


def test_unexpected_money_goes_back_from_its_leg(till: Any) -> None:
    words = ["refund", till.ids["odd"], "--leg", "1", "--key", "back", *SIGNED]
    assert till.run(*words).exit_code == 0
    out = till.run("explain", till.ids["odd"])
    assert (
        "19.00 CNY came through gateway and was not asked for so (leg 1, reference short-1); it goes back" in out.stdout
    )
    assert "is yours to pay out" in out.stdout
    assert refunds(till, "odd") == [(1, 1900, "reserved")]


def test_hold_stops_an_order_until_it_is_resumed(till: Any) -> None:
    order_id = till.ids["thirteen"]
    held = till.run("hold", order_id, *SIGNED)
    assert held.exit_code == 0, held.output
    assert "why: held_by_operator (a person holds it); it would go on from paid" in held.stdout
    assert till.json("hold", order_id, *SIGNED)["order"]["version"] == till.order("thirteen")["version"]
    assert till.run("resume", order_id, *SIGNED).exit_code == 0
    assert till.order("thirteen")["stage"] == "paid"
    assert till.run("resume", order_id, *SIGNED).exit_code == 5
    finished = till.run("hold", till.ids["toy"], *SIGNED)
    assert (finished.exit_code, "Stuck is not allowed there, only" in finished.stderr) == (5, True)


@pytest.mark.parametrize("name", ["cancel", "refund", "resume", "hold", "amend", "skip", "accept", "confirm-payment"])
def test_every_action_asks_who_and_why(till: Any, name: str) -> None:
    rest = {
        "refund": ["--key", "k"],
        "amend": ["--data", "{}"],
        "skip": ["pack"],
        "accept": ["0"],
        "confirm-payment": ["20.00CNY", "--reference", "x"],
    }.get(name, [])
    before = till.order("waiting")
    for who in (["--actor", "mia"], ["--reason", "x"], ["--actor", " ", "--reason", "x"]):
        out = till.run(name, till.ids["waiting"], *rest, *who, *APP)
        assert out.exit_code == 2, out.output
        assert "actor" in out.stderr or "--reason" in out.stderr
    assert till.order("waiting") == before
