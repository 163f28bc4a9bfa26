"""Refunds and disputes of the scripted channel: what goes back, when, who is told, and never more than was paid."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from channel_races import race

from orderway.channels.scripted import (
    DOUBLED,
    LOST,
    ONCE,
    Behaviour,
    Disputes,
    GivenBack,
    Notice,
    PaysAfterClose,
    PaysAtOnce,
    PaysLater,
    PaysTwice,
    PaysWrongCurrency,
    RefundBehaviour,
    RefundRefusedLater,
    RefundsAtOnce,
    RefundScript,
    RefundsLater,
    RefundTimesOutAfter,
    RefundTimesOutBefore,
    RefundUnreachable,
    RefusesRefund,
    ScriptedChannel,
)
from orderway.core.money import Money
from orderway.errors import BadNotification, InvalidValue, KeyReused, OutcomeUnknown, Unavailable
from orderway.ports.channel import (
    Captured,
    Charge,
    ClosedThere,
    DisputeNotification,
    NotFound,
    Notification,
    Pending,
    RefundNotification,
    RefundOrder,
    Refused,
    Returned,
)
from orderway.ports.channel import Notice as Verified
from orderway.testing.clock import VirtualClock

PRICE = Money(1999, "USD")
CHARGE = Charge("order-0-1", "order", "ann", PRICE)
NUMBER = "S1-order-0-1"
MINUTE = timedelta(minutes=1)

Make = Callable[..., ScriptedChannel]


def refund_of(amount_minor: int, key: str = "order-r1", number: str = NUMBER) -> RefundOrder:
    return RefundOrder(key, "order", "ann", Money(amount_minor, "USD"), number, PRICE)


REFUND = refund_of(500)
GIVEN = Returned("R-order-r1")


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture(params=["memory", "file"])
def make(request: pytest.FixtureRequest, clock: VirtualClock, tmp_path: Path) -> Iterator[Make]:
    made: list[ScriptedChannel] = []
    path = tmp_path / "channel.db" if request.param == "file" else None

    def make(*refunds: RefundBehaviour, payer: Behaviour | None = None, **settings: object) -> ScriptedChannel:
        script = {"order": refunds} if refunds else None
        made.append(ScriptedChannel(clock, default=payer, refund_script=script, path=path, **settings))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for channel in made:
        channel.disconnect()


def told(channel: ScriptedChannel) -> list[Verified]:
    return [channel.verify(body, headers) for body, headers in channel.pop_notifications()]


def gone(channel: ScriptedChannel) -> list[tuple[str, int, str]]:
    return [(back.key, back.amount.amount_minor, back.reference) for back in channel.returned()]


ONE_REFUND = [("order-r1", 500, "R-order-r1")]


async def test_it_refunds_at_once_and_once_however_many_callers_race(make: Make, clock: VirtualClock) -> None:
    channel = make()
    await channel.charge(CHARGE)
    assert await channel.query_refund(REFUND) == NotFound()
    assert await asyncio.gather(*(channel.refund(REFUND) for _ in range(5))) == [GIVEN] * 5
    assert await channel.query_refund(REFUND) == GIVEN
    assert channel.returned() == [
        GivenBack("order-r1", "order", Money(500, "USD"), NUMBER, "R-order-r1", clock.now_us())
    ]
    assert told(channel) == []


async def test_it_refunds_later_and_tells(make: Make, clock: VirtualClock) -> None:
    channel = make(RefundsLater(MINUTE, DOUBLED))
    await channel.charge(CHARGE)
    assert await channel.refund(REFUND) == await channel.refund(REFUND) == Pending("R-order-r1")
    await clock.advance(59)
    assert (await channel.query_refund(REFUND), gone(channel), told(channel)) == (Pending("R-order-r1"), [], [])
    await clock.advance(1)
    assert await channel.query_refund(REFUND) == await channel.refund(REFUND) == GIVEN
    assert gone(channel) == ONE_REFUND
    assert told(channel) == [RefundNotification("order", "order-r1", GIVEN)] * 2


@pytest.mark.parametrize("why", ["account closed", ""])
async def test_it_refuses_a_refund_for_good(make: Make, why: str) -> None:
    channel = make(RefusesRefund(why))
    await channel.charge(CHARGE)
    assert await channel.refund(REFUND) == await channel.refund(REFUND) == await channel.query_refund(REFUND)
    assert await channel.query_refund(REFUND) == Refused(why)
    assert gone(channel) == []


async def test_a_refund_is_refused_later_and_its_money_may_go_back_then(make: Make, clock: VirtualClock) -> None:
    channel = make(RefundRefusedLater("no", MINUTE), RefundsAtOnce())
    await channel.charge(CHARGE)
    assert await channel.refund(refund_of(1999)) == Pending("R-order-r1")
    assert isinstance(await channel.refund(refund_of(1, "order-r2")), Refused)
    await clock.advance(60)
    assert await channel.query_refund(refund_of(1999)) == Refused("no")
    assert told(channel) == [RefundNotification("order", "order-r1", Refused("no"))]
    assert await channel.refund(refund_of(1999, "order-r3")) == Returned("R-order-r3")
    assert gone(channel) == [("order-r3", 1999, "R-order-r3")]


async def test_a_refund_times_out_before_and_after_it_was_made(make: Make) -> None:
    channel = make(RefundTimesOutBefore(), RefundUnreachable(), RefundTimesOutAfter(ONCE))
    await channel.charge(CHARGE)
    for error, truth in ((OutcomeUnknown, NotFound()), (Unavailable, NotFound()), (OutcomeUnknown, GIVEN)):
        with pytest.raises(error) as caught:
            await channel.refund(REFUND)
        assert caught.value.order_id == "order"
        assert await channel.query_refund(REFUND) == truth
    assert await channel.refund(REFUND) == GIVEN
    assert gone(channel) == ONE_REFUND
    assert told(channel) == [RefundNotification("order", "order-r1", GIVEN)]


@pytest.mark.parametrize("forged", ["signature", "amount"])
async def test_a_forged_notice_of_a_refund_or_dispute_is_not_believed(
    make: Make, clock: VirtualClock, forged: str
) -> None:
    notices = [Notice(forged=forged)]  # type: ignore[arg-type]
    channel = make(RefundsAtOnce(notices), payer=Disputes(MINUTE, notices=notices))
    await channel.charge(CHARGE)
    await channel.refund(REFUND)
    await clock.advance(60)
    notifications = channel.pop_notifications()
    assert len(notifications) == 2
    for body, headers in notifications:
        with pytest.raises(BadNotification, match="does not match"):
            channel.verify(body, headers)


# ---- limits


async def test_no_more_goes_back_than_was_paid(make: Make) -> None:
    channel = make(RefundsLater(MINUTE), RefundsAtOnce())
    await channel.charge(CHARGE)
    await channel.refund(refund_of(1000, "r1"))  # still on its way, and reserved
    assert await channel.refund(refund_of(1000, "r2")) == Refused(
        f"10.00 USD is more than is left of payment {NUMBER}: 9.99 USD"
    )
    assert await channel.refund(refund_of(999, "r3")) == Returned("R-r3")
    assert await channel.refund(refund_of(1000, "r2")) == await channel.query_refund(refund_of(1000, "r2"))
    assert gone(channel) == [("r3", 999, "R-r3")]


async def test_what_was_never_paid_is_not_refunded(make: Make, clock: VirtualClock) -> None:
    channel = make(payer=PaysLater(MINUTE))
    await channel.charge(CHARGE)
    paid = RefundOrder("r2", "another", "ann", PRICE, NUMBER, PRICE)
    wrong = RefundOrder("r3", "order", "ann", Money(5, "USD"), NUMBER, Money(2000, "USD"))
    other = RefundOrder("r4", "order", "ann", Money(5, "EUR"), NUMBER, PRICE)
    assert isinstance(await channel.refund(REFUND), Refused)  # not yet
    await clock.advance(60)
    for refund in (paid, wrong, other, refund_of(5, "r5", "S9")):
        assert isinstance(await channel.refund(refund), Refused)
    assert gone(channel) == []


async def test_each_payment_of_an_order_goes_back_by_its_own_number(make: Make, clock: VirtualClock) -> None:
    channel = make(payer=PaysTwice())
    await channel.charge(CHARGE)
    await clock.advance(2)
    assert await channel.refund(refund_of(1999, "r1", "S2-order-0-1")) == Returned("R-r1")
    assert isinstance(await channel.refund(refund_of(1, "r2", "S2-order-0-1")), Refused)
    assert await channel.refund(refund_of(1999, "r3")) == Returned("R-r3")


@pytest.mark.parametrize(
    "other",
    [
        refund_of(501),
        refund_of(500, number="S2-order-0-1"),
        RefundOrder("order-r1", "another", "ann", Money(500, "USD"), NUMBER, PRICE),
    ],
)
async def test_a_refund_key_stands_for_one_content(make: Make, other: RefundOrder) -> None:
    channel = make()
    await channel.charge(CHARGE)
    await channel.refund(REFUND)
    for ask in (channel.refund, channel.query_refund):
        with pytest.raises(KeyReused, match="order-r1"):
            await ask(other)
    assert gone(channel) == ONE_REFUND


async def test_only_a_positive_amount_goes_back(make: Make) -> None:
    channel = make()
    await channel.charge(CHARGE)
    with pytest.raises(InvalidValue, match="positive"):
        await channel.refund(refund_of(0))


async def test_the_refund_script_chooses_by_order_amount_or_function(make: Make) -> None:
    channel = make()
    await channel.charge(CHARGE)
    whys: list[str] = []
    scripts: list[RefundScript] = [{"order": RefusesRefund("order"), 1: RefusesRefund("amount")}]
    scripts += [{1: RefusesRefund("amount")}, {}]
    for script in scripts:
        channel.refund_script, channel.refund_default = script, RefusesRefund("default")
        outcome = await channel.refund(refund_of(1, f"r-{len(whys)}"))
        assert isinstance(outcome, Refused)
        whys.append(outcome.why)
    assert whys == ["order", "amount", "default"]
    channel.refund_script = lambda refund: RefusesRefund(refund.key)
    assert await channel.refund(refund_of(1, "r-9")) == Refused("r-9")


# ---- payers who do odd things


async def test_a_payer_pays_after_the_payment_was_closed(make: Make, clock: VirtualClock) -> None:
    channel = make(payer=PaysAfterClose(MINUTE))
    assert isinstance(await channel.charge(CHARGE), Pending)
    await clock.advance(1_000_000)
    assert channel.taken() == []  # he waits for the close
    assert await channel.close(CHARGE) == ClosedThere()
    await clock.advance(59)
    assert await channel.close(CHARGE) == await channel.query(CHARGE) == ClosedThere()
    assert (channel.taken(), told(channel)) == ([], [])
    await clock.advance(1)
    assert await channel.query(CHARGE) == await channel.close(CHARGE) == Captured(PRICE, NUMBER)
    assert [taken.at_us for taken in channel.taken()] == [clock.now_us()]
    assert told(channel) == [Notification("order", "order-0-1", PRICE, NUMBER, "ann")]


async def test_a_payer_pays_in_another_currency(make: Make, clock: VirtualClock) -> None:
    channel = make(payer=PaysWrongCurrency("EUR"))
    await channel.charge(CHARGE)
    await clock.advance(1)
    assert await channel.query(CHARGE) == Captured(Money(1999, "EUR"), NUMBER)
    assert told(channel) == [Notification("order", "order-0-1", Money(1999, "EUR"), NUMBER, "ann")]
    euros = RefundOrder("r1", "order", "ann", Money(1999, "EUR"), NUMBER, Money(1999, "EUR"))
    assert await channel.refund(euros) == Returned("R-r1")


async def test_somebody_else_pays(make: Make, clock: VirtualClock) -> None:
    channel = make(payer=PaysLater(uid="bob"))
    await channel.charge(CHARGE)
    await clock.advance(1)
    assert told(channel) == [Notification("order", "order-0-1", PRICE, NUMBER, "bob")]


async def test_the_payer_pays_by_hand_early_again_and_after_the_close(make: Make, clock: VirtualClock) -> None:
    channel = make(payer=PaysLater(MINUTE))
    await channel.charge(CHARGE)
    assert channel.pay("order-0-1").reference == NUMBER
    again = channel.pay("order-0-1", Money(5, "EUR"), uid="bob", notices=LOST)
    other = Charge("other-0-1", "other", "ann", PRICE)
    await channel.close(other)
    late = channel.pay("other-0-1")
    assert channel.taken() == sorted([channel.taken()[0], again, late], key=lambda taken: taken.reference)
    await clock.advance(60)
    assert len(channel.taken()) == 3  # what he would have paid later he has paid early
    assert [notification.reference for notification in told(channel)] == [NUMBER, late.reference]  # type: ignore[union-attr]
    with pytest.raises(InvalidValue, match="charge it first"):
        channel.pay("unknown")


# ---- disputes


def dispute(state: str, amount_minor: int = 1999) -> DisputeNotification:
    return DisputeNotification("order", NUMBER, f"D1-{NUMBER}", Money(amount_minor, "USD"), state)  # type: ignore[arg-type]


@pytest.mark.parametrize(("decided", "lost_minor"), [("won", []), ("lost", [1999])])
async def test_a_payer_disputes_and_it_is_decided(
    make: Make, clock: VirtualClock, decided: str, lost_minor: list[int]
) -> None:
    channel = make(payer=Disputes(MINUTE, decided, MINUTE, pays=PaysLater(MINUTE)))  # type: ignore[arg-type]
    await channel.charge(CHARGE)
    await clock.advance(119)
    assert [type(notification) for notification in told(channel)] == [Notification]
    await clock.advance(1)
    assert (told(channel), channel.returned()) == ([dispute("opened")], [])
    assert isinstance(await channel.refund(refund_of(1)), Refused)  # what is disputed cannot go back twice
    await clock.advance(60)
    assert told(channel) == [dispute(decided)]
    assert [(back.key, back.amount.amount_minor) for back in channel.returned()] == [("", one) for one in lost_minor]
    outcome = await channel.refund(refund_of(1, "order-r2"))
    assert isinstance(outcome, Refused if lost_minor else Returned)
    assert len(channel.taken()) == 1


async def test_a_dispute_stays_open_until_it_is_decided_by_hand(make: Make, clock: VirtualClock) -> None:
    channel = make(payer=Disputes(MINUTE))
    await channel.charge(CHARGE)
    await clock.advance(1_000_000)
    assert told(channel) == [dispute("opened")]
    channel.decide(f"D1-{NUMBER}", "lost")
    assert told(channel) == [dispute("lost")]
    assert gone(channel) == [("", 1999, f"D1-{NUMBER}")]
    with pytest.raises(InvalidValue, match="no open dispute"):
        channel.decide(f"D1-{NUMBER}", "won")


async def test_a_dispute_is_about_what_is_left_when_it_is_opened(make: Make, clock: VirtualClock) -> None:
    channel = make(payer=Disputes(MINUTE, "lost", MINUTE))
    await channel.charge(CHARGE)
    await channel.refund(REFUND)
    await clock.advance(1_000)
    assert told(channel) == [dispute("opened", 1499), dispute("lost", 1499)]
    assert sum(back.amount.amount_minor for back in channel.returned()) == 1999
    with pytest.raises(InvalidValue, match="nothing is left"):
        channel.dispute(NUMBER)


async def test_nothing_is_disputed_of_what_went_back(make: Make, clock: VirtualClock) -> None:
    channel = make(payer=Disputes(MINUTE, "lost"))
    await channel.charge(CHARGE)
    await channel.refund(refund_of(1999))
    await clock.advance(1_000)
    assert told(channel) == []
    assert gone(channel) == [("order-r1", 1999, "R-order-r1")]


async def test_parts_are_disputed_by_hand_one_after_the_other(make: Make) -> None:
    channel = make(payer=PaysAtOnce())
    await channel.charge(CHARGE)
    first, second = channel.dispute(NUMBER, 1000), channel.dispute(NUMBER, 5000)
    assert told(channel) == [
        dispute("opened", 1000),
        DisputeNotification("order", NUMBER, f"D2-{NUMBER}", Money(999, "USD"), "opened"),
    ]
    channel.decide(first, "won")
    channel.decide(second, "lost")
    assert gone(channel) == [("", 999, second)]
    assert await channel.refund(refund_of(1000)) == GIVEN


async def test_closing_before_the_payer_pays_leaves_no_dispute(make: Make, clock: VirtualClock) -> None:
    channel = make(payer=Disputes(MINUTE, pays=PaysLater(MINUTE)))
    await channel.charge(CHARGE)
    await channel.close(CHARGE)
    await clock.advance(1_000)
    assert (channel.taken(), told(channel)) == ([], [])


# ---- several processes


RACER = """
async def run():
    channel = ScriptedChannel(VirtualClock(), path=path)
    ready()
    for number in range(100):
        for key in (f"{me}-{number}", f"both-{number}"):
            await channel.refund(RefundOrder(key, "order", "ann", Money(17, "USD"), "S1-order-0-1", PRICE))
"""


@pytest.mark.slow
async def test_processes_that_race_with_refunds_never_give_back_more_than_was_paid(tmp_path: Path) -> None:
    path = tmp_path / "channel.db"
    channel = ScriptedChannel(VirtualClock(), path=path)
    await channel.charge(CHARGE)
    await asyncio.to_thread(race, RACER, path, "one", "two")
    back = channel.returned()
    channel.disconnect()
    assert len(back) == len({each.key for each in back}) == 1999 // 17
