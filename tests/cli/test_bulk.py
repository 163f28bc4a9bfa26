"""--all: a dry run first, then one result an order."""

from __future__ import annotations

import json
from typing import Any

import pytest

SIGNED = ("--actor", "mia", "--reason", "recall 7")
APP = ("--app", "shop:make")


def verdicts(till: Any, lines: list[Any]) -> dict[str, str]:
    """What became of which order, by name; of the lines before the summary."""
    by_id = {order_id: name for name, order_id in till.ids.items()}
    return {by_id[line["order_id"]]: line["result"] for line in lines[:-1]}


def test_without_yes_it_is_a_dry_run(till: Any) -> None:
    before = till.json("list")
    out = till.run("cancel", "--all", "--type", "1", *SIGNED, *APP)
    assert out.exit_code == 0, out.output
    lines = out.stdout.splitlines()
    assert len(lines) == 7
    assert f"{till.ids['waiting']}  created     cancelled" in lines
    refused = next(line for line in lines if line.startswith(till.ids["toy"]))
    assert "  finished    refused: " in refused
    assert "Toy has no take_back hook" in refused
    assert lines[-2] == "5 orders: 3 refused, 2 cancelled"
    assert lines[-1] == "this was a dry run, nothing was done: add --yes to do it"
    assert till.json("list") == before


def test_with_yes_each_order_has_its_result(till: Any) -> None:
    words = ["cancel", "--all", "--type", "1", "--yes", *SIGNED, *APP]
    out = till.run(*words)
    assert out.exit_code == 5, "some were refused"
    assert out.stdout.splitlines()[-1] == "5 orders: 3 refused, 2 cancelled"
    assert till.last("waiting")["reason"] == "recall 7"
    assert [till.order(name)["stage"] for name in ("waiting", "odd")] == ["cancelling", "cancelling"]
    assert till.order("toy")["stage"] == "finished"
    again = till.lines(*words)
    assert verdicts(till, again)["waiting"] == "unchanged"


def test_json_is_one_document_a_line_and_a_summary(till: Any) -> None:
    dry = till.lines("hold", "--all", "--uid", "ann", *SIGNED)
    assert verdicts(till, dry) == {
        "toy": "refused",
        "parcel": "refused",
        "mixed": "refused",
        "lost": "unchanged",
        "thirteen": "held",
    }
    assert dry[-1] == {"summary": {"orders": 5, "dry_run": True, "held": 1, "unchanged": 1, "refused": 3}}
    done = till.lines("hold", "--all", "--uid", "ann", "--stage", "paid", "--yes", *SIGNED)
    assert done[0] == {
        "order_id": till.ids["thirteen"],
        "stage": "paid",
        "result": "held",
        "stage_after": "failing",
        "error": None,
    }
    assert done[1] == {"summary": {"orders": 1, "dry_run": False, "held": 1, "unchanged": 0, "refused": 0}}
    refused = next(line for line in dry if line.get("result") == "refused")
    assert refused["stage_after"] is None
    assert refused["error"]["code"] == "illegal_transition"


def test_a_dry_run_says_what_really_happens(till: Any) -> None:
    for words in (
        ["refund", "--all", "5.00CNY", "--since", "1h", "--key", "sorry"],
        ["refund", "--all", "--since", "1h", "--key", "rest"],
        ["hold", "--all", "--since", "1h"],
        ["resume", "--all", "--since", "1h"],
        ["cancel", "--all", "--since", "1h"],
    ):
        foretold = verdicts(till, till.lines(*words, *SIGNED, *APP))
        assert foretold == verdicts(till, till.lines(*words, "--yes", *SIGNED, *APP)), words
        assert len(foretold) == len(till.ids)


def test_resume_of_all_that_needs_a_person(till: Any) -> None:
    done = till.lines("resume", "--all", "--needs-person", "--yes", *SIGNED)
    assert verdicts(till, done) == {"lost": "resumed", "odd": "resumed"}
    assert till.order("lost")["stage"] == "paid"


def test_refund_of_all_gives_the_same_amount_to_each(till: Any) -> None:
    chosen = ("--all", "--status", "finished", "--type", "1")
    out = till.run("refund", *chosen, "5.00CNY", "--yes", "--key", "sorry", *SIGNED)
    assert out.exit_code == 0, out.output
    assert out.stdout.splitlines()[-1] == "3 orders: 3 refunded"
    assert [till.order(name)["refunds"][0]["amount_minor"] for name in ("toy", "cursed", "own")] == [500, 500, 500]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "give the ID of one order, or --all"),
        (["--all"], "--all wants at least one option that chooses orders"),
        (["--all", "--yes"], "--all wants at least one option that chooses orders"),
        (["ID", "--all", "--uid", "ann"], "give the ID of one order, or --all"),
        (["ID", "--yes"], "belong to --all, not to one ID"),
        (["ID", "--uid", "ann"], "belong to --all, not to one ID"),
        (["--uid", "ann"], "give the ID of one order, or --all"),
    ],
)
def test_one_order_or_a_choice_of_them(till: Any, words: list[str], sentence: str) -> None:
    before = till.json("list")
    out = till.run("cancel", *[till.ids["waiting"] if word == "ID" else word for word in words], *SIGNED, *APP)
    assert (out.exit_code, sentence in out.stderr) == (2, True), out.output
    assert till.json("list") == before


def test_nothing_chosen_is_nothing_done(till: Any) -> None:
    out = till.run("cancel", "--all", "--uid", "nobody", "--yes", *SIGNED)
    assert (out.exit_code, out.stdout) == (0, "0 orders: none\n")


@pytest.mark.slow
def test_a_real_process_holds_and_resumes_a_page_of_orders(till: Any) -> None:
    held = till.process("hold", "--all", "--stage", "paid", "--stage", "created", "--yes", *SIGNED, "--json")
    assert held.returncode == 0, held.stderr
    assert json.loads(held.stdout.splitlines()[-1])["summary"]["held"] == 3
    resumed = till.process("resume", "--all", "--stage", "failing", "--yes", *SIGNED)
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout.splitlines()[-1] == "4 orders: 4 resumed"
