"""Judge what a shop has left behind, by reading its databases; knows nothing of the package that wrote them.

    python auditor.py FOLDER        # reads manifest.json, orders.db, shop.db and bank.db there

Prints one sentence for each thing that is wrong, and ends with 1 if there is any. Standard library only.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

FINAL = {"finished", "cancelled", "rejected", "closed", "stuck"}
GOT = {"paid", "unexpected"}
NEVER_PAID = {"rejected", "cancelled", "closed"}


class Books:
    """The rows of a folder's databases.

    Args:
        folder: where they are.
    """

    def __init__(self, folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_text())
        self.currency: str = manifest["currency"]
        self.top_ups: list[dict[str, Any]] = manifest["top_ups"]
        self.expected = {order["own_number"]: order for order in manifest["orders"]}
        self.orders = list(_rows(folder / "orders.db", "ow_orders"))
        self.legs = list(_rows(folder / "orders.db", "ow_legs"))
        self.journal = list(_rows(folder / "orders.db", "ow_journal"))
        self.accounts = list(_rows(folder / "orders.db", "ow_accounts"))
        self.postings = list(_rows(folder / "orders.db", "ow_postings"))
        self.lines = list(_rows(folder / "orders.db", "ow_lines"))
        self.goods = Counter(row["own_number"] for row in _rows(folder / "orders.db", "goods"))
        self.shop_goods = Counter(row["own_number"] for row in _rows(folder / "shop.db", "goods"))
        self.captures = list(_rows(folder / "bank.db", "captures"))


def audit(folder: Path) -> list[str]:
    """Everything that is wrong, in sentences; an empty list if nothing is."""
    books = Books(folder)
    checks = (_orders, _deliveries, _payments, _wallets, _ledger, _journals)
    return [problem for check in checks for problem in check(books)]


def _orders(books: Books) -> Iterator[str]:
    """Each order of the manifest once, at its end, and no other."""
    found = Counter(row["own_number"] for row in books.orders)
    for number in books.expected.keys() | found.keys():
        if found[number] != (number in books.expected):
            yield f"order {number} is there {found[number]} times"
    for row in books.orders:
        expected = books.expected.get(row["own_number"], {})
        if row["stage"] != expected.get("ends"):
            yield f"order {row['own_number']} is {row['stage']}, not {expected.get('ends')}"
        if row["stage"] in FINAL and (row["due_at_us"] is not None or row["holder"] is not None):
            yield f"order {row['own_number']} is {row['stage']} and still due or held"
        if row["uid"] != expected.get("uid") or row["amount_minor"] != expected.get("price_minor"):
            yield f"order {row['own_number']} is another one: {row['uid']}, {row['amount_minor']}"


def _deliveries(books: Books) -> Iterator[str]:
    """The goods of a finished order once, of any other order never, and each kind where it belongs."""
    for number, expected in books.expected.items():
        in_shop = expected["kind"] == "receipt"
        right, wrong = (books.shop_goods, books.goods) if in_shop else (books.goods, books.shop_goods)
        due = int(expected["ends"] == "finished")
        if right[number] != due or wrong[number]:
            yield f"order {number} was delivered {right[number] + wrong[number]} times, {due} expected"
    for number in (books.goods | books.shop_goods).keys() - books.expected.keys():
        yield f"something was delivered for {number}, which nobody ordered"


def _payments(books: Books) -> Iterator[str]:
    """A finished order is paid in full, once; what the bank took is in the legs, and nothing else is."""
    for row in books.orders:
        legs = [leg for leg in books.legs if leg["order_id"] == row["id"]]
        got = sum(leg["captured_minor"] for leg in legs if leg["state"] in GOT)
        due = row["amount_minor"] if row["stage"] == "finished" else 0
        if got != due:
            yield f"order {row['own_number']} is {row['stage']} and {got} was paid, {due} expected"
        if row["pay_status"] != int(bool(got)):
            yield f"order {row['own_number']} has pay_status {row['pay_status']} with {got} paid"
    kept = Counter((leg["reference"], leg["captured_minor"]) for leg in books.legs if leg["channel"] == "bank")
    kept = Counter({leg: count for leg, count in kept.items() if leg[1]})
    taken = Counter((capture["reference"], capture["amount_minor"]) for capture in books.captures)
    for leg in (taken - kept) + (kept - taken):
        yield f"bank payment {leg}: taken {taken[leg]} times, kept {kept[leg]} times"


def _wallets(books: Books) -> Iterator[str]:
    """A balance is the top-ups less the prices of the finished orders that were paid from it."""
    balances: Counter[str] = Counter()
    for top_up in books.top_ups:
        balances[top_up["uid"]] += top_up["amount_minor"]
    for order in books.expected.values():
        if order["pay"] == "wallet" and order["ends"] == "finished":
            balances[order["uid"]] -= order["price_minor"]
    found = {row["uid"]: row["balance_minor"] for row in books.accounts if row["currency"] == books.currency}
    for uid in balances.keys() | found.keys():
        if found.get(uid, 0) != balances[uid]:
            yield f"the wallet of {uid} holds {found.get(uid, 0)}, {balances[uid]} expected"


def _ledger(books: Books) -> Iterator[str]:
    """Each posting adds up to zero; an account is the sum of its lines; movements are gapless."""
    for key in {(line["uid"], line["key"]) for line in books.lines}:
        total = sum(line["amount_minor"] for line in books.lines if (line["uid"], line["key"]) == key)
        if total:
            yield f"the lines of posting {key} add up to {total}"
    for account in books.accounts:
        uid = account["uid"]
        mine = [line["amount_minor"] for line in books.lines if line["uid"] == uid and line["account"] == "wallet"]
        if sum(mine) != account["balance_minor"]:
            yield f"the lines of {uid}'s wallet add up to {sum(mine)}, its balance is {account['balance_minor']}"
        moves = [row for row in books.postings if row["uid"] == uid and row["movement"] is not None]
        moves.sort(key=lambda row: row["movement"])
        balance = 0
        for number, move in enumerate(moves, 1):
            balance += move["moved_minor"]
            if move["movement"] != number or move["balance_minor"] != balance:
                yield f"movement {number} of {uid}'s wallet is {move['movement']} with {move['balance_minor']}"


def _journals(books: Books) -> Iterator[str]:
    """Versions without a gap, digests as the stored text gives them, the row at the journal's end."""
    rows = {row["id"]: row for row in books.orders}
    journals: dict[str, list[dict[str, Any]]] = {order_id: [] for order_id in rows}
    for entry in books.journal:
        journals.setdefault(entry["order_id"], []).append(entry)
    for order_id, entries in journals.items():
        row = rows.get(order_id)
        if row is None:
            yield f"there is a journal of order {order_id}, and no order"
            continue
        number, digest = row["own_number"], ""
        entries.sort(key=lambda entry: entry["version"])
        if [entry["version"] for entry in entries] != list(range(1, row["version"] + 1)):
            yield f"the journal of {number} has versions {[entry['version'] for entry in entries]}"
        for entry in entries:
            text = "\n".join(
                [digest, order_id] + [str(entry[name]) for name in ("version", "fact", "at_us", "write_id", "body")]
            )
            digest = sha256(text.encode()).hexdigest()
            if digest != entry["digest"]:
                yield f"entry {entry['version']} of {number} was altered"
            private = json.loads(entry["body"]).get("private")
            if entry["private"] is not None and sha256(entry["private"].encode()).hexdigest() != private:
                yield f"the private part of entry {entry['version']} of {number} was altered"
        if row["digest"] != digest:
            yield f"order {number} is not at the end of its journal"
        yield from _facts(number, row, Counter(entry["fact"] for entry in entries))


def _facts(number: str, row: dict[str, Any], facts: Counter[str]) -> Iterator[str]:
    finished = row["stage"] == "finished"
    wanted = {
        "Created": 1,
        "Delivered": int(finished),
        "Finished": int(finished),
        "Paid": int(finished and row["amount_minor"] > 0),
        "Ended": int(row["stage"] in NEVER_PAID),
    }
    for fact, count in wanted.items():
        if facts[fact] != count:
            yield f"the journal of {number} says {fact} {facts[fact]} times, {count} expected"


def _rows(path: Path, table: str) -> Iterator[dict[str, Any]]:
    """The rows of a table, or of its parts in all shards."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    try:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in names:
            if name == table or (name.startswith(f"{table}_") and name[len(table) + 1 :].isdigit()):
                yield from map(dict, connection.execute(f"SELECT * FROM {name}"))
    finally:
        connection.close()


if __name__ == "__main__":
    problems = audit(Path(sys.argv[1]))
    print("\n".join(problems) or "nothing is lost and nothing is doubled")  # noqa: T201 - this is its answer
    sys.exit(bool(problems))
