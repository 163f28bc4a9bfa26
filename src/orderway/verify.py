"""Verification: does every row agree with its journal, every payment with its order, every wallet with the ledger?

Reads only, page by page, beside a running shop: an order that moves while it is looked at is looked at again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from orderway.checkpoint import Checkpoint, CheckpointWriter, Mark
from orderway.core import journal
from orderway.core.journal import Entry
from orderway.core.order import Order, Stage
from orderway.core.payment import Leg, LegState
from orderway.errors import IllegalTransition, InvalidValue, OrderNotFound
from orderway.ports.ledger import SALES, WALLET, Ledger
from orderway.ports.store import Query, Store

__all__ = ["Progress", "Report", "compare", "verify"]

Progress = Callable[[int, int], None]
"""Told how many orders of how many were looked at."""

MOST_SENTENCES = 1000
_PAGE = 200
_MOST_READS = 10
_MOVING = frozenset({Stage.CREATED, Stage.FAILING, Stage.STUCK})
_UNPAID = frozenset({Stage.CANCELLING, Stage.CANCELLED, Stage.REJECTING, Stage.REJECTED, Stage.CLOSING, Stage.CLOSED})
_PAID = frozenset({Stage.PAID, Stage.DELIVERED, Stage.FINISHED})
_UNREADABLE = (IllegalTransition, ValueError, KeyError, TypeError, AttributeError)
"""What decoding raises for stored text that is not as we write it."""


@dataclass(slots=True)
class Report:
    """What a verification has seen.

    Args:
        orders: how many orders were checked.
        entries: how many journal entries.
        erased: how many orders whose private parts were erased; their data cannot be compared.
        in_flight: payments taken from a wallet whose order does not say so yet; the next sweep records them.
        compared: how many marks of a checkpoint were compared.
        findings: what is wrong, in sentences, at most ``MOST_SENTENCES`` of them.
        found: how many things are wrong; 0 when all is well.
        books: the ledger's trial balance.
    """

    orders: int = 0
    entries: int = 0
    erased: int = 0
    in_flight: int = 0
    compared: int = 0
    findings: list[str] = field(default_factory=list)
    found: int = 0
    books: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def add(self, sentence: str) -> None:
        """Note one finding."""
        self.found += 1
        if self.found <= MOST_SENTENCES:
            self.findings.append(sentence)


@dataclass(slots=True)
class _Checked:
    """What was seen of one order. ``sold`` is what its wallet payments amount to, by currency."""

    order: Order[Any]
    entries: Sequence[Entry] = ()
    problems: list[str] = field(default_factory=list)
    erased: bool = False
    in_flight: int = 0
    sold: Counter[str] = field(default_factory=Counter)


async def verify(
    store: Store,
    ledger: Ledger,
    *,
    now_us: int = 0,
    checkpoint: CheckpointWriter | None = None,
    progress: Progress = lambda done, total: None,
) -> Report:
    """Check all orders, then the books. Memory does not grow with the number of orders.

    Args:
        store: the orders.
        ledger: the wallets.
        now_us: the time, for counting the orders.
        checkpoint: where to note how far each journal has come; whoever gives it commits it, if nothing was found.
        progress: told after each page.

    Raises:
        Unavailable: the database does not answer.
    """
    report = Report()
    total = sum((await store.overview(now_us))["by_status"].values())
    sales_before = _sales(await ledger.trial_balance())
    sold: Counter[str] = Counter()
    after: str | None = None
    while True:
        try:
            page = await store.list(Query(after=after, limit=_PAGE))
        except _UNREADABLE as error:
            report.add(f"the orders after {after or 'the beginning'} cannot be read, a row is damaged: {error!r}")
            return report
        for checked in await asyncio.gather(*(_check(store, ledger, order) for order in page.orders)):
            _take(report, checked)
            sold.update(checked.sold)
            if checkpoint is not None:
                checkpoint.add(Mark(checked.order.id, checked.order.version, checked.order.digest))
        progress(report.orders, max(total, report.orders))
        after = page.next
        if after is None:
            break
    await _check_books(report, ledger, sales_before, sold)
    return report


async def compare(
    store: Store, checkpoint: Checkpoint, report: Report, progress: Progress = lambda done, total: None
) -> None:
    """Check that the journals still say what they said when the checkpoint was made; notes findings in the report."""
    marks = iter(checkpoint)
    while batch := list(islice(marks, _PAGE)):
        for problem in await asyncio.gather(*(_compare(store, mark) for mark in batch)):
            report.compared += 1
            if problem:
                report.add(problem)
        progress(report.compared, len(checkpoint))


async def _compare(store: Store, mark: Mark) -> str:
    try:
        entries = await store.entries(mark.order_id)
    except (OrderNotFound, InvalidValue):
        return f"order {mark.order_id} is missing: the checkpoint has it at version {mark.version}"
    entry = next((entry for entry in entries if entry.version == mark.version), None)
    if entry is None:
        last = entries[-1].version
        return f"order {mark.order_id} ends at version {last}: the checkpoint has it at version {mark.version}"
    if entry.digest != mark.digest:
        return f"order {mark.order_id} was rewritten: entry {mark.version} is not the one that the checkpoint has"
    return ""


def _take(report: Report, checked: _Checked) -> None:
    report.orders += 1
    report.entries += len(checked.entries)
    report.erased += checked.erased
    report.in_flight += checked.in_flight
    for problem in checked.problems:
        report.add(problem)


# ---- one order ------------------------------------------------------------------------------------------------------


async def _check(store: Store, ledger: Ledger, order: Order[Any]) -> _Checked:
    """Check one order. What seems wrong may only have moved on between two reads: then it is checked again."""
    for _ in range(_MOST_READS):
        checked = await _check_once(store, ledger, order)
        if not checked.problems:
            break
        current = await store.get(order.id)
        if current.version == order.version:
            break
        order = current
    return checked


async def _check_once(store: Store, ledger: Ledger, order: Order[Any]) -> _Checked:
    checked = _Checked(order)
    checked.problems += _row_problems(order)
    try:
        checked.entries = await store.entries(order.id)
    except OrderNotFound:
        checked.problems.append(f"order {order.id} has no journal")
    else:
        _check_journal(checked)
    for leg in order.legs:
        if leg.channel == WALLET:
            await _check_wallet_leg(ledger, checked, leg)
    return checked


def _check_journal(checked: _Checked) -> None:
    order, entries = checked.order, checked.entries
    checked.problems += journal.check_chain(entries)
    try:
        checked.erased = any(entry.private is None and "private" in entry.fields for entry in entries)
        replayed = journal.replay(entries)
    except _UNREADABLE as error:
        checked.problems.append(f"the journal of order {order.id} cannot be replayed: {error!r}")
    else:
        checked.problems += journal.differences(order, replayed, erased=checked.erased)


def _row_problems(order: Order[Any]) -> Iterator[str]:
    """What is wrong with a row and its legs, whatever the journal says."""
    if order.is_final and (order.due_at_us is not None or order.holder is not None):
        yield f"order {order.id} is {order.stage}, and still due or held"
    if not order.is_final and order.due_at_us is None:
        yield f"order {order.id} is {order.stage}, and never due: nobody will look at it again"
    if [leg.number for leg in order.legs] != list(range(len(order.legs))):
        yield f"order {order.id}: its legs are not numbered from 0 on"
    asked = sum(leg.amount_minor for leg in order.legs)
    if asked != order.amount_minor:
        yield f"order {order.id}: its legs ask for {asked} minor units, its price is {order.amount_minor}"
    if order.stage in _PAID and order.paid_minor != order.amount_minor:
        yield f"order {order.id} is {order.stage}, and {order.paid_minor} of {order.amount_minor} minor units are paid"
    if order.stage in _UNPAID and order.paid_minor:
        yield f"order {order.id} is {order.stage}, and {order.paid_minor} minor units were paid"
    for leg in order.legs:
        back = leg.refunded_minor + leg.refunding_minor
        signs = min(leg.refunded_minor, leg.refunding_minor) >= 0
        if not (signs and back <= leg.captured_minor <= leg.authorized_minor):
            yield f"order {order.id}: the amounts of its leg {leg.number} contradict each other"
        if leg.state is LegState.PAID and leg.captured_minor != leg.amount_minor:
            yield f"order {order.id}: its leg {leg.number} is paid with another amount than was asked for"


async def _check_wallet_leg(ledger: Ledger, checked: _Checked, leg: Leg) -> None:
    """Compare what a leg says with what the ledger has under its key."""
    order = checked.order
    key = leg.reference if leg.state is LegState.UNEXPECTED else order.payment_key(leg)
    posting = await ledger.find(order.uid, key)
    taken = -sum(line.amount_minor for line in posting.lines if line.account == WALLET) if posting else 0
    currency = posting.currency if posting else leg.currency
    twice = leg.state is LegState.UNEXPECTED and any(key == order.payment_key(other) for other in order.legs)
    if taken and not twice:  # what came under the key of another leg is counted there
        checked.sold[currency] += taken
    if leg.captured_minor:
        if (taken, currency) != (leg.captured_minor, leg.currency):
            checked.problems.append(
                f"order {order.id}: its leg {leg.number} has {leg.captured_minor} minor units of {leg.currency} from"
                f" the wallet, the ledger has {taken} of {currency} under {key}"
            )
    elif taken and not any(other.captured_minor and other.reference == key for other in order.legs):
        if order.stage in _MOVING and leg.is_open:
            checked.in_flight += 1
        else:
            checked.problems.append(
                f"order {order.id} is {order.stage} and its leg {leg.number} is {leg.state}, yet the wallet of its user"
                f" paid {taken} minor units of {currency} under {key}"
            )


# ---- the books ------------------------------------------------------------------------------------------------------


async def _check_books(
    report: Report, ledger: Ledger, sales_before: Mapping[str, int], sold: Mapping[str, int]
) -> None:
    report.books = await _settled_books(ledger)
    for currency, accounts in sorted(report.books.items()):
        if total := sum(accounts.values()):
            report.add(f"the books in {currency} do not balance: all accounts together hold {total} minor units, not 0")
    # Sales only grow. What was counted order by order lies between what they were before and what they are after; in
    # a shop at rest these are the same figure.
    after = _sales(report.books)
    for currency in sorted({*sales_before, *after, *sold}):
        counted, least, most = sold.get(currency, 0), sales_before.get(currency, 0), after.get(currency, 0)
        if not least <= counted <= most:
            report.add(
                f"{SALES} holds {most} minor units of {currency}, and the orders paid from wallets add up to {counted}:"
                " a payment is there without its order, or an order without its payment"
            )


async def _settled_books(ledger: Ledger) -> Mapping[str, Mapping[str, int]]:
    """The trial balance; read again while a wrong sum changes: it was only a posting made between two reads."""
    books = await ledger.trial_balance()
    for _ in range(_MOST_READS):
        wrong = _sums(books)
        if not any(wrong.values()):
            break
        books = await ledger.trial_balance()
        if _sums(books) == wrong:
            break
    return books


def _sums(books: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    return {currency: sum(accounts.values()) for currency, accounts in books.items()}


def _sales(books: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    return {currency: accounts.get(SALES, 0) for currency, accounts in books.items()}
