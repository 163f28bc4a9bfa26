"""Judge what a shop has left behind, by reading its databases; knows nothing of the package that wrote them.

    python auditor.py FOLDER        # reads manifest.json, orders.db, shop.db and bank.db there

The manifest may name another database of the orders than orders.db. Prints one sentence for each thing that is wrong,
and ends with 1 if there is any. Standard library and the databases' drivers only.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from manifest import orders_url
from order_database import open_database

FINAL = {"finished", "cancelled", "rejected", "closed", "refunded", "stuck"}
PAID = {"finished", "refunded"}
UNPAID_LEGS = {"declined", "closed", "released", "planned"}
WALLETS = {"wallet", "points"}


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
        orders = _tables(orders_url(folder))
        shop, bank = (_tables(f"sqlite:///{folder / name}") for name in ("shop.db", "bank.db"))
        self.orders = orders["ow_orders"]
        self.legs = orders["ow_legs"]
        self.journal = orders["ow_journal"]
        self.accounts = orders["ow_accounts"]
        self.postings = orders["ow_postings"]
        self.lines = orders["ow_lines"]
        self.goods = Counter(row["own_number"] for row in orders["goods"])
        self.came_back = Counter(row["own_number"] for row in orders["came_back"])
        self.shop_goods = Counter(row["own_number"] for row in shop["goods"])
        self.captures = bank["captures"]
        self.bank_payments = bank["payments"]
        self.bank_refunds = bank["refunds"]

    def legs_of(self, order_id: str) -> list[dict[str, Any]]:
        """The legs of an order, in their order."""
        return sorted((leg for leg in self.legs if leg["order_id"] == order_id), key=lambda leg: leg["number"])


def audit(folder: Path) -> list[str]:
    """Everything that is wrong, in sentences; an empty list if nothing is."""
    books = Books(folder)
    checks = (_orders, _deliveries, _payments, _refunds, _bank, _wallets, _house, _ledger, _journals)
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
    """The goods of a paid order once, of any other order never, and each kind where it belongs; taken back once."""
    for number, expected in books.expected.items():
        in_shop = expected["kind"] == "receipt"
        right, wrong = (books.shop_goods, books.goods) if in_shop else (books.goods, books.shop_goods)
        due = int(expected["ends"] in PAID)
        if right[number] != due or wrong[number]:
            yield f"order {number} was delivered {right[number] + wrong[number]} times, {due} expected"
        if books.came_back[number] != int(expected["ends"] == "refunded"):
            yield f"order {number} is to end as {expected['ends']}, and came back {books.came_back[number]} times"
    for number in (books.goods | books.shop_goods | books.came_back).keys() - books.expected.keys():
        yield f"something was delivered for {number}, which nobody ordered"


def _payments(books: Books) -> Iterator[str]:
    """Each part of a paid order was taken once and in full, and of any other order nothing; holds are all ended."""
    for row in books.orders:
        number = row["own_number"]
        parts = books.expected[number]["parts"] if number in books.expected else []
        legs = books.legs_of(row["id"])
        if [leg["channel"] for leg in legs] != [part["channel"] for part in parts]:
            yield f"order {number} has legs of {[leg['channel'] for leg in legs]}"
            continue
        is_paid = row["stage"] in PAID
        for leg, part in zip(legs, parts, strict=True):
            name = f"leg {leg['number']} of {number}"
            due = part["amount_minor"] if is_paid else 0
            if leg["captured_minor"] != due or (leg["state"] == "paid") != is_paid:
                yield f"{name} is {leg['state']} with {leg['captured_minor']} taken, {due} expected"
            if not is_paid and leg["state"] not in UNPAID_LEGS:
                yield f"{name} is {leg['state']}, and its order {row['stage']}"
            gone = leg["refunded_minor"] + leg["refunding_minor"]
            if not 0 <= gone <= leg["captured_minor"] <= leg["authorized_minor"] and is_paid:
                yield f"the amounts of {name} do not go together: {leg}"
            back = part["back_minor"] if is_paid else 0
            if (leg["refunded_minor"], leg["refunding_minor"]) != (back, 0):
                yield f"of {name} {leg['refunded_minor']} went back and {leg['refunding_minor']} will, {back} expected"
            if (leg["currency"], leg["worth_minor"]) != (part["currency"], part["worth_minor"]):
                yield f"{name} is in {leg['currency']} and worth {leg['worth_minor']}"
        if row["pay_status"] != int(is_paid and row["amount_minor"] > 0):
            yield f"order {number} has pay_status {row['pay_status']} and is {row['stage']}"


def _refunds(books: Books) -> Iterator[str]:
    """What the orders say went back is what their legs say, and what bank and ledger say, key by key."""
    said: Counter[tuple[str, str, int]] = Counter()
    for row in books.orders:
        legs = books.legs_of(row["id"])
        back: Counter[int] = Counter()
        refunds = json.loads(row["refunds"])
        if [refund["number"] for refund in refunds] != list(range(1, len(refunds) + 1)):
            yield f"the refunds of {row['own_number']} are numbered {[refund['number'] for refund in refunds]}"
        for refund in refunds:
            if refund["state"] != "returned":
                yield f"refund {refund['number']} of {row['own_number']} is {refund['state']}"
            leg = legs[refund["leg"]]
            back[leg["number"]] += refund["amount_minor"]
            by = "ledger" if leg["channel"] in WALLETS else leg["channel"]
            said[by, f"{row['id']}-r{refund['number']}", refund["amount_minor"]] += 1
        for leg in legs:
            if back[leg["number"]] != leg["refunded_minor"]:
                yield f"the refunds of {row['own_number']} and what its leg {leg['number']} gave back differ"
    went = Counter(
        ("bank", back["key"], back["amount_minor"]) for back in books.bank_refunds if back["result"] == "returned"
    )
    went += Counter(
        ("ledger", posting["key"], posting["moved_minor"])
        for posting in books.postings
        if posting["memo"].endswith(": refund")
    )
    for by, key, amount in (went - said) + (said - went):
        yield f"{by} gave {amount} back as {key} {went[by, key, amount]} times, the orders say {said[by, key, amount]}"


def _bank(books: Books) -> Iterator[str]:
    """What the bank took is in the legs and nothing else is; it gave back no more than it took, and holds nothing."""
    taken = Counter((capture["reference"], capture["amount_minor"]) for capture in books.captures)
    kept = Counter(
        (leg["reference"], leg["captured_minor"])
        for leg in books.legs
        if leg["channel"] == "bank" and leg["captured_minor"]
    )
    for leg in (taken - kept) + (kept - taken):
        yield f"bank payment {leg}: taken {taken[leg]} times, kept {kept[leg]} times"
    back: Counter[str] = Counter()
    for refund in books.bank_refunds:
        back[refund["payment_reference"]] += refund["amount_minor"] if refund["result"] == "returned" else 0
    for reference, amount in taken:
        if back[reference] > amount:
            yield f"the bank took {amount} as {reference} and gave {back[reference]} back"
    for payment in books.bank_payments:
        if payment["state"] == "held":
            yield f"the bank still holds {payment['amount_minor']} for {payment['order_id']}"


def _wallets(books: Books) -> Iterator[str]:
    """A balance is the top-ups less what paid orders took of it, and what went back."""
    balances: Counter[tuple[str, str]] = Counter()
    for top_up in books.top_ups:
        balances[top_up["uid"], top_up["currency"]] += top_up["amount_minor"]
    for order in books.expected.values():
        for part in order["parts"]:
            if part["channel"] in WALLETS and order["ends"] in PAID:
                balances[order["uid"], part["currency"]] -= part["amount_minor"] - part["back_minor"]
    found = {(row["uid"], row["currency"]): row["balance_minor"] for row in books.accounts}
    for uid, code in balances.keys() | found.keys():
        if found.get((uid, code), 0) != balances[uid, code]:
            yield f"the wallet of {uid} holds {found.get((uid, code), 0)} {code}, {balances[uid, code]} expected"


def _house(books: Books) -> Iterator[str]:
    """Nothing is held any more, and sales are what the legs of wallets keep."""
    sums: Counter[tuple[str, str]] = Counter()
    for line in books.lines:
        sums[line["account"], line["currency"]] += line["amount_minor"]
    kept: Counter[str] = Counter()
    for leg in books.legs:
        if leg["channel"] in WALLETS:
            kept[leg["currency"]] += leg["captured_minor"] - leg["refunded_minor"]
    for code in {code for _, code in sums}:
        if sums["house:held", code]:
            yield f"{sums['house:held', code]} {code} is still held"
        if sums["house:sales", code] != kept[code]:
            yield f"sales are {sums['house:sales', code]} {code}, the legs keep {kept[code]}"
        total = sum(amount for (_, of), amount in sums.items() if of == code)
        if total:
            yield f"all lines in {code} add up to {total}"


def _ledger(books: Books) -> Iterator[str]:
    """Each posting adds up to zero; an account is the sum of its lines; movements are gapless."""
    for key in {(line["uid"], line["key"]) for line in books.lines}:
        total = sum(line["amount_minor"] for line in books.lines if (line["uid"], line["key"]) == key)
        if total:
            yield f"the lines of posting {key} add up to {total}"
    for account in books.accounts:
        uid, code = account["uid"], account["currency"]
        mine = [
            line["amount_minor"]
            for line in books.lines
            if (line["uid"], line["currency"], line["account"]) == (uid, code, "wallet")
        ]
        if sum(mine) != account["balance_minor"]:
            yield f"the lines of {uid}'s wallet add up to {sum(mine)}, its balance is {account['balance_minor']}"
        moves = [
            row
            for row in books.postings
            if (row["uid"], row["currency"]) == (uid, code) and row["movement"] is not None
        ]
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
    finished, is_paid = row["stage"] == "finished", row["stage"] in PAID
    undone = row["stage"] == "refunded"
    refunds = len(json.loads(row["refunds"]))
    wanted = {
        "Created": 1,
        "Delivered": int(is_paid),
        "Finished": int(is_paid),
        "Paid": int(is_paid and row["amount_minor"] > 0),
        "Revoked": int(undone),
        "TakenBack": int(undone),
        "Ended": int(not finished),
        "RefundRequested": refunds,
        "Refunded": refunds,
        "UnexpectedPayment": 0,
    }
    for fact, count in wanted.items():
        if facts[fact] != count:
            yield f"the journal of {number} says {fact} {facts[fact]} times, {count} expected"


def _tables(url: str) -> dict[str, list[dict[str, Any]]]:
    """The rows of all tables of a database; those of one table in several shards together."""
    return asyncio.run(_read(url))


async def _read(url: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    async with open_database(url) as database:
        for row in await database.fetch(database.list_tables):
            table, _, shard = row["name"].rpartition("_")
            found[table if shard.isdecimal() else row["name"]] += await database.fetch(f"SELECT * FROM {row['name']}")
    return found


if __name__ == "__main__":
    problems = audit(Path(sys.argv[1]))
    print("\n".join(problems) or "nothing is lost and nothing is doubled")  # noqa: T201 - this is its answer
    sys.exit(bool(problems))
