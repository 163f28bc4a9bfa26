"""Holding at a channel, and the two ends of a hold."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from orderway.errors import KeyReused
from orderway.ports.channel import (
    Captured,
    ClosedThere,
    HeldThere,
    NotFound,
    Short,
)
from orderway.testing.conformance.provider import (
    PRICE,
    ROUNDS,
    Provider,
    holding,
    make_charge,
    others,
    put_aside,
    race,
    take,
)

__all__ = ["HoldConformance"]


@pytest.mark.asyncio
class HoldConformance:
    """Holds, of which each ends once; skipped where the channel does not declare that it ``holds``."""

    async def test_what_is_held_is_taken_by_a_capture(self, provider: Provider) -> None:
        one, other = await holding(provider)
        charge = make_charge(provider)
        await provider.give(charge.uid, 3 * PRICE)
        held = await asyncio.gather(*(channel.hold(charge) for channel in (one, other, one, other)))
        assert isinstance(held[0], HeldThere)
        assert held[0].amount == charge.amount
        assert held == [held[0]] * 4
        assert await other.query(charge) == held[0]
        assert (await provider.held_minor(), await provider.taken_minor()) == (PRICE, 0)
        captured = await asyncio.gather(*(channel.capture(charge) for channel in (one, other, one, other)))
        assert isinstance(captured[0], Captured)
        assert captured[0].amount == charge.amount
        assert captured == [captured[0]] * 4
        assert await one.query(charge) == await other.close(charge) == captured[0]
        assert (await provider.held_minor(), await provider.taken_minor()) == (0, PRICE)

    async def test_what_is_held_is_released_by_a_close(self, provider: Provider) -> None:
        one, other = await holding(provider)
        charge = make_charge(provider)
        await put_aside(provider, one, charge)
        assert set(await asyncio.gather(*(channel.close(charge) for channel in (one, other, one)))) == {ClosedThere()}
        assert await provider.held_minor() == 0
        for ask in (one.query, other.capture, one.hold, other.charge):
            assert await ask(charge) == ClosedThere()
        assert (await provider.held_minor(), await provider.taken_minor()) == (0, 0)

    async def test_released_money_can_be_held_again_under_another_key(self, provider: Provider) -> None:
        one, other = await holding(provider)
        first, second = make_charge(provider), make_charge(provider)
        await put_aside(provider, one, first)
        await one.close(first)
        assert isinstance(await other.hold(second), HeldThere)
        assert isinstance(await one.capture(second), Captured)
        assert (await provider.held_minor(), await provider.taken_minor()) == (0, PRICE)

    async def test_what_was_never_held_cannot_be_captured(self, provider: Provider) -> None:
        channel, _ = await holding(provider)
        charge = make_charge(provider)
        assert await channel.capture(charge) == NotFound()
        await put_aside(provider, channel, charge)

    async def test_used_key_stands_for_no_other_hold(self, provider: Provider) -> None:
        channel, _ = await holding(provider)
        charge = make_charge(provider)
        held = await put_aside(provider, channel, charge)
        await provider.give(charge.uid, 3 * PRICE)
        larger, elsewhere = others(charge)
        for other in (larger, elsewhere, replace(elsewhere, at_most=True)):
            with pytest.raises(KeyReused):
                await channel.hold(other)
        with pytest.raises(KeyReused):
            await channel.charge(charge)
        assert await channel.query(charge) == held
        assert (await provider.held_minor(), await provider.taken_minor()) == (PRICE, 0)

    async def test_what_was_charged_is_not_held(self, provider: Provider) -> None:
        channel, _ = await holding(provider)
        charge = make_charge(provider)
        paid = await take(provider, channel, charge)
        await provider.give(charge.uid, PRICE)
        try:
            assert await channel.hold(charge) == paid
        except KeyReused:
            assert await channel.query(charge) == paid
        assert (await provider.held_minor(), await provider.taken_minor()) == (0, PRICE)

    async def test_a_hold_without_enough_money_leaves_nothing_behind(self, provider: Provider) -> None:
        channel, _ = await holding(provider)
        charge = make_charge(provider)
        await provider.give(charge.uid, PRICE - 1)
        assert isinstance(await channel.hold(charge), Short)
        assert await channel.query(charge) == NotFound()
        assert await provider.held_minor() == 0
        await provider.give(charge.uid, 1)
        assert isinstance(await channel.hold(charge), HeldThere)
        assert await provider.held_minor() == PRICE

    async def test_at_most_holds_what_there_is_and_keeps_to_it(self, provider: Provider) -> None:
        one, other = await holding(provider)
        charge = make_charge(provider, at_most=True)
        assert isinstance(await one.hold(charge), Short)
        assert await one.query(charge) == NotFound()
        await provider.give(charge.uid, 300)
        held = await asyncio.gather(*(channel.hold(charge) for channel in (one, other, one, other)))
        assert isinstance(held[0], HeldThere)
        assert held[0].amount.amount_minor == 300
        await provider.give(charge.uid, 3 * PRICE)
        assert [*held, await other.hold(charge), await one.query(charge)] == [held[0]] * 6
        assert await provider.held_minor() == 300
        for asked in (charge, replace(charge, amount=held[0].amount)):  # an order goes on with what was held
            captured = await other.capture(asked)
            assert isinstance(captured, Captured)
            assert captured.amount == held[0].amount
        assert (await provider.held_minor(), await provider.taken_minor()) == (0, 300)

    async def test_at_most_holds_the_amount_where_there_is_more(self, provider: Provider) -> None:
        channel, _ = await holding(provider)
        charge = make_charge(provider, at_most=True)
        await provider.give(charge.uid, 1)
        held = await put_aside(provider, channel, charge)
        assert await channel.hold(charge) == held
        assert await channel.close(charge) == ClosedThere()
        assert (await provider.held_minor(), await provider.taken_minor()) == (0, 0)

    async def test_of_a_capture_and_a_close_exactly_one_wins(self, provider: Provider) -> None:
        one, other = await holding(provider)
        captured = 0
        for number in range(ROUNDS):
            charge = make_charge(provider, at_most=number % 4 > 1)
            await put_aside(provider, one, charge)
            learnt = await race(number, one.capture, other.close, other.capture, one.close, charge=charge)
            truth = await one.query(charge)
            assert isinstance(truth, Captured | ClosedThere)
            assert learnt == [truth] * 4
            assert await other.query(charge) == truth
            captured += isinstance(truth, Captured)
        assert (await provider.held_minor(), await provider.taken_minor()) == (0, captured * PRICE)

    async def test_a_hold_that_races_with_a_close_does_not_last(self, provider: Provider) -> None:
        one, other = await holding(provider)
        for number in range(ROUNDS):
            charge = make_charge(provider)
            await provider.give(charge.uid, PRICE)
            held, closed = await race(number, one.hold, other.close, charge=charge)
            assert isinstance(held, HeldThere | ClosedThere)
            assert closed == await one.query(charge) == await other.capture(charge) == ClosedThere()
        assert (await provider.held_minor(), await provider.taken_minor()) == (0, 0)
