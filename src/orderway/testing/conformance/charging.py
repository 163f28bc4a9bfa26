"""Charging, asking, and closing at a channel."""

from __future__ import annotations

import asyncio
import re

import pytest

from orderway.errors import BadNotification, KeyReused
from orderway.ports.channel import (
    Captured,
    ClosedThere,
    NotFound,
    Pending,
    Returned,
    Short,
)
from orderway.testing.conformance.provider import (
    HOSTILE,
    PRICE,
    ROUNDS,
    Provider,
    charging_at_once,
    give_back,
    make_charge,
    make_refund,
    others,
    put_aside,
    race,
    take,
)

__all__ = ["ChargeConformance"]


@pytest.mark.asyncio
class ChargeConformance:
    """Charges, each once, and closes that exclude them."""

    async def test_its_name_can_be_stored(self, provider: Provider) -> None:
        assert re.fullmatch("[a-z0-9_]{1,32}", (await provider.connect()).name)

    async def test_what_the_channel_did_not_sign_is_not_believed(self, provider: Provider) -> None:
        channel = await provider.connect()
        for body in (b"", b"{}", b"\xff", b'{"key": "k", "amount_minor": 1}'):
            with pytest.raises(BadNotification):
                channel.verify(body, {})

    async def test_unknown_key_is_not_found_and_asking_changes_nothing(self, provider: Provider) -> None:
        channel, charge = await provider.connect(), make_charge(provider)
        assert await channel.query(charge) == await channel.query(charge) == NotFound()
        await take(provider, channel, charge)

    async def test_charging_takes_the_money_once(self, provider: Provider) -> None:
        one, other = await provider.connect(), await provider.connect()
        charge = make_charge(provider)
        await provider.give(charge.uid, 3 * PRICE)
        asked = await asyncio.gather(*(channel.charge(charge) for channel in (one, other, one, other)))
        if one.asks_payer:
            assert {type(outcome) for outcome in asked} == {Pending}
            await provider.pay(charge)
        paid = await one.query(charge)
        assert isinstance(paid, Captured)
        assert paid.amount == charge.amount
        assert await other.query(charge) == await other.charge(charge) == paid
        assert one.asks_payer or asked == [paid] * 4
        assert await provider.taken_minor() == PRICE

    async def test_used_key_stands_for_no_other_charge(self, provider: Provider) -> None:
        channel, charge = await provider.connect(), make_charge(provider)
        paid = await take(provider, channel, charge)
        await provider.give(charge.uid, 3 * PRICE)
        for other in others(charge):
            with pytest.raises(KeyReused):
                await channel.charge(other)
        assert await channel.query(charge) == paid
        assert await provider.taken_minor() == PRICE

    async def test_short_leaves_nothing_behind(self, provider: Provider) -> None:
        channel, charge = await charging_at_once(provider), make_charge(provider)
        await provider.give(charge.uid, PRICE - 1)
        assert isinstance(await channel.charge(charge), Short)
        assert await channel.query(charge) == NotFound()
        assert await provider.taken_minor() == 0
        await provider.give(charge.uid, 1)
        assert isinstance(await channel.charge(charge), Captured)
        assert await provider.taken_minor() == PRICE

    async def test_after_short_the_key_can_be_closed(self, provider: Provider) -> None:
        channel, charge = await charging_at_once(provider), make_charge(provider)
        assert isinstance(await channel.charge(charge), Short)
        assert await channel.close(charge) == ClosedThere()
        await provider.give(charge.uid, PRICE)
        assert await channel.charge(charge) == ClosedThere()
        assert await provider.taken_minor() == 0

    async def test_unknown_key_that_is_closed_can_never_be_paid(self, provider: Provider) -> None:
        one, other = await provider.connect(), await provider.connect()
        charge = make_charge(provider)
        await provider.give(charge.uid, PRICE)
        assert await one.close(charge) == await other.close(charge) == ClosedThere()
        asks = [one.charge, other.charge, other.query, *([one.hold, other.hold, one.capture] if one.holds else [])]
        for ask in asks:
            assert await ask(charge) == ClosedThere()
        assert await provider.taken_minor() == 0

    async def test_closing_what_was_paid_says_so(self, provider: Provider) -> None:
        one, other = await provider.connect(), await provider.connect()
        charge = make_charge(provider)
        paid = await take(provider, one, charge)
        assert await other.close(charge) == await one.close(charge) == await one.query(charge) == paid
        assert await provider.taken_minor() == PRICE

    async def test_closing_ends_the_wait_for_the_payer(self, provider: Provider) -> None:
        channel, charge = await provider.connect(), make_charge(provider)
        if not channel.asks_payer:
            pytest.skip(f"the channel {channel.name} declares that it does not ask the payer")
        pending = await channel.charge(charge)
        assert isinstance(pending, Pending)
        assert await channel.query(charge) == pending
        assert await channel.close(charge) == await channel.query(charge) == await channel.charge(charge)
        assert await channel.query(charge) == ClosedThere()

    async def test_of_a_charge_and_a_close_exactly_one_wins(self, provider: Provider) -> None:
        one, other = await provider.connect(), await provider.connect()
        paid = 0
        for number in range(ROUNDS):
            charge = make_charge(provider)
            await provider.give(charge.uid, PRICE)
            charged, closed = await race(number, one.charge, other.close, charge=charge)
            truth = await one.query(charge)
            assert await other.query(charge) == truth == closed
            assert charged == truth or (one.asks_payer and isinstance(charged, Pending))
            assert isinstance(truth, ClosedThere if one.asks_payer else ClosedThere | Captured)
            paid += isinstance(truth, Captured)
        assert await provider.taken_minor() == paid * PRICE

    async def test_users_with_hostile_ids_pay_their_own(self, provider: Provider) -> None:
        channel = await provider.connect()
        for number, uid in enumerate(HOSTILE, start=1):
            charge = make_charge(provider, number, uid)
            paid = await take(provider, channel, charge)
            assert await channel.close(charge) == paid
            refund = make_refund(charge, paid, number)
            assert isinstance(await give_back(provider, channel, refund), Returned)
            if channel.holds:
                aside = make_charge(provider, number, uid, at_most=True)
                await put_aside(provider, channel, aside)
                assert await channel.close(aside) == ClosedThere()
        assert await provider.taken_minor() == 0
