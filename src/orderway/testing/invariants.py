"""What must hold of every order, whatever broke on its way: compared with the channels, the books and the goods.

Each function returns sentences that say what is wrong; none when all is well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from orderway.adapters import Ports
from orderway.channels.scripted import Taken
from orderway.core import journal
from orderway.core.journal import Entry
from orderway.core.order import Order, Stage
from orderway.core.payment import GATEWAY, LegState
from orderway.errors import IllegalTransition
from orderway.ports.ledger import Posting
from orderway.testing.world import PaidOutside

__all__ = [
    "books_balance",
    "is_settled",
    "journal_is_row",
    "money_is_recorded",
    "one_delivery",
    "order_postings",
    "success_stands",
]


def is_settled(order: Order[Any]) -> Iterable[str]:
    """The order has come to an end, and nothing is due for it; an unfinished one would have a ``due_at``."""
    if not order.is_final and order.due_at_us is None:
        yield f"{order.id} is {order.stage} and has no due_at: nobody will ever look at it"
    elif not order.is_final:
        yield f"{order.id} is still {order.stage} after all rounds ({order.last_error or 'no error'})"
    elif order.due_at_us is not None or order.holder is not None:
        yield f"{order.id} is {order.stage} and still due or held"


def journal_is_row(order: Order[Any], entries: list[Entry]) -> Iterable[str]:
    """The journal is whole, and replaying it gives the row."""
    yield from journal.check_chain(entries)
    try:
        yield from journal.differences(order, journal.replay(entries))
    except IllegalTransition as error:
        yield f"the journal cannot be replayed: {error}"


def success_stands(order: Order[Any], facts: Counter[str]) -> Iterable[str]:
    """What was delivered or finished stays so."""
    if facts["Finished"] and order.stage is not Stage.FINISHED:
        yield f"{order.id} was finished and is {order.stage} now"
    if facts["Delivered"] and order.stage in {Stage.CANCELLED, Stage.REJECTED, Stage.CLOSED}:
        yield f"{order.id} was delivered and is {order.stage} now"
    for fact in ("Paid", "Delivered", "Finished", "Ended"):
        if facts[fact] > 1:
            yield f"{order.id} has {facts[fact]} facts {fact}"


def one_delivery(order: Order[Any], facts: Counter[str], delivered: int) -> Iterable[str]:
    """Delivered means paid, and the goods handed over once; paid to the end means delivered."""
    if delivered != facts["Delivered"]:
        yield f"{order.id} is {order.stage}: its goods were handed over {delivered} times"
    is_paid = order.paid_minor >= order.amount_minor
    if delivered and not is_paid:
        yield f"{order.id} was delivered, but {order.paid_minor} of {order.amount_minor} minor units are recorded"
    if order.is_final and is_paid and order.amount_minor and not delivered and order.stage is not Stage.STUCK:
        yield f"{order.id} is paid and {order.stage}, but its goods were not handed over"


def money_is_recorded(
    orders: Iterable[Order[Any]],
    taken: Iterable[Taken],
    postings: Iterable[Posting],
    paid_outside: Iterable[PaidOutside],
    channel: str,
    most_charges: int = 1,
) -> Iterable[str]:
    """What the channels took is what the orders know of, payment by payment; no order was charged too often."""
    taken, postings, paid_outside = list(taken), list(postings), list(paid_outside)
    charges = Counter(each.order_id for each in taken)
    charges.update(each.order_id for each in paid_outside)
    charges.update(posting.memo.removeprefix("order ") for posting in postings)
    for order_id, count in charges.items():
        if count > most_charges:
            yield f"{order_id} was charged {count} times"
    truth: Counter[tuple[str, str, int]] = Counter()
    truth.update((channel, each.reference, each.amount.amount_minor) for each in taken)
    truth.update((GATEWAY, each.reference, each.amount.amount_minor) for each in paid_outside)
    for posting in postings:
        truth[("wallet", posting.key, sum(line.amount_minor for line in posting.lines if line.amount_minor > 0))] += 1
    known: Counter[tuple[str, str, int]] = Counter()
    for order in orders:
        legs = [leg for leg in order.legs if leg.captured_minor]
        known.update((leg.channel, leg.reference, leg.captured_minor) for leg in legs)
        if sum(leg.state is LegState.PAID for leg in legs) > 1:
            yield f"{order.id} was paid more than once: {legs}"
    for by, reference, amount_minor in truth - known:
        yield f"{by} took {amount_minor} minor units as {reference}, and no order knows of it"
    for by, reference, amount_minor in known - truth:
        yield f"an order counts {amount_minor} minor units as {reference}, which {by} never took"


def books_balance(totals: Mapping[str, Mapping[str, int]]) -> Iterable[str]:
    """The ledger's sums are zero in each currency."""
    for currency, accounts in totals.items():
        if sum(accounts.values()):
            yield f"the books do not balance in {currency}: {dict(accounts)}"


async def order_postings(ports: Ports, orders: Iterable[Order[Any]]) -> list[Posting]:
    """What the wallets of these orders' users have paid for orders."""
    found = []
    for uid, currency in sorted({(order.uid, order.currency) for order in orders}):
        lines, _ = await ports.ledger.statement(uid, currency, limit=1000)
        for line in lines:
            posting = await ports.ledger.find(uid, line.key)
            if posting is not None and line.amount_minor < 0 and posting.memo.startswith("order "):
                found.append(posting)
    return found
