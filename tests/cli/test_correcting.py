"""amend, skip, accept."""

from __future__ import annotations

from typing import Any

import pytest

SIGNED = ("--actor", "mia", "--reason", "typo")
APP = ("--app", "shop:make")


def test_amend_corrects_the_data_and_keeps_what_it_was(till: Any) -> None:
    order_id = till.ids["lost"]
    out = till.run("amend", order_id, "--data", '{"street": "Hill Road", "floor": 0}', *SIGNED, *APP)
    assert out.exit_code == 0, out.output
    entry = till.last("lost")
    assert (entry["fact"], entry["actor"], entry["reason"]) == ("Amended", "mia", "typo")
    assert entry["fields"]["before"] == {"street": "nowhere", "floor": 0}
    assert entry["fields"]["data"] == {"street": "Hill Road", "floor": 0}
    line = next(line for line in till.run("show", order_id).stdout.splitlines() if " Amended " in line)
    assert line.endswith('  street: "nowhere" -> "Hill Road"  [mia: typo]')
    assert till.run("resume", order_id, *SIGNED).exit_code == 0
    assert till.run("forward", order_id, *APP).exit_code == 0
    assert till.order("lost")["stage"] == "finished"


def test_amend_reads_a_file(till: Any) -> None:
    (till.folder / "new.json").write_text('{"street": "书", "floor": 1}')
    words = ["amend", till.ids["lost"], "--data", "@new.json", *SIGNED, *APP]
    assert till.json(*words)["order"]["data"] == {"floor": 1, "street": "书"}
    assert till.json(*words)["order"]["version"] == 5, "asked again, nothing is done"


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ("{", "JSON, or @FILE, is expected"),
        ("@missing.json", "No such file"),
        ('{"street": NaN}', "JSON has no NaN"),
        ('{"town": "x"}', "is not as Parcel wants it"),
    ],
)
def test_amend_refuses_data_that_cannot_be(till: Any, data: str, sentence: str) -> None:
    out = till.run("amend", till.ids["lost"], "--data", data, *SIGNED, *APP)
    assert (out.exit_code, sentence in out.stderr) == (2, True), out.output
    assert till.last("lost")["fact"] == "Ended"


def test_amend_needs_the_business(till: Any) -> None:
    out = till.run("amend", till.ids["lost"], "--data", "{}", *SIGNED)
    assert out.exit_code == 4
    assert "has the order's business check the data, so it needs your App: give --app" in out.stderr


def test_skip_leaves_a_step_out(till: Any) -> None:
    order_id = till.ids["thirteen"]
    out = till.run("skip", order_id, "insure", "--result", '{"policy": null}', *SIGNED)
    assert out.exit_code == 0, out.output
    assert till.order("thirteen")["steps"]["insure"] == {"policy": None}
    assert 'insure, skipped with the result {"policy":null}  [mia: typo]' in till.run("show", order_id).stdout
    assert till.run("forward", order_id, *APP).exit_code == 0
    assert till.order("thirteen")["stage"] == "finished"
    refused = till.run("skip", order_id, "ship", *SIGNED)
    assert (refused.exit_code, "StepDone is not allowed there" in refused.stderr) == (5, True)


def test_accept_settles_unexpected_money(till: Any) -> None:
    order_id = till.ids["odd"]
    assert till.run("accept", order_id, "1", *SIGNED).exit_code == 0
    assert till.last("odd")["fact"] == "UnexpectedAccepted"
    assert "a person has accepted it" in till.run("explain", order_id).stdout
    assert till.run("accept", order_id, "1", *SIGNED).exit_code == 0
    refused = till.run("accept", order_id, "0", *SIGNED)
    assert (refused.exit_code, "holds no unexpected money" in refused.stderr) == (5, True)
