"""The judgement over a run that has come to rest: what must hold of its orders, its goods and its money."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from orderway.core.order import Order, Stage
from orderway.core.payment import GATEWAY, LegState, RefundState
from orderway.ports.ledger import HELD, SALES
from orderway.testing.invariants import (
    books_balance,
    is_settled,
    journal_is_row,
    nothing_is_kept_for_nothing,
    one_delivery,
    success_stands,
)
from orderway.testing.money import WALLETS, Truth
from orderway.testing.simulation.world import SimulatedWorld

__all__ = ["judge"]

MOST_CHARGES = 1_000
"""Payers really pay twice here; that nobody is charged twice is judged leg by leg."""


async def judge(world: SimulatedWorld, orders: Sequence[Order[Any]]) -> list[str]:
    """What is wrong, in sentences."""
    delivered = Counter(order_id for (order_id,) in world.goods.execute("SELECT order_id FROM goods"))
    found: list[str] = []
    for worker in world.workers:
        found += worker.weather.problems
    for order in orders:
        entries = list(await world.ports.store.entries(order.id))
        facts = Counter(entry.fact for entry in entries)
        found += is_settled(order)
        found += journal_is_row(order, entries)
        found += success_stands(order, facts)
        found += one_delivery(order, facts, delivered[order.id])
        found += nothing_is_kept_for_nothing(order)
        found += goods_are_paid(order)
        found += a_person_knows_why(order)
    balances = await world.ports.ledger.trial_balance()
    truth = await Truth.of(world, world.ports)
    found += truth.compare(orders, MOST_CHARGES)
    found += books_balance(balances)
    found += house_is_right(orders, balances)
    found += channels_are_right(world, orders)
    found += one_charge_a_leg(world, truth)
    found += one_parcel_an_order(world)
    return found


def goods_are_paid(order: Order[Any]) -> Iterable[str]:
    """Money of a finished order went back only because somebody asked for it."""
    if order.stage is Stage.FINISHED:
        for refund in order.refunds:
            is_price = order.legs[refund.leg].state is LegState.PAID
            if is_price and refund.state is not RefundState.REFUSED and refund.why != "requested":
                yield f"{order.id} is finished, and its money went back: {refund}"


def a_person_knows_why(order: Order[Any]) -> Iterable[str]:
    """What stands in front of a person says why."""
    if order.stage in {Stage.STUCK, Stage.DISPUTED} and not order.why:
        yield f"{order.id} is {order.stage}, and does not say why"


def house_is_right(orders: Iterable[Order[Any]], balances: Mapping[str, Mapping[str, int]]) -> Iterable[str]:
    """The house has sold what wallet legs have paid, and holds what they hold."""
    kept: Counter[tuple[str, str]] = Counter()
    for order in orders:
        for leg in order.legs:
            if leg.channel in WALLETS:
                kept[SALES, leg.currency] += leg.kept_minor
                kept[HELD, leg.currency] += leg.authorized_minor if leg.state is LegState.HELD else 0
    for currency, accounts in balances.items():
        for account in (SALES, HELD):
            if accounts.get(account, 0) != kept[account, currency]:
                yield f"{account} has {accounts.get(account, 0)} {currency}, the orders say {kept[account, currency]}"


def channels_are_right(world: SimulatedWorld, orders: Iterable[Order[Any]]) -> Iterable[str]:
    """Money in is money kept and money back: per order, channel and currency, down to the last minor unit."""
    left: Counter[tuple[str, str, str]] = Counter()
    for channel in (world.channel, world.card):
        for taken in channel.taken():
            left[taken.order_id, channel.name, taken.amount.currency] += taken.amount.amount_minor
        for back in channel.returned():
            left[back.order_id, channel.name, back.amount.currency] -= back.amount.amount_minor
    for payment in world.paid_outside:
        left[payment.order_id, GATEWAY, payment.amount.currency] += payment.amount.amount_minor
    for (order_id, _), paid_back in world.paid_back.items():
        left[order_id, GATEWAY, paid_back.currency] -= paid_back.amount_minor
    kept: Counter[tuple[str, str, str]] = Counter()
    for order in orders:
        for leg in order.legs:
            if leg.channel not in WALLETS:
                kept[order.id, leg.channel, leg.currency] += leg.kept_minor
    for parked in world.database.parked.values():
        kept[parked.order_id, parked.channel, parked.currency] += parked.amount_minor
    for place in sorted({*left, *kept}):
        if left[place] != kept[place] and place[0] not in world.audit.lost_while_refunding:
            order_id, name, currency = place
            yield f"{name} has left {left[place]} {currency} with us for {order_id}, which says {kept[place]}"


def one_charge_a_leg(world: SimulatedWorld, truth: Truth) -> Iterable[str]:
    """Where no payer acts on his own, each leg was charged under one key only."""
    keys: dict[str, set[str]] = {}
    for by, reference, _ in truth.came:
        if by == "wallet":  # whose reference is the key
            keys.setdefault(reference.rpartition("-")[0], set()).add(reference)
    for taken in world.card.taken():
        keys.setdefault(taken.key.rpartition("-")[0], set()).add(taken.key)
    for leg, of_leg in keys.items():
        if len(of_leg) > 1:
            yield f"the leg {leg} was charged under the keys {sorted(of_leg)}"


def one_parcel_an_order(world: SimulatedWorld) -> Iterator[str]:
    """The carrier was asked for one parcel an order, however often its step was begun."""
    parcels = Counter(key.partition("-")[0] for key in world.parcels)
    return (f"{order_id} was sent {count} parcels" for order_id, count in parcels.items() if count > 1)
