"""Verification of money inside: each payment, hold and refund of an order beside what the ledger has of it.

Both ways: what an order says must be in the ledger, and what the ledger has moved for an order must be in the order.
The ledger may be a step ahead, where a process died between moving money and recording it: the order is due then, and
the next look at it records what was moved.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from orderway.core.order import Order, Stage
from orderway.core.payment import GATEWAY, Leg, LegState, Refund, RefundState
from orderway.errors import InvalidValue, OrderNotFound, OrderUnreadable
from orderway.ports.ledger import HELD, SALES, WALLET, Ledger, Posting
from orderway.ports.store import Store

__all__ = ["Seen", "books_problems", "compare_with_ledger", "settled_books", "stray_postings"]

_PAGE = 500
_MOST_READS = 10
_PUT_ASIDE = frozenset({LegState.HELD, LegState.CLOSING})


@dataclass(slots=True)
class Seen:
    """What was seen of one order: what is wrong, and how many moves of money it does not know of yet."""

    problems: list[str] = field(default_factory=list)
    in_flight: int = 0


@dataclass(frozen=True, slots=True)
class _Moved:
    """What the ledger has moved under a key: into sales, and put aside, in minor units of one currency."""

    sold_minor: int = 0
    held_minor: int = 0
    currency: str = ""

    def __bool__(self) -> bool:
        return bool(self.sold_minor or self.held_minor)


# ---- what an order says


async def compare_with_ledger(ledger: Ledger, order: Order[Any]) -> Seen:
    """Compare the legs and refunds of an order that are paid inside with what the ledger has under their keys."""
    seen = Seen()
    for leg in order.legs:
        if _is_internal(order, leg):
            await _compare_leg(ledger, order, leg, seen)
    for refund in order.refunds:
        paid = order.find_leg(refund.leg)
        if paid is not None and _is_internal(order, paid):
            await _compare_refund(ledger, order, paid, refund, seen)
    return seen


def _is_internal(order: Order[Any], leg: Leg) -> bool:
    """True where the ledger is to be asked. It calls a payment by the order's own key; other channels do not."""
    if leg.channel == WALLET or leg.reference.startswith(f"{order.id}-"):
        return True
    return not leg.reference and leg.channel != GATEWAY  # whatever it is called, it may be a wallet


async def _compare_leg(ledger: Ledger, order: Order[Any], leg: Leg, seen: Seen) -> None:
    key = _key_of(order, leg)
    if not leg.captured_minor and any(other.captured_minor and other.reference == key for other in order.legs):
        return  # what came under this key is counted where it was kept
    moved = await _moved(ledger, order.uid, key)
    says = _Moved(leg.captured_minor, leg.authorized_minor if leg.state in _PUT_ASIDE else 0, leg.currency)
    if moved == says or not (moved or says):
        return
    if _may_be_ahead(order) and _follows(leg, moved):
        seen.in_flight += 1
        return
    seen.problems.append(
        f"order {order.id} is {order.stage} and its leg {leg.number} is {leg.state}, with {says.sold_minor} paid and"
        f" {says.held_minor} held in minor units of {leg.currency}; the ledger has {moved.sold_minor} paid and"
        f" {moved.held_minor} held in {moved.currency or leg.currency} under {key}"
    )


def _follows(leg: Leg, moved: _Moved) -> bool:
    """True if this may have been moved for a leg that does not say so yet."""
    if leg.captured_minor:
        return False
    if leg.is_open:
        return bool(moved)
    whole = (leg.authorized_minor, leg.currency)
    if leg.state is LegState.HELD:  # captured
        return (moved.sold_minor, moved.currency) == whole and not moved.held_minor
    if leg.state is not LegState.CLOSING:
        return False
    # Released; or captured, or held at all, by somebody who was too late to hear that it is to be closed.
    return not moved or not leg.authorized_minor or (moved.sold_minor, moved.currency) == whole


async def _compare_refund(ledger: Ledger, order: Order[Any], leg: Leg, refund: Refund, seen: Seen) -> None:
    key = order.refund_key(refund)
    moved = await _moved(ledger, order.uid, key)
    went = _Moved(-refund.amount_minor, 0, leg.currency) if refund.amount_minor else _Moved()
    if moved == (went if refund.state is RefundState.RETURNED else _Moved()):
        return
    if moved == went and (refund.is_live or refund.state is RefundState.STUCK):
        seen.in_flight += 1
        return
    seen.problems.append(
        f"order {order.id}: its refund {refund.number} of {refund.amount_minor} minor units of {leg.currency} is"
        f" {refund.state}, the ledger gave back {-moved.sold_minor} of {moved.currency or leg.currency} under {key}"
    )


def _may_be_ahead(order: Order[Any]) -> bool:
    """True while somebody will look at the order again, and then record what the ledger has done."""
    return not order.is_final or order.stage is Stage.STUCK


def _key_of(order: Order[Any], leg: Leg) -> str:
    """The key that a leg's money was moved under; what was not expected has it as its reference."""
    kept = leg.state in {LegState.UNEXPECTED, LegState.ACCEPTED}
    return leg.reference if kept else order.payment_key(leg)


async def _moved(ledger: Ledger, uid: str, key: str) -> _Moved:
    posting = await ledger.find(uid, key)
    if posting is None:
        return _Moved()
    of_wallet, held_minor = _into(posting, WALLET), _into(posting, HELD)
    if held_minor > 0 and (end := await ledger.find(uid, f"{key}-c")) is not None:
        of_wallet += _into(end, WALLET)
        held_minor += _into(end, HELD)
    # What left the wallet and is not put aside is sold; where it says otherwise, the books do not balance.
    sold_minor = -of_wallet - held_minor
    return _Moved(sold_minor, held_minor, posting.currency) if sold_minor or held_minor else _Moved()


def _into(posting: Posting, account: str) -> int:
    return sum(line.amount_minor for line in posting.lines if line.account == account)


# ---- what the ledger has


async def stray_postings(store: Store, ledger: Ledger) -> tuple[int, list[str]]:
    """How many postings moved money of orders, and sentences on those that no order knows of."""
    count, problems = 0, list[str]()
    cursor: str | None = None
    while True:
        page, cursor = await ledger.postings(cursor, _PAGE)
        ours = [posted.posting for posted in page if _is_of_an_order(posted.posting)]
        count += len(ours)
        problems += filter(None, await asyncio.gather(*(_stray(store, ledger, posting) for posting in ours)))
        if cursor is None:
            return count, problems


def _is_of_an_order(posting: Posting) -> bool:
    return any(line.account in {SALES, HELD} and line.amount_minor for line in posting.lines)


async def _stray(store: Store, ledger: Ledger, posting: Posting) -> str:
    order_id = posting.key.partition("-")[0]
    what = f"the ledger has money of user {posting.uid} under {posting.key}"
    try:
        order = await store.get(order_id)
    except (OrderNotFound, InvalidValue):
        return f"{what}, and there is no order {order_id}: money without its order"
    except OrderUnreadable:
        return ""  # that is said already
    if order.uid != posting.uid:
        return f"{what}, and order {order_id} belongs to {order.uid}"
    key = posting.key.removesuffix("-c")
    if key in _keys(order):
        return ""
    # An attempt of an earlier time, whose money is kept nowhere: its hold must have been released.
    is_over = await ledger.find(posting.uid, key) is not None and not await _moved(ledger, posting.uid, key)
    return "" if is_over else f"{what}, and order {order_id} does not know of it"


def _keys(order: Order[Any]) -> Iterator[str]:
    """All keys under which an order knows of money."""
    yield from (_key_of(order, leg) for leg in order.legs)
    yield from (order.refund_key(refund) for refund in order.refunds)


# ---- the books


async def settled_books(ledger: Ledger) -> Mapping[str, Mapping[str, int]]:
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


def books_problems(books: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """What is wrong with the accounts as a whole."""
    for currency, accounts in sorted(books.items()):
        if total := sum(accounts.values()):
            yield f"the books in {currency} do not balance: all accounts together hold {total} minor units, not 0"
        if (held_minor := accounts.get(HELD, 0)) < 0:
            yield f"{HELD} is {held_minor} minor units of {currency}: more was taken out than was put aside"


def _sums(books: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    return {currency: sum(accounts.values()) for currency, accounts in books.items()}
