"""What the conformance suite of channels needs to know of who stands behind one, and the steps that its tests share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Protocol

import pytest

from orderway.core.money import Money
from orderway.ports.channel import (
    Captured,
    Channel,
    Charge,
    HeldThere,
    Outcome,
    Pending,
    RefundOrder,
    RefundOutcome,
)
from orderway.testing.conformance.builders import make_id

__all__ = [
    "HOSTILE",
    "PRICE",
    "ROUNDS",
    "Provider",
    "charging_at_once",
    "give_back",
    "holding",
    "make_charge",
    "make_refund",
    "others",
    "put_aside",
    "race",
    "take",
]

ROUNDS = 8
PRICE = 1999
HOSTILE = (" ", "'; --", '"],[', "a\nb", "%", "../a", "ü", "u\u0308", "\U0001f600", "\uffff", "\u202e", "Z", "z")
"""Users whose ids a channel may trip over: quoting, control characters, and texts that are only almost the same."""


class Provider(Protocol):
    """Who stands behind the channel under test: without any payment at first; the fixture that made it ends it."""

    currency: str
    """In which the tests pay."""

    async def connect(self) -> Channel:
        """One more instance of the channel, where it can be on a connection of its own."""

    async def give(self, uid: str, amount_minor: int) -> None:
        """From now on this payer has so much more to pay with; a payer who was given nothing has nothing."""

    async def pay(self, charge: Charge) -> None:
        """The payer pays what was asked of him; only called where the channel ``asks_payer``."""

    async def settle(self) -> None:
        """Refunds that were ``Pending`` get their result."""

    async def taken_minor(self) -> int:
        """What all payers have paid, less what went back to them."""

    async def held_minor(self) -> int:
        """What is held of all payers now; only called where the channel ``holds``."""


def make_charge(provider: Provider, amount_minor: int = PRICE, uid: str = "ann", *, at_most: bool = False) -> Charge:
    """What a new order asks of its channel."""
    order_id = make_id(uid)
    return Charge(f"{order_id}-0-1", order_id, uid, Money(amount_minor, provider.currency), at_most)


def others(charge: Charge) -> list[Charge]:
    """What is not the same as this charge, under the same key."""
    another = Money(charge.amount.amount_minor + 1, charge.amount.currency)
    return [replace(charge, amount=another), replace(charge, order_id=make_id(charge.uid))]


def make_refund(charge: Charge, paid: Outcome, amount_minor: int, number: int = 1) -> RefundOrder:
    """What an order asks to be given back of its payment."""
    assert isinstance(paid, Captured)
    amount = Money(amount_minor, paid.amount.currency)
    return RefundOrder(f"{charge.order_id}-r{number}", charge.order_id, charge.uid, amount, paid.reference, paid.amount)


async def take(provider: Provider, channel: Channel, charge: Charge) -> Captured:
    """The payer has the money, is charged, and pays."""
    await provider.give(charge.uid, charge.amount.amount_minor)
    outcome = await channel.charge(charge)
    if channel.asks_payer:
        assert isinstance(outcome, Pending)
        await provider.pay(charge)
        outcome = await channel.query(charge)
    assert isinstance(outcome, Captured)
    assert outcome.amount == charge.amount
    assert outcome.reference
    return outcome


async def put_aside(provider: Provider, channel: Channel, charge: Charge) -> HeldThere:
    """The payer has the money, and it is held."""
    await provider.give(charge.uid, charge.amount.amount_minor)
    outcome = await channel.hold(charge)
    assert isinstance(outcome, HeldThere)
    assert outcome.amount == charge.amount
    return outcome


async def give_back(provider: Provider, channel: Channel, refund: RefundOrder) -> RefundOutcome:
    """The result of a refund, now or later."""
    outcome = await channel.refund(refund)
    if isinstance(outcome, Pending):
        await provider.settle()
        outcome = await channel.query_refund(refund)
    return outcome


async def race(number: int, *racers: Callable[[Charge], Coroutine[Any, Any, Outcome]], charge: Charge) -> list[Outcome]:
    """What each learns when all do it at once; who is first changes with the number."""
    order = racers if number % 2 else racers[::-1]
    outcomes = await asyncio.gather(*(racer(charge) for racer in order))
    return outcomes if number % 2 else outcomes[::-1]


async def holding(provider: Provider) -> tuple[Channel, Channel]:
    """Two instances of a channel that holds; the test is skipped where it does not declare so."""
    one, other = await provider.connect(), await provider.connect()
    if not one.holds:
        pytest.skip(f"the channel {one.name} declares that it does not hold money")
    return one, other


async def charging_at_once(provider: Provider) -> Channel:
    """A channel that charges at once; the test is skipped where it declares that it asks the payer."""
    channel = await provider.connect()
    if channel.asks_payer:
        pytest.skip(f"the channel {channel.name} declares that its payers pay later")
    return channel
