"""verify: exit codes, sentences, JSON, checkpoints."""

from __future__ import annotations

from typing import Any

KEYS = {
    "ok", "orders", "entries", "erased", "in_flight", "compared", "found", "findings", "books", "checkpoint",
}  # fmt: skip


def test_a_shop_in_order(shop: Any) -> None:
    out = shop.run("verify")
    assert out.exit_code == 0
    assert out.stdout.splitlines()[0].startswith(f"{len(shop.ids)} orders with ")
    assert out.stdout.splitlines()[-1] == "all is well"
    document = shop.json("verify")
    assert set(document) == KEYS
    assert (document["ok"], document["orders"], document["findings"]) == (True, len(shop.ids), [])
    assert document["books"]["CNY"] == {"wallet": 8750, "house:funding": -10_000, "house:sales": 1250}
    assert document["checkpoint"] is None


def test_findings_are_sentences_and_exit_code_1(shop: Any) -> None:
    shop.sql("UPDATE ow_orders_0 SET remark = '[bold]\x1b[31m' WHERE id = ?", shop.ids["free"])
    out = shop.run("verify")
    assert out.exit_code == 1
    sentence = next(line for line in out.stdout.splitlines() if line.startswith("wrong: "))
    assert sentence.startswith(f"wrong: order {shop.ids['free']}: the row's remark is '[bold]")
    assert "\x1b" not in out.stdout
    assert out.stdout.splitlines()[-1] == "1 finding"
    result = shop.run("verify", "--json")
    assert result.exit_code == 1
    assert shop.json("verify")["found"] == 1


def test_a_checkpoint_is_written_compared_and_refused_when_damaged(shop: Any) -> None:
    path = shop.folder / "checkpoint.jsonl"
    out = shop.run("verify", "--write", "checkpoint.jsonl")
    assert out.exit_code == 0
    assert f"checkpoint of {len(shop.ids)} orders written to checkpoint.jsonl" in out.stdout
    document = shop.json("verify", "--compare", "checkpoint.jsonl", "--write", "second.jsonl")
    assert document["compared"] == len(shop.ids)
    assert document["checkpoint"] == {"path": "second.jsonl", "orders": len(shop.ids)}
    shop.sql("DELETE FROM ow_orders_0 WHERE id = ?", shop.ids["free"])
    shop.sql("DELETE FROM ow_journal_0 WHERE order_id = ?", shop.ids["free"])
    assert shop.run("verify").exit_code == 0, "without a checkpoint, nobody misses it"
    out = shop.run("verify", "--compare", "checkpoint.jsonl")
    assert out.exit_code == 1
    assert f"wrong: order {shop.ids['free']} is missing" in out.stdout
    path.write_text(path.read_text()[:-30])
    out = shop.run("verify", "--compare", "checkpoint.jsonl")
    assert (out.exit_code, "was cut short" in out.stderr) == (2, True)


def test_no_checkpoint_blesses_what_is_wrong(shop: Any) -> None:
    shop.sql("UPDATE ow_orders_0 SET remark = 'x' WHERE id = ?", shop.ids["free"])
    out = shop.run("verify", "--write", "checkpoint.jsonl")
    assert out.exit_code == 1
    assert "no checkpoint was written" in out.stdout
    assert shop.json("verify", "--write", "checkpoint.jsonl")["checkpoint"] == {
        "path": "checkpoint.jsonl",
        "orders": None,
    }
    assert not list(shop.folder.glob("checkpoint*"))
