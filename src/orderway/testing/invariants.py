"""What must hold of every order, whatever broke on its way: compared with the channels, the books and the goods.

Each function returns sentences that say what is wrong; none when all is well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from orderway.core import journal
from orderway.core.journal import Entry
from orderway.core.order import Order, Stage
from orderway.core.payment import LegState
from orderway.errors import IllegalTransition
from orderway.recorder import FOR_PEOPLE

__all__ = [
    "books_balance",
    "is_settled",
    "journal_is_row",
    "nothing_is_kept_for_nothing",
    "one_delivery",
    "success_stands",
]


def is_settled(order: Order[Any]) -> Iterable[str]:
    """The order has come to an end; nothing is due for it but an alert. An unfinished one would have a ``due_at``."""
    if not order.is_final and order.due_at_us is None:
        yield f"{order.id} is {order.stage} and has no due_at: nobody will ever look at it"
    elif not order.is_final:
        yield f"{order.id} is still {order.stage} after all rounds ({order.last_error or 'no error'})"
    elif order.holder is not None or (order.due_at_us is not None and order.stage not in FOR_PEOPLE):
        yield f"{order.id} is {order.stage} and still due or held"


def journal_is_row(order: Order[Any], entries: list[Entry]) -> Iterable[str]:
    """The journal is whole, and replaying it gives the row."""
    yield from journal.check_chain(entries)
    try:
        yield from journal.differences(order, journal.replay(entries))
    except IllegalTransition as error:
        yield f"the journal cannot be replayed: {error}"


def success_stands(order: Order[Any], facts: Counter[str]) -> Iterable[str]:
    """What was delivered or finished stays so, unless a person, a dispute or all of the money going back undoes it."""
    is_undone = bool(facts["Revoked"] or facts["AllRefunded"] or facts["DisputeOpened"])
    if facts["Finished"] and order.stage is not Stage.FINISHED and not is_undone:
        yield f"{order.id} was finished and is {order.stage} now"
    if facts["Delivered"] and order.stage in {Stage.CANCELLED, Stage.REJECTED, Stage.CLOSED} and not is_undone:
        yield f"{order.id} was delivered and is {order.stage} now"
    for fact in ("Paid", "Delivered", "Finished", "TakenBack", "Revoked"):
        if facts[fact] > 1:
            yield f"{order.id} has {facts[fact]} facts {fact}"
    if facts["Ended"] > 1 + facts["Reopened"] + facts["Resumed"] + facts["Stuck"]:
        yield f"{order.id} has {facts['Ended']} facts Ended"


def one_delivery(order: Order[Any], facts: Counter[str], delivered: int) -> Iterable[str]:
    """Delivered means paid, and the goods handed over once; taken back means gone; paid to the end means delivered."""
    expected = facts["Delivered"] - min(facts["TakenBack"], facts["Delivered"])
    if delivered != expected:
        yield f"{order.id} is {order.stage}: its goods were handed over {delivered} times"
    is_paid = order.paid_minor >= order.amount_minor
    if delivered and not is_paid:
        yield f"{order.id} was delivered, but {order.paid_minor} of {order.amount_minor} minor units are recorded"
    if order.stage is Stage.FINISHED and is_paid and order.amount_minor and not delivered:
        yield f"{order.id} is paid and {order.stage}, but its goods were not handed over"


def nothing_is_kept_for_nothing(order: Order[Any]) -> Iterable[str]:
    """An order that has ended otherwise than finished keeps no money of its price; what is odd waits for a person."""
    if not order.is_final:
        return
    if order.paid_minor > order.amount_minor:
        yield f"{order.id} was paid {order.paid_minor} of {order.amount_minor} minor units: {order.legs}"
    for leg in order.legs:
        if leg.refunded_minor + leg.refunding_minor > leg.captured_minor:
            yield f"{order.id} gives back more than it was paid: {leg}"
        if leg.state in {LegState.HELD, LegState.CLOSING} and order.stage is not Stage.STUCK:
            yield f"{order.id} is {order.stage}, and its leg {leg.number} is {leg.state}"
        if leg.state is LegState.PAID and leg.kept_minor and order.stage in _WITHOUT_MONEY:
            yield f"{order.id} is {order.stage}, and {leg.kept_minor} minor units of leg {leg.number} are kept"
        if leg.state is LegState.UNEXPECTED and leg.refundable_minor and not order.needs_person:
            yield f"{order.id} keeps unexpected money, and nobody is told"


_WITHOUT_MONEY = frozenset({Stage.CANCELLED, Stage.REJECTED, Stage.CLOSED, Stage.REFUNDED})


def books_balance(totals: Mapping[str, Mapping[str, int]]) -> Iterable[str]:
    """The ledger's sums are zero in each currency."""
    for currency, accounts in totals.items():
        if sum(accounts.values()):
            yield f"the books do not balance in {currency}: {dict(accounts)}"
