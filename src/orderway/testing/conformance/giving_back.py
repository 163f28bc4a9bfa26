"""Giving back at a channel what was paid there."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from orderway.core.money import Money
from orderway.errors import KeyReused
from orderway.ports.channel import (
    Captured,
    NotFound,
    Pending,
    Refused,
    Returned,
)
from orderway.testing.conformance.provider import (
    PRICE,
    Provider,
    give_back,
    holding,
    make_charge,
    make_refund,
    put_aside,
    take,
)

__all__ = ["GiveBackConformance"]


@pytest.mark.asyncio
class GiveBackConformance:
    """Refunds, each once, and never more than was paid."""

    async def test_unknown_refund_is_not_found(self, provider: Provider) -> None:
        channel, charge = await provider.connect(), make_charge(provider)
        refund = make_refund(charge, await take(provider, channel, charge), PRICE)
        assert await channel.query_refund(refund) == NotFound()
        assert isinstance(await give_back(provider, channel, refund), Returned)

    async def test_one_key_gives_back_once(self, provider: Provider) -> None:
        one, other = await provider.connect(), await provider.connect()
        charge = make_charge(provider)
        refund = make_refund(charge, await take(provider, one, charge), 700)
        asked = await asyncio.gather(*(channel.refund(refund) for channel in (one, other, one, other)))
        assert {type(outcome) for outcome in asked} <= {Returned, Pending}
        returned = await give_back(provider, other, refund)
        assert isinstance(returned, Returned)
        assert await one.refund(refund) == await other.query_refund(refund) == returned
        assert await provider.taken_minor() == PRICE - 700

    async def test_payment_goes_back_in_parts(self, provider: Provider) -> None:
        one, other = await provider.connect(), await provider.connect()
        charge = make_charge(provider)
        paid = await take(provider, one, charge)
        for number, (channel, amount_minor) in enumerate([(one, 999), (other, 1), (one, PRICE - 1000)], start=1):
            refund = make_refund(charge, paid, amount_minor, number)
            assert isinstance(await give_back(provider, channel, refund), Returned)
        assert await provider.taken_minor() == 0
        assert await one.query(charge) == await other.close(charge) == paid

    async def test_captured_hold_goes_back(self, provider: Provider) -> None:
        one, other = await holding(provider)
        charge = make_charge(provider)
        held = await put_aside(provider, one, charge)
        early = replace(make_refund(charge, Captured(held.amount, held.reference), PRICE), key=f"{charge.order_id}-r0")
        assert isinstance(await give_back(provider, other, early), Refused)
        paid = await other.capture(charge)
        assert isinstance(await give_back(provider, one, make_refund(charge, paid, PRICE)), Returned)
        assert (await provider.held_minor(), await provider.taken_minor()) == (0, 0)

    async def test_used_key_stands_for_no_other_refund(self, provider: Provider) -> None:
        channel, charge = await provider.connect(), make_charge(provider)
        refund = make_refund(charge, await take(provider, channel, charge), 700)
        await give_back(provider, channel, refund)
        with pytest.raises(KeyReused):
            await channel.refund(replace(refund, amount=Money(701, provider.currency)))
        assert await provider.taken_minor() == PRICE - 700

    async def test_more_than_was_paid_does_not_go_back(self, provider: Provider) -> None:
        channel, charge = await provider.connect(), make_charge(provider)
        paid = await take(provider, channel, charge)
        assert isinstance(await give_back(provider, channel, make_refund(charge, paid, PRICE + 1)), Refused)
        assert await provider.taken_minor() == PRICE

    async def test_what_was_not_paid_does_not_go_back(self, provider: Provider) -> None:
        channel, charge = await provider.connect(), make_charge(provider)
        strangers = [make_charge(provider), make_charge(provider, uid="eve")]
        paid = await take(provider, channel, charge)
        closed = make_charge(provider)
        await channel.close(closed)
        refunds = [
            replace(make_refund(charge, paid, 1), payment_reference="unknown"),
            make_refund(closed, Captured(charge.amount, closed.key), 1),
            *(make_refund(stranger, paid, 1) for stranger in strangers),
        ]
        for refund in refunds:
            assert isinstance(await give_back(provider, channel, refund), Refused)
        assert await provider.taken_minor() == PRICE
