"""Verification: does every row agree with its journal, and all money of orders with the ledger?

Reads only, page by page, beside a running shop: an order that moves while it is looked at is looked at again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from orderway.checkpoint import Checkpoint, CheckpointWriter, Mark
from orderway.core import journal
from orderway.core.journal import Entry
from orderway.core.order import Order, Stage
from orderway.core.payment import Leg, LegState, RefundState
from orderway.errors import IllegalTransition, InvalidValue, OrderNotFound
from orderway.ports.ledger import Ledger
from orderway.ports.store import Query, Store
from orderway.verify_ledger import books_problems, compare_with_ledger, settled_books, stray_postings

__all__ = ["Progress", "Report", "compare", "verify"]

Progress = Callable[[int, int], None]
"""Told how many orders of how many were looked at."""

MOST_SENTENCES = 1000
_PAGE = 200
_MOST_READS = 10
_PRICE_PAID = frozenset(
    {
        *(Stage.PAID, Stage.DELIVERED, Stage.FINISHED, Stage.DISPUTED),
        *(Stage.RETURNING, Stage.REFUNDING, Stage.REFUNDED),
    }
)
_REMINDED = frozenset({Stage.STUCK, Stage.DISPUTED})
"""Final stages in which an order may be looked at, for a person to be told again."""
_WITHOUT_MONEY = frozenset({Stage.CANCELLED, Stage.REJECTED, Stage.CLOSED, Stage.REFUNDED})
_UNREADABLE = (IllegalTransition, ValueError, KeyError, TypeError, AttributeError)
"""What decoding raises for stored text that is not as we write it."""


@dataclass(slots=True)
class Report:
    """What a verification has seen.

    Args:
        orders: how many orders were checked.
        entries: how many journal entries.
        erased: how many orders whose private parts were erased; their data cannot be compared.
        in_flight: what the ledger has moved and its order does not know of yet; the next sweep records it.
        postings: how many postings of the ledger moved money of orders.
        compared: how many marks of a checkpoint were compared.
        findings: what is wrong, in sentences, at most ``MOST_SENTENCES`` of them.
        found: how many things are wrong; 0 when all is well.
        books: the ledger's trial balance.
    """

    orders: int = 0
    entries: int = 0
    erased: int = 0
    in_flight: int = 0
    postings: int = 0
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
    """What was seen of one order."""

    order: Order[Any]
    entries: Sequence[Entry] = ()
    problems: list[str] = field(default_factory=list)
    erased: bool = False
    in_flight: int = 0


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
    after: str | None = None
    while True:
        page = await store.list(Query(after=after, limit=_PAGE))
        for unreadable in page.unreadable:
            report.orders += 1
            report.add(str(unreadable))
        for checked in await asyncio.gather(*(_check(store, ledger, order) for order in page.orders)):
            _take(report, checked)
            if checkpoint is not None:
                checkpoint.add(Mark(checked.order.id, checked.order.version, checked.order.digest))
        progress(report.orders, max(total, report.orders))
        after = page.next
        if after is None:
            break
    await _check_books(report, store, ledger)
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
    seen = await compare_with_ledger(ledger, order)
    checked.problems += seen.problems
    checked.in_flight = seen.in_flight
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
    if order.is_final and order.stage not in _REMINDED and (order.due_at_us is not None or order.holder is not None):
        yield f"order {order.id} is {order.stage}, and still due or held"
    if not order.is_final and order.due_at_us is None:
        yield f"order {order.id} is {order.stage}, and never due: nobody will look at it again"
    if [leg.number for leg in order.legs] != list(range(len(order.legs))):
        yield f"order {order.id}: its legs are not numbered from 0 on"
    if order.stage in _PRICE_PAID and order.paid_minor != order.amount_minor:
        yield f"order {order.id} is {order.stage}, and {order.paid_minor} of {order.amount_minor} minor units are paid"
    if order.stage is Stage.CREATED and (reach := _within_reach(order)) < order.amount_minor:
        yield f"order {order.id}: its legs come to {reach} minor units at most, its price is {order.amount_minor}"
    if order.stage in _WITHOUT_MONEY and order.is_final and not order.is_wound_up:
        yield f"order {order.id} is {order.stage}, and money of its price is still with us or still to come"
    for leg in order.legs:
        yield from _leg_problems(order, leg)
    for number, refund in enumerate(order.refunds, start=1):
        if refund.number != number or order.find_leg(refund.leg) is None:
            yield f"order {order.id}: its refund {refund.number} of leg {refund.leg} stands in place {number}"


def _within_reach(order: Order[Any]) -> int:
    """What an order can still come to: paid, held, and open; of several open amounts, each may be the whole rest."""
    in_hand = order.amount_minor - order.missing_minor
    fixed = sum(leg.worth_minor for leg in order.legs if leg.is_open and not leg.at_most)
    return in_hand + fixed + max((leg.worth_minor for leg in order.legs if leg.is_open and leg.at_most), default=0)


def _leg_problems(order: Order[Any], leg: Leg) -> Iterator[str]:
    """What is wrong with the amounts of a leg, beside themselves and beside the refunds of it."""
    what = f"order {order.id}: its leg {leg.number}"
    back = leg.refunded_minor + leg.refunding_minor
    signs = min(leg.refunded_minor, leg.refunding_minor) >= 0
    if not (signs and back <= leg.captured_minor <= leg.authorized_minor):
        yield (
            f"{what} has amounts that contradict each other: {leg.authorized_minor} authorized, {leg.captured_minor}"
            f" captured, {leg.refunding_minor} going back, {leg.refunded_minor} gone back"
        )
    if leg.state is LegState.PAID and leg.captured_minor != leg.amount_minor:
        yield f"{what} is paid with another amount than was asked for"
    if leg.currency == order.currency and leg.worth_minor not in {0, leg.amount_minor}:
        yield f"{what} asks for {leg.amount_minor} minor units, and counts for {leg.worth_minor} of the price"
    refunds = [refund for refund in order.refunds if refund.leg == leg.number]
    returned = sum(refund.amount_minor for refund in refunds if refund.state is RefundState.RETURNED)
    going = sum(refund.amount_minor for refund in refunds if refund.is_live or refund.state is RefundState.STUCK)
    # A lost dispute takes money without a refund.
    if leg.refunding_minor != going or leg.refunded_minor < returned:
        yield (
            f"{what} says that {leg.refunding_minor} minor units go back and {leg.refunded_minor} went back; of its"
            f" refunds {going} go back and {returned} went back"
        )


# ---- the books ------------------------------------------------------------------------------------------------------


async def _check_books(report: Report, store: Store, ledger: Ledger) -> None:
    report.postings, strays = await stray_postings(store, ledger)
    report.books = await settled_books(ledger)
    for problem in (*strays, *books_problems(report.books)):
        report.add(problem)
