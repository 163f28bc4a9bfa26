"""Where the money of the machine's orders really is, as channels and ledger say, kept by order as it moves."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from orderway.core.order import Order
from orderway.core.payment import GATEWAY, Leg, LegState, RefundState
from orderway.ports.ledger import HELD, SALES, WALLET, Posting
from orderway.testing.machine.world import SECRETS, World

__all__ = ["Purse", "Till"]

T = TypeVar("T")

WALLETS = frozenset({"wallet", "points"})
Sum = tuple[int, str]
"""Minor units, and of which currency."""

_ASKED_ABOUT = frozenset({LegState.PLANNED, LegState.PENDING, LegState.UNKNOWN, LegState.HELD, LegState.CLOSING})
_ON_ITS_WAY = frozenset(RefundState) - {RefundState.REFUSED}


@dataclass(slots=True)
class Purse:
    """The money that moved for one order.

    Args:
        took: payments, by channel and its own number: the payment key, and how much.
        went: refunds, by channel and refund key: how much.
        lost: what lost disputes took, by channel and the payment's number: how much.
        held: what is put aside, by channel and payment key: how much.
    """

    took: dict[tuple[str, str], tuple[str, Sum]] = field(default_factory=dict)
    went: dict[tuple[str, str], Sum] = field(default_factory=dict)
    lost: dict[tuple[str, str], Sum] = field(default_factory=dict)
    held: dict[tuple[str, str], Sum] = field(default_factory=dict)


class Till:
    """All money of a world, by order.

    Args:
        world: whose.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.purses: defaultdict[str, Purse] = defaultdict(Purse)
        self.told: defaultdict[str, dict[str, Sum]] = defaultdict(dict)
        """Payments recorded through the shop's own gateway, by order and reference."""
        self.early: set[str] = set()
        """Those that came before their order was there: they are parked until somebody looks for it."""
        self.paid_out: set[tuple[str, int]] = set()
        """Refunds of gateway payments that the shop has paid out: order, and number of the refund."""
        self.heard: set[str] = set()
        """The channel's own numbers of payments and disputes that a notification has told of."""
        self.put_in: Counter[str] = Counter()
        """Top-ups less debits, by currency."""
        self.sales: Counter[str] = Counter()
        self.set_aside: Counter[str] = Counter()
        self._by_channel: dict[str, dict[str, Purse]] = {}

    async def refresh(self) -> set[str]:
        """Look again; returns the orders whose money has moved."""
        moved = {self._add(posting) for posting in await self.world.grounds.new_postings(self.world.observer)} - {""}
        if self.world.stirred:
            self.world.stirred = False
            for channel in self.world.channels:
                moved |= self._take_over(channel.name, self._books_of(channel))
        return moved

    def check(self, order: Order[Any]) -> Iterator[str]:
        """What is wrong with an order's money: each cent that moved is known, or its channel will yet be asked."""
        purse = self.purses[order.id]
        yield from self._check_payments(order, purse)
        yield from _check_refunds(order, purse, self.paid_out)
        yield from _check_holds(order, purse)

    def check_settled(self, order: Order[Any]) -> Iterator[str]:
        """What is wrong where nothing is on its way any more: all that moved is known."""
        purse = self.purses[order.id]
        known = {(_by(leg.channel), leg.reference) for leg in order.legs if leg.captured_minor}
        for by, reference in purse.took.keys() - known:
            yield f"{by} took {purse.took[by, reference]} as {reference}, which is in none of {order.legs}"
        for reference in self.told[order.id].keys() - {reference for _, reference in known}:
            yield f"{order.id} is {order.stage}, and does not know that {reference} was paid"
        if purse.held:
            yield f"{order.id} is {order.stage}, and {purse.held} is still held"

    def check_sums(self, rows: Iterable[Order[Any]]) -> Iterator[str]:
        """Money in is money kept and money back, per currency, when nothing is on its way any more."""
        truth: Counter[str] = Counter()
        for order_id, purse in self.purses.items():
            for _, (minor, code) in purse.took.values():
                truth[code] += minor
            for minor, code in (*purse.went.values(), *purse.lost.values()):
                truth[code] -= minor
            for minor, code in self.told[order_id].values():
                truth[code] += minor
        kept: Counter[str] = Counter()
        for order in rows:
            for leg in order.legs:
                kept[leg.currency] += leg.kept_minor - self._lost_twice(order, leg)
            for refund in order.refunds:
                if (order.id, refund.number) in self.paid_out:
                    leg = order.legs[refund.leg]
                    kept[leg.currency] += refund.amount_minor  # the shop's own payments out are not in the purses
        if +truth != +kept:
            yield f"the channels have {dict(truth)} of us, the orders {dict(kept)}"

    def check_books(self, totals: dict[str, dict[str, int]]) -> Iterator[str]:
        """The ledger balances, and its accounts hold what the postings say."""
        for code, accounts in totals.items():
            if sum(accounts.values()):
                yield f"{code} does not balance: {accounts}"
            expected = {SALES: self.sales[code], HELD: self.set_aside[code]}
            expected[WALLET] = self.put_in[code] - self.sales[code] - self.set_aside[code]
            found = {account: accounts.get(account, 0) for account in expected}
            if found != expected:
                yield f"the accounts in {code} are {found}, {expected} were moved"

    def _lost_twice(self, order: Order[Any], leg: Leg) -> int:
        """What a dispute took while a refund had it reserved: the refund is refused, and the leg seems to keep it."""
        if not any(refund.leg == leg.number and refund.state is RefundState.REFUSED for refund in order.refunds):
            return 0
        lost, _ = self.purses[order.id].lost.get((leg.channel, leg.reference), (0, ""))
        return lost - _known_as_lost(order, leg)

    def _check_payments(self, order: Order[Any], purse: Purse) -> Iterator[str]:
        known: dict[tuple[str, str], Sum] = {}
        for leg in order.legs:
            if leg.captured_minor:
                known[_by(leg.channel), leg.reference] = leg.captured_minor, leg.currency
        told = self.told[order.id]
        took = {at: paid for at, (_, paid) in purse.took.items()} | {(GATEWAY, at): paid for at, paid in told.items()}
        for at, paid in known.items():
            if took.get(at) != paid:
                yield f"{order.id} believes in {paid} as {at}, and {took.get(at)} was paid"
        for at, paid in took.items():
            if at not in known and not self._will_be_known(order, purse, *at):
                yield f"{order.id} is {order.stage}: {paid} was paid as {at}, and nobody will ever know"

    def _will_be_known(self, order: Order[Any], purse: Purse, by: str, reference: str) -> bool:
        if by == GATEWAY:
            return reference in self.early
        key, _ = purse.took[by, reference]
        if any(leg.state in _ASKED_ABOUT and order.payment_key(leg) == key for leg in order.legs):
            return True
        return by in SECRETS and reference not in self.heard

    def _books_of(self, channel: Any) -> dict[str, Purse]:
        books: defaultdict[str, Purse] = defaultdict(Purse)
        for took in channel.taken():
            books[took.order_id].took[channel.name, took.reference] = took.key, _sum(took.amount)
        for back in channel.returned():
            if back.key:
                books[back.order_id].went[channel.name, back.key] = _sum(back.amount)
            else:
                at = channel.name, back.payment_reference
                before = books[back.order_id].lost.get(at, (0, ""))[0]
                books[back.order_id].lost[at] = before + back.amount.amount_minor, back.amount.currency
        for held in channel.held():
            books[held.order_id].held[channel.name, held.key] = _sum(held.amount)
        return dict(books)

    def _take_over(self, name: str, books: dict[str, Purse]) -> set[str]:
        before = self._by_channel.get(name, {})
        self._by_channel[name] = books
        moved = {order_id for order_id in books.keys() | before.keys() if books.get(order_id) != before.get(order_id)}
        for order_id in moved:
            mine, now = self.purses[order_id], books.get(order_id, Purse())
            _replace(mine.took, now.took, name)
            _replace(mine.went, now.went, name)
            _replace(mine.lost, now.lost, name)
            _replace(mine.held, now.held, name)
        return moved

    def _add(self, posting: Posting) -> str:
        """Enter a posting; returns the order that it was for, or ""."""
        moved = {line.account: line.amount_minor for line in posting.lines}
        self.sales[posting.currency] += moved.get(SALES, 0)
        self.set_aside[posting.currency] += moved.get(HELD, 0)
        if not posting.memo.startswith("order "):
            return ""
        order_id, _, what = posting.memo.removeprefix("order ").partition(": ")
        purse = self.purses[order_id]
        key = posting.key.removesuffix("-c")
        match what:
            case "":
                purse.took["wallet", key] = key, (moved[SALES], posting.currency)
            case "held":
                purse.held["wallet", key] = moved[HELD], posting.currency
            case "captured":
                purse.took["wallet", key] = key, purse.held.pop(("wallet", key))
            case "released":
                del purse.held["wallet", key]
            case "refund":
                purse.went["wallet", key] = moved[WALLET], posting.currency
        return order_id


def _check_refunds(order: Order[Any], purse: Purse, paid_out: set[tuple[str, int]]) -> Iterator[str]:
    known: dict[tuple[str, str], tuple[Sum, RefundState]] = {}
    for refund in order.refunds:
        leg = order.legs[refund.leg]
        if leg.channel == GATEWAY:
            if (refund.state is RefundState.RETURNED) != ((order.id, refund.number) in paid_out):
                yield f"{order.id}: refund {refund.number} is {refund.state}, the shop says otherwise"
        elif refund.amount_minor:
            known[_by(leg.channel), order.refund_key(refund)] = (refund.amount_minor, leg.currency), refund.state
    for at, went in purse.went.items():
        if at not in known or known[at][0] != went or known[at][1] not in _ON_ITS_WAY:
            yield f"{order.id}: {went} went back as {at}, and the order has {known.get(at)} of it"
    for at, (wanted, state) in known.items():
        if state is RefundState.RETURNED and at not in purse.went:
            yield f"{order.id} believes that {wanted} went back as {at}, which it never did"
    for leg in order.legs:
        lost = _known_as_lost(order, leg)
        most = purse.lost.get((leg.channel, leg.reference), (0, ""))[0]
        if not 0 <= lost <= most:
            yield f"{order.id}: leg {leg.number} has lost {lost} in disputes, its channel took {most}: {leg}"


def _known_as_lost(order: Order[Any], leg: Leg) -> int:
    went = [r.amount_minor for r in order.refunds if r.leg == leg.number and r.state is RefundState.RETURNED]
    return leg.refunded_minor - sum(went)


def _check_holds(order: Order[Any], purse: Purse) -> Iterator[str]:
    taken = {key for key, _ in purse.took.values()}
    wanted: dict[str, Leg] = {order.payment_key(leg): leg for leg in order.legs if leg.state in _ASKED_ABOUT}
    held = {key: minor for (_, key), (minor, _) in purse.held.items()}
    for key in held.keys() - wanted.keys():
        yield f"{order.id} is {order.stage}: {held[key]} is held as {key}, and nobody will release it"
    for key, leg in wanted.items():
        if leg.state is LegState.HELD and key not in taken and held.get(key) != leg.authorized_minor:
            yield f"{order.id} believes that {leg.authorized_minor} is held as {key}, and {held.get(key)} is"


def _replace(known: dict[tuple[str, str], T], new: dict[tuple[str, str], T], channel: str) -> None:
    """What is known of one channel gives way to what is new."""
    for at in [at for at in known if at[0] == channel]:
        del known[at]
    known.update(new)


def _sum(amount: Any) -> Sum:
    return amount.amount_minor, amount.currency


def _by(channel: str) -> str:
    return "wallet" if channel in WALLETS else channel
