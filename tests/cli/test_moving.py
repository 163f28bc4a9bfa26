"""forward, resume of one order, hint, sweep."""

from __future__ import annotations

from typing import Any

import pytest


def stage(shop: Any, name: str) -> str:
    return str(shop.json("show", shop.ids[name])["order"]["stage"])


def test_forward_carries_one_order_on(shop: Any) -> None:
    shop.sql("DELETE FROM ow_workers")  # whoever held the order is known to be dead
    out = shop.run("forward", shop.ids["abandoned"], "--app", "shop:make")
    assert out.exit_code == 0, out.output
    assert out.stdout.splitlines()[0] == f"order {shop.ids['abandoned']} is finished"
    assert stage(shop, "waiting") == "created", "nothing else is moved"


def test_forward_of_a_held_order_says_who_has_it(shop: Any) -> None:
    out = shop.run("forward", shop.ids["abandoned"], "--app", "shop:make")
    assert out.exit_code == 0, out.output
    assert "is carrying it right now" in out.stdout
    assert shop.json("forward", shop.ids["finished"], "--app", "shop:make")["order"]["stage"] == "finished"


def test_forward_and_sweep_need_an_app(shop: Any) -> None:
    for words in (["forward", shop.ids["abandoned"]], ["sweep"]):
        out = shop.run(*words)
        assert out.exit_code == 4
        assert "give --app module:attribute, or set ORDERWAY_APP" in out.stderr


def test_sweep_takes_over_what_a_dead_worker_has_left(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERWAY_APP", "shop:Holder.make")
    assert shop.run("hint", shop.ids["abandoned"]).exit_code == 0
    counts = shop.json("sweep")
    assert set(counts) == {"looked_at", "due", "by_status"}
    assert counts["looked_at"] == 1
    assert counts["by_status"]["stuck"] == 1
    assert stage(shop, "abandoned") == "finished"
    again = shop.run("sweep")
    assert again.stdout.startswith("0 orders were looked at, 0 due still\norders now: 1 forwarding, ")


def test_resume_is_journaled_and_then_refused(shop: Any) -> None:
    words = ["resume", shop.ids["stuck"], "--actor", "mia", "--reason", "the boss said yes"]
    out = shop.run(*words)
    assert out.exit_code == 0, out.output
    document = shop.json("show", shop.ids["stuck"])
    assert document["order"]["stage"] == "created"
    entry = document["journal"][-1]
    assert (entry["fact"], entry["actor"], entry["reason"]) == ("Resumed", "mia", "the boss said yes")
    assert "[mia: the boss said yes]" in shop.run("show", shop.ids["stuck"]).stdout
    refused = shop.run(*words)
    assert refused.exit_code == 5
    assert "only what is stuck can be resumed" in refused.stderr
    assert shop.json(*words)["error"] == {
        "code": "illegal_transition",
        "message": refused.stderr.removeprefix("error: ").strip(),
        "order_id": shop.ids["stuck"],
    }


def test_resume_asks_who_and_why(shop: Any) -> None:
    assert shop.run("resume", shop.ids["stuck"], "--actor", "mia").exit_code == 2
    assert shop.run("resume", shop.ids["stuck"], "--actor", " ", "--reason", "x").exit_code == 2
    assert stage(shop, "stuck") == "stuck"


def test_hint_makes_an_order_due(shop: Any) -> None:
    before = shop.json("show", shop.ids["waiting"])["order"]["due_at"]
    assert shop.json("hint", shop.ids["waiting"]) == {"order_id": shop.ids["waiting"], "hinted": True, "sent": None}
    assert shop.json("show", shop.ids["waiting"])["order"]["due_at"] < before
    assert shop.run("hint", shop.ids["waiting"]).stdout == "it is due now\n"
    assert shop.json("hint", shop.ids["finished"])["hinted"] is False
    assert shop.run("hint", shop.ids["finished"]).stdout == "nothing is due for it: it has come to its end\n"
