"""The audit: the input on one side, the databases on the other. It reads the files itself, and believes no shop."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field

from orderway.adapters import open_ports
from orderway.demo.fates import Fate, fate_of, underpayment
from orderway.demo.purchases import Purchase, read_purchases
from orderway.demo.settings import Folder, Settings
from orderway.demo.tally import What, read_tallies
from orderway.verify import Progress, Report, verify

__all__ = ["Audit", "Check", "audit"]


@dataclass(frozen=True, slots=True)
class Check:
    """One figure, as the input has it and as the databases have it.

    Args:
        section: what it is about: ``orders``, ``money``, ``goods``.
        name: of the figure.
        expected: from the input.
        found: in the databases.
        money: True for minor units, False for a count.
    """

    section: str
    name: str
    expected: int
    found: int
    money: bool = False

    @property
    def holds(self) -> bool:
        """True if both are the same."""
        return self.expected == self.found


@dataclass(slots=True)
class Audit:
    """What was found when all was over.

    Args:
        checks: input beside databases.
        prevented: how often something was about to happen twice, or to be believed wrongly, and did not.
        verified: what ``verify`` has seen.
        problems: what does not add up, in sentences.
    """

    checks: list[Check] = field(default_factory=list)
    prevented: dict[str, int] = field(default_factory=dict)
    verified: Report = field(default_factory=Report)
    problems: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """True if everything adds up."""
        return not self.problems


@dataclass(slots=True)
class _Row:
    """An order as the database has it."""

    id: str
    uid: str
    stage: str
    amount_minor: int
    paid: Counter[str] = field(default_factory=Counter)
    unexpected: Counter[str] = field(default_factory=Counter)
    references: list[tuple[str, int]] = field(default_factory=list)
    deliveries: list[int] = field(default_factory=list)


def audit(
    folder: Folder, purchases: Sequence[Purchase] | None = None, progress: Progress = lambda done, total: None
) -> Audit:
    """Add everything up: orders, money and goods against the input, then every journal against its row.

    Args:
        folder: of a demo that has come to its end.
        purchases: the input; read anew if it is not given.
        progress: told how many orders were verified.
    """
    settings = folder.settings()
    purchases = read_purchases(settings.lines) if purchases is None else purchases
    result = Audit()
    with closing(sqlite3.connect(f"{folder.orders.as_uri()}?mode=ro", uri=True)) as orders:
        rows = _orders(orders)
        _check_orders(result, purchases, rows, settings)
        _check_money(result, purchases, rows, settings, orders, _taken(folder))
        _check_goods(result, rows, purchases, orders)
        result.prevented = _prevented(folder, orders)
    result.problems += [
        f"{check.name}: the input says {check.expected}, the databases say {check.found}"
        for check in result.checks
        if not check.holds
    ]
    result.verified = asyncio.run(_verify(folder, progress))
    result.problems += result.verified.findings
    return result


# ---- reading --------------------------------------------------------------------------------------------------------


def _orders(connection: sqlite3.Connection) -> dict[str, list[_Row]]:
    """Orders with their payments and deliveries, by own number."""
    by_id: dict[str, _Row] = {}
    by_number: defaultdict[str, list[_Row]] = defaultdict(list)
    for number, *columns in connection.execute("SELECT own_number, id, uid, stage, amount_minor FROM ow_orders_0"):
        row = _Row(*columns)
        by_id[row.id] = row
        by_number[number].append(row)
    for order_id, channel, state, captured_minor, reference in connection.execute(
        "SELECT order_id, channel, state, captured_minor, reference FROM ow_legs_0 WHERE captured_minor > 0"
    ):
        if order_id in by_id:  # what belongs to no order shows in the sums
            row = by_id[order_id]
            (row.paid if state == "paid" else row.unexpected)[channel] += captured_minor
            row.references.append((reference, captured_minor))
    for order_id, cds in connection.execute("SELECT order_id, cds FROM demo_deliveries"):
        if order_id in by_id:
            by_id[order_id].deliveries.append(cds)
    return by_number


def _taken(folder: Folder) -> Counter[tuple[str, int]]:
    """What the channel took, by its own reference and amount."""
    with closing(sqlite3.connect(f"{folder.channel.as_uri()}?mode=ro", uri=True)) as channel:
        return Counter(channel.execute("SELECT reference, amount_minor FROM captures").fetchall())


async def _verify(folder: Folder, progress: Progress) -> Report:
    ports = await open_ports(folder.url)
    try:
        return await verify(ports.store, ports.ledger, progress=progress)
    finally:
        await ports.close()


def _count(connection: sqlite3.Connection, sql: str) -> int:
    return int(connection.execute(sql).fetchone()[0] or 0)


# ---- checking -------------------------------------------------------------------------------------------------------


def _check_orders(
    result: Audit, purchases: Sequence[Purchase], rows: dict[str, list[_Row]], settings: Settings
) -> None:
    underpaid = {each.own_number for each in purchases if fate_of(each, settings.seed) is Fate.UNDERPAID}
    stages = Counter(row.stage for found in rows.values() for row in found)
    stuck = {number for number, found in rows.items() if any(row.stage == "stuck" for row in found)}
    right = sum(_is_right(purchase, rows.get(purchase.own_number, [])) for purchase in purchases)

    def check(name: str, expected: int, found: int) -> None:
        result.checks.append(Check("orders", name, expected, found))

    check("orders", len(purchases), stages.total())
    check("lines with exactly their order", len(purchases), right)
    check("finished", len(purchases) - len(underpaid), stages["finished"])
    check("stuck: underpaid, before a person", len(underpaid), stages["stuck"])
    check("stuck for any other reason", 0, len(stuck - underpaid))
    check("in any other state", 0, stages.total() - stages["finished"] - stages["stuck"])


def _is_right(purchase: Purchase, found: list[_Row]) -> bool:
    order = (purchase.order_id, purchase.uid, purchase.amount.amount_minor)
    return [(row.id, row.uid, row.amount_minor) for row in found] == [order]


def _check_money(
    result: Audit,
    purchases: Sequence[Purchase],
    rows: dict[str, list[_Row]],
    settings: Settings,
    orders: sqlite3.Connection,
    taken: Counter[tuple[str, int]],
) -> None:
    everything = [row for found in rows.values() for row in found]
    price: Counter[str] = Counter()
    for purchase in purchases:
        price[_way(purchase, settings.seed)] += purchase.amount.amount_minor
    kept = sum(underpayment(each).amount_minor for each in purchases if _way(each, settings.seed) == "underpaid")
    known = Counter(reference for row in everything for reference in row.references if reference in taken)
    wallets = "SELECT sum(balance_minor) FROM ow_accounts_0"
    sales = "SELECT sum(amount_minor) FROM ow_lines_0 WHERE account = 'house:sales'"

    def check(name: str, expected: int, found: int) -> None:
        result.checks.append(Check("money", name, expected, found, money=True))

    check("paid from wallets", price["wallet"], sum(row.paid["wallet"] for row in everything))
    check("  as the ledger has it", price["wallet"], _count(orders, sales))
    check("paid through the channel", price["channel"], sum(row.paid["scripted"] for row in everything))
    check("price of underpaid orders", price["underpaid"], _price_of_stuck(everything))
    check("in all, to the cent", price.total(), _price_of_stuck(everything) + sum(_paid(row) for row in everything))
    check("what the channel took", price["channel"] + kept, _sum(taken))
    check("  and the orders know of", price["channel"] + kept, _sum(known))
    check("  of it from underpaid orders, kept", kept, _unexpected(everything))
    check("left in wallets", 0, _count(orders, wallets))


def _way(purchase: Purchase, seed: int) -> str:
    fate = fate_of(purchase, seed)
    return {Fate.PREPAID: "wallet", Fate.UNDERPAID: "underpaid"}.get(fate, "channel")


def _sum(payments: Counter[tuple[str, int]]) -> int:
    return sum(amount_minor * times for (_, amount_minor), times in payments.items())


def _paid(row: _Row) -> int:
    return row.paid.total()


def _unexpected(rows: Sequence[_Row]) -> int:
    return sum(row.unexpected.total() for row in rows)


def _price_of_stuck(rows: Sequence[_Row]) -> int:
    return sum(row.amount_minor for row in rows if row.stage == "stuck")


def _check_goods(
    result: Audit, rows: dict[str, list[_Row]], purchases: Sequence[Purchase], orders: sqlite3.Connection
) -> None:
    cds = {purchase.own_number: purchase.cds for purchase in purchases}
    finished = [(number, row) for number, found in rows.items() for row in found if row.stage == "finished"]
    right = sum(row.deliveries == [cds.get(number)] for number, row in finished)
    due = sum(cds.get(number, 0) for number, _ in finished)

    def check(name: str, expected: int, found: int) -> None:
        result.checks.append(Check("goods", name, expected, found))

    check("deliveries, one a finished order", len(finished), _count(orders, "SELECT count(*) FROM demo_deliveries"))
    check("finished orders with exactly their goods", len(finished), right)
    check("CDs sent", due, _count(orders, "SELECT sum(cds) FROM demo_deliveries"))
    check("CDs that customers own", due, _count(orders, "SELECT sum(cds) FROM demo_customers"))


def _prevented(folder: Folder, orders: sqlite3.Connection) -> dict[str, int]:
    """What was about to happen twice, or to be believed wrongly: counted by the shops, and from the journals."""
    tallies = read_tallies(folder.path)
    payments = "SELECT count(*) FROM ow_journal_0 WHERE fact IN ('Paid', 'UnexpectedPayment') AND body LIKE "
    told = _count(orders, f"""{payments} '%"actor":"scripted"%'""")
    channel = _count(orders, f"""{payments} '%"reference":"S%'""")
    answered = tallies[What.NOTICES_ACCEPTED] + tallies[What.NOTICES_REFUSED]
    return {
        "orders created a second time": tallies[What.CREATED_AGAIN],
        "wallets topped up a second time": tallies[What.TOPPED_UP_AGAIN],
        "wallets charged a second time": tallies[What.WALLET_CHARGED_AGAIN],
        "channel charged a second time": tallies[What.CHANNEL_CHARGED_AGAIN],
        # A shop that died between recording and counting makes this one too small, never too large.
        "callbacks that told known news": max(tallies[What.NOTICES_ACCEPTED] - told, 0),
        "forged callbacks refused": tallies[What.NOTICES_REFUSED],
        "callbacks that died with their shop": tallies[What.NOTICES] - answered,
        "payments nobody told, found by asking": channel - told,
    }
