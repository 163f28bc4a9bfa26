"""Orders, changes and postings for tests, made by the real core."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from hashlib import sha256
from secrets import token_hex
from typing import Any

from orderway.core.facts import (
    Created,
    Delivered,
    Fact,
    Finished,
    Paid,
    RefundRequested,
    RefundStuck,
    UnexpectedPayment,
)
from orderway.core.ids import check_order_id, id_by_time, slot_of_uid
from orderway.core.journal import Entry, Stamp, begin, compact_json, record
from orderway.core.order import Order
from orderway.core.payment import Leg
from orderway.errors import InvalidValue
from orderway.ports.ledger import WALLET, Line, Posting
from orderway.ports.parking import ParkedPayment
from orderway.ports.store import Change, Statement

__all__ = [
    "HOUR_US",
    "NOW_US",
    "finish",
    "make_change",
    "make_id",
    "make_order",
    "make_parked",
    "make_posting",
    "paid",
    "refund",
    "refund_stuck",
    "twins",
    "uids_in_shards",
    "unexpected",
]

NOW_US = 1_790_000_000_000_000
"""The instant around which tests play."""

HOUR_US = 3_600_000_000

_numbers = itertools.count(1)


def make_id(uid: str, at_us: int = NOW_US) -> str:
    """An order id that this process has not made before; later ones of one instant sort after earlier ones."""
    return id_by_time(at_us, next(_numbers), slot_of_uid(uid))


def make_order(
    uid: str = "u",
    *,
    order_id: str | None = None,
    order_type: int = 1,
    amount_minor: int = 500,
    currency: str = "USD",
    legs: tuple[Leg, ...] = (),
    data: str = "{}",
    remark: str = "",
    own_number: str = "",
    at_us: int = NOW_US,
    holder: int | None = None,
    due_at_us: int | None = NOW_US,
) -> tuple[Order[Any], Entry]:
    """A new order and its first entry: it waits for these legs, or one of the wallet; without an amount it is paid."""
    if not legs and amount_minor:
        legs = (Leg(0, "wallet", amount_minor, currency, worth_minor=amount_minor),)
    content = compact_json([order_type, uid, amount_minor, currency, data, own_number, remark])
    fact = Created(
        order_type=order_type,
        uid=uid,
        amount_minor=amount_minor,
        currency=currency,
        legs=legs,
        deadline_at_us=at_us + HOUR_US,
        fingerprint=sha256(content.encode()).hexdigest(),
        own_number=own_number,
        remark=remark,
        data=data,
    )
    order, entry = begin(order_id or make_id(uid, at_us), fact, _stamp(at_us))
    order.holder, order.due_at_us = holder, due_at_us
    return order, entry


def make_change(
    order: Order[Any],
    *facts: Fact,
    at_us: int = NOW_US + 1,
    guard: int | None = None,
    keep_holder: bool = False,
    holder: int | None = None,
    due_at_us: int | None = NOW_US,
    statements: Sequence[Statement] = (),
) -> Change:
    """These facts recorded on the order; ``change.order`` is the order after them."""
    stamp = _stamp(at_us)
    entries = []
    for fact in facts:
        order, entry = record(order, fact, stamp)
        entries.append(entry)
    order.holder = holder
    order.due_at_us = None if order.is_final else due_at_us
    return Change(order, entries, guard, keep_holder, statements)


def paid(order: Order[Any], reference: str = "") -> Paid:
    """The fact that the order's only leg was paid."""
    return Paid(
        leg=0,
        amount_minor=order.amount_minor,
        reference=reference or f"R{order.id}",
        deadline_at_us=order.deadline_at_us + HOUR_US,
    )


def unexpected(order: Order[Any], reference: str) -> UnexpectedPayment:
    """The fact that the order's price came without being asked for so."""
    return UnexpectedPayment(
        channel="gateway", amount_minor=order.amount_minor, currency=order.currency, reference=reference
    )


def refund(order: Order[Any], amount_minor: int, *, leg: int = 0, worth_minor: int | None = None) -> RefundRequested:
    """The fact that so much of a leg shall go back, as the order's next refund."""
    return RefundRequested(
        refund=len(order.refunds) + 1,
        leg=leg,
        amount_minor=amount_minor,
        worth_minor=amount_minor if worth_minor is None else worth_minor,
        key=f"key-{len(order.refunds) + 1} 🧾",
        why="requested",
        deadline_at_us=order.deadline_at_us,
    )


def refund_stuck(order: Order[Any]) -> tuple[RefundRequested, RefundStuck]:
    """The facts of a first refund, of one minor unit, that found no end."""
    return refund(order, 1), RefundStuck(refund=1, error="no answer")


def make_posting(
    uid: str,
    amount_minor: int,
    *,
    key: str | None = None,
    currency: str = "USD",
    memo: str = "",
    house: str = "house:cash",
) -> Posting:
    """A top-up of the wallet (positive) or a debit (negative), with the house on the other side."""
    lines = (Line(WALLET, amount_minor), Line(house, -amount_minor))
    return Posting(key or f"key-{next(_numbers)}", uid, currency, lines, memo)


def make_parked(
    reference: str,
    *,
    channel: str = "wechat",
    order_id: str = "nobody's",
    key: str = "",
    uid: str = "",
    amount_minor: int = 500,
    cause: str = "",
    due_at_us: int = NOW_US,
    tries: int = 0,
) -> ParkedPayment:
    """A payment whose order is not known."""
    return ParkedPayment(channel, reference, order_id, key, uid, amount_minor, "USD", NOW_US, cause, due_at_us, tries)


def finish(order: Order[Any], **options: Any) -> Change:
    """The change that delivers and finishes a paid order, in one write."""
    return make_change(order, Delivered(), Finished(), **options)


def uids_in_shards(shards: int) -> list[str]:
    """One user id for each shard, in the order of the shards."""
    found: dict[int, str] = {}
    for number in itertools.count():
        uid = f"user-{number}"
        found.setdefault(slot_of_uid(uid) * shards // 65_536, uid)
        if len(found) == shards:
            return [found[shard] for shard in range(shards)]
    raise AssertionError("unreachable: the count is endless")


def twins(uid: str) -> tuple[str, str]:
    """Two valid order ids of one slot that differ in the case of letters only."""
    for _ in range(1000):
        order_id = make_id(uid)
        for twin in _recased(order_id):
            try:
                check_order_id(twin)
            except InvalidValue:
                continue
            return order_id, twin
    raise AssertionError("no two ids differ in case only: has the form of ids changed?")


def _recased(order_id: str) -> Iterator[str]:
    # The slot and the check character stay: the two ids are rows of one table.
    letters = [at for at, character in enumerate(order_id[:-4]) if character.isalpha()]
    for size in range(1, len(letters) + 1):
        for chosen in itertools.combinations(letters, size):
            yield "".join(c.swapcase() if at in chosen else c for at, c in enumerate(order_id))


def _stamp(at_us: int) -> Stamp:
    return Stamp(at_us, write_id=token_hex(16), salt=token_hex(8))  # random: several processes may race
