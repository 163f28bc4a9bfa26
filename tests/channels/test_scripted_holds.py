"""The scripted channel as a card: money is held first, then captured or released, by whoever comes first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from channel_races import race

from orderway.channels.scripted import (
    ONCE,
    Behaviour,
    Disputes,
    HasOnly,
    NeverPays,
    PaysAtOnce,
    PaysLater,
    PaysTwice,
    PaysWrongAmount,
    Refuses,
    ScriptedChannel,
    TimesOutAfter,
    TimesOutBefore,
    Unreachable,
)
from orderway.core.money import Money
from orderway.errors import InvalidValue, KeyReused, OutcomeUnknown, Unavailable
from orderway.ports.channel import (
    Captured,
    Charge,
    ClosedThere,
    DisputeNotification,
    HeldThere,
    NotFound,
    Notification,
    Refused,
    Short,
)
from orderway.testing.clock import VirtualClock

PRICE = Money(1999, "USD")
CHARGE = Charge("order-0-1", "order", "ann", PRICE)
OPEN = Charge("order-0-1", "order", "ann", PRICE, at_most=True)
NUMBER = "S1-order-0-1"
HELD = HeldThere(PRICE, NUMBER)
PAID = Captured(PRICE, NUMBER)

Make = Callable[..., ScriptedChannel]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture(params=["memory", "file"])
def make(request: pytest.FixtureRequest, clock: VirtualClock, tmp_path: Path) -> Iterator[Make]:
    made: list[ScriptedChannel] = []
    path = tmp_path / "channel.db" if request.param == "file" else None

    def make(behaviour: Behaviour | None = None, **settings: object) -> ScriptedChannel:
        made.append(ScriptedChannel(clock, default=behaviour, holds=True, path=path, **settings))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for channel in made:
        channel.disconnect()


async def test_what_is_held_is_taken_only_by_a_capture(make: Make, clock: VirtualClock) -> None:
    channel = make()
    assert await channel.hold(CHARGE) == await channel.hold(CHARGE) == await channel.query(CHARGE) == HELD
    await clock.advance(1_000_000)
    assert channel.taken() == []
    (held,) = channel.held()
    assert (held.key, held.amount, held.reference, held.at_us) == (
        "order-0-1",
        PRICE,
        NUMBER,
        clock.now_us() - 10**12,
    )
    assert await channel.capture(CHARGE) == await channel.capture(CHARGE) == await channel.query(CHARGE) == PAID
    assert [taken.at_us for taken in channel.taken()] == [clock.now_us()]
    assert channel.held() == []


async def test_what_was_captured_is_not_released_and_what_was_released_is_not_captured(make: Make) -> None:
    channel = make()
    other = Charge("other-0-1", "other", "ann", PRICE)
    for charge in (CHARGE, other):
        await channel.hold(charge)
    assert await channel.capture(CHARGE) == await channel.close(CHARGE) == await channel.hold(CHARGE) == PAID
    for ask in (channel.close, channel.close, channel.capture, channel.hold, channel.charge):
        assert await ask(other) == ClosedThere()
    assert [taken.key for taken in channel.taken()] == ["order-0-1"]
    assert channel.held() == []


async def test_a_key_that_was_closed_first_is_never_held(make: Make) -> None:
    channel = make()
    assert await channel.close(CHARGE) == await channel.hold(CHARGE) == ClosedThere()
    assert channel.held() == []


async def test_nothing_is_captured_that_was_not_held(make: Make) -> None:
    channel = make(script={1999: NeverPays()})
    assert await channel.capture(CHARGE) == NotFound()
    await channel.charge(CHARGE)
    assert await channel.capture(CHARGE) == NotFound()
    assert channel.taken() == []


async def test_an_open_amount_holds_what_the_payer_has(make: Make) -> None:
    channel = make(HasOnly(700))
    assert isinstance(await channel.hold(CHARGE), Short)
    assert await channel.query(CHARGE) == NotFound()
    assert await channel.hold(OPEN) == HeldThere(Money(700, "USD"), NUMBER)
    less = Charge("order-0-1", "order", "ann", Money(700, "USD"), at_most=True)
    assert await channel.hold(less) == await channel.query(less) == HeldThere(Money(700, "USD"), NUMBER)
    assert await channel.capture(less) == Captured(Money(700, "USD"), NUMBER)
    assert [taken.amount.amount_minor for taken in channel.taken()] == [700]


async def test_an_open_amount_of_another_order_or_currency_is_another_content(make: Make) -> None:
    channel = make(HasOnly(700))
    await channel.hold(OPEN)
    for other in (
        Charge("order-0-1", "order", "ann", Money(700, "EUR"), at_most=True),
        Charge("order-0-1", "another", "ann", PRICE, at_most=True),
    ):
        with pytest.raises(KeyReused):
            await channel.capture(other)


@pytest.mark.parametrize("has", [2000, 1999])
async def test_a_payer_with_enough_pays_the_price(make: Make, has: int) -> None:
    channel = make(HasOnly(has))
    assert await channel.hold(OPEN) == HELD
    assert await channel.charge(Charge("other", "other", "ann", PRICE)) == Captured(PRICE, "S1-other")


async def test_a_payer_with_nothing_is_short_even_of_an_open_amount(make: Make) -> None:
    channel = make(script={1999: [HasOnly(0), HasOnly(5)]})
    assert await channel.hold(OPEN) == Short("the payer has 0.00 USD of 19.99 USD")
    assert await channel.hold(OPEN) == HeldThere(Money(5, "USD"), NUMBER)


async def test_a_charge_that_is_short_takes_nothing_and_may_come_again(make: Make) -> None:
    channel = make(script={1999: [HasOnly(5), PaysAtOnce()]})
    assert await channel.charge(CHARGE) == Short("the payer has 0.05 USD of 19.99 USD")
    assert await channel.charge(CHARGE) == PAID
    assert len(channel.taken()) == 1


@pytest.mark.parametrize("behaviour", [Refuses("stolen"), NeverPays()])
async def test_a_payer_who_does_not_agree_is_refused(make: Make, behaviour: Behaviour) -> None:
    channel = make(behaviour)
    assert isinstance(await channel.hold(CHARGE), Refused)
    assert await channel.capture(CHARGE) == NotFound()
    assert await channel.close(CHARGE) == ClosedThere()
    assert channel.held() == []


async def test_a_hold_times_out_before_and_after_it_was_made(make: Make) -> None:
    channel = make(script={1999: [TimesOutBefore(), Unreachable(), TimesOutAfter()]})
    for error, truth in ((OutcomeUnknown, NotFound()), (Unavailable, NotFound()), (OutcomeUnknown, HELD)):
        with pytest.raises(error):
            await channel.hold(CHARGE)
        assert await channel.query(CHARGE) == truth
    assert await channel.hold(CHARGE) == HELD


@pytest.mark.parametrize("behaviour", [PaysLater(timedelta(1)), PaysTwice(), PaysWrongAmount()])
async def test_whatever_the_payer_would_do_a_capture_takes_what_is_held(
    make: Make, clock: VirtualClock, behaviour: Behaviour
) -> None:
    channel = make(behaviour)
    assert await channel.hold(CHARGE) == HELD
    assert channel.pop_notifications() == []
    assert await channel.capture(CHARGE) == PAID
    await clock.advance(1_000_000)
    assert [taken.amount for taken in channel.taken()] == [PRICE]
    assert [channel.verify(*told) for told in channel.pop_notifications()] == [
        Notification("order", "order-0-1", PRICE, NUMBER, "ann")
    ]


async def test_a_dispute_counts_from_the_capture(make: Make, clock: VirtualClock) -> None:
    channel = make(Disputes(timedelta(seconds=60), pays=PaysAtOnce(ONCE)))
    await channel.hold(CHARGE)
    await clock.advance(1_000)
    await channel.capture(CHARGE)
    await clock.advance(59)
    assert [type(channel.verify(*told)) for told in channel.pop_notifications()] == [Notification]
    await clock.advance(1)
    assert [type(channel.verify(*told)) for told in channel.pop_notifications()] == [DisputeNotification]


async def test_a_key_is_held_or_charged_never_both(make: Make) -> None:
    channel = make(script={1999: NeverPays(), 5: PaysAtOnce()})
    await channel.charge(CHARGE)
    with pytest.raises(KeyReused, match="charged"):
        await channel.hold(CHARGE)
    held = Charge("held", "order", "ann", Money(5, "USD"))
    await channel.hold(held)
    with pytest.raises(KeyReused, match="capture or close"):
        await channel.charge(held)
    with pytest.raises(InvalidValue, match="capture it"):
        channel.pay("held")
    assert channel.taken() == []


async def test_a_channel_that_does_not_hold_says_so(clock: VirtualClock) -> None:
    channel = ScriptedChannel(clock)
    with pytest.raises(InvalidValue, match="holds=True"):
        await channel.hold(CHARGE)
    channel.disconnect()


RACER = """
async def run():
    channel = ScriptedChannel(VirtualClock(), path=path, holds=True)
    ask = channel.capture if me == "captures" else channel.close
    ready()
    for number in range(300):
        print(number, isinstance(await ask(charge_of(number)), Captured))
"""


@pytest.mark.slow
async def test_capture_and_close_exclude_each_other_in_racing_processes(tmp_path: Path) -> None:
    path = tmp_path / "channel.db"
    channel = ScriptedChannel(VirtualClock(), path=path, holds=True)
    for number in range(300):
        await channel.hold(Charge(f"key-{number}", f"order-{number}", "ann", PRICE))
    captures, closes = await asyncio.to_thread(race, RACER, path, "captures", "closes")
    taken = {taken.key for taken in channel.taken()}
    channel.disconnect()
    assert captures == closes  # both heard the same of every key
    assert taken == {f"key-{line.split()[0]}" for line in captures.splitlines() if line.endswith("True")}
    assert len(captures.splitlines()) == 300
