"""The scripted channel: each behaviour, in memory and in a file, and races between processes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from channel_races import race

from orderway.channels.scripted import (
    DOUBLED,
    LOST,
    SIGNATURE_HEADER,
    Behaviour,
    NeverPays,
    Notice,
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
from orderway.errors import BadNotification, InvalidValue, KeyReused, OutcomeUnknown, Unavailable
from orderway.ports.channel import Captured, Channel, Charge, ClosedThere, NotFound, Notification, Pending, Refused
from orderway.testing.clock import VirtualClock

PRICE = Money(1999, "USD")
CHARGE = Charge("order-0-1", "order", "ann", PRICE)
PAID = Captured(PRICE, "S1-order-0-1")
TOLD = Notification("order", "order-0-1", PRICE, "S1-order-0-1", uid="ann")
WAITS = Pending("S1-order-0-1", {"pay_url": "scripted://order-0-1"})
MINUTE = timedelta(minutes=1)

Make = Callable[..., ScriptedChannel]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture(params=["memory", "file"])
def make(request: pytest.FixtureRequest, clock: VirtualClock, tmp_path: Path) -> Iterator[Make]:
    made: list[ScriptedChannel] = []
    path = tmp_path / "channel.db" if request.param == "file" else None

    def make(behaviour: Behaviour | None = None, **settings: object) -> ScriptedChannel:
        if behaviour is not None:
            settings["default"] = behaviour
        made.append(ScriptedChannel(clock, path=path, **settings))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for channel in made:
        channel.disconnect()


def told(channel: ScriptedChannel) -> list[Notification]:
    notifications = [channel.verify(body, headers) for body, headers in channel.pop_notifications()]
    payments = [each for each in notifications if isinstance(each, Notification)]
    assert payments == notifications
    return payments


def took(channel: ScriptedChannel) -> list[tuple[str, int, str]]:
    return [(taken.key, taken.amount.amount_minor, taken.reference) for taken in channel.taken()]


ONE_CAPTURE = [("order-0-1", 1999, "S1-order-0-1")]


def test_it_is_a_channel(make: Make) -> None:
    channel: Channel = make(name="bank", asks_payer=False)
    assert (channel.name, channel.asks_payer) == ("bank", False)


async def test_it_pays_at_once_and_once_however_many_callers_race(make: Make) -> None:
    channel = make()
    assert await asyncio.gather(*(channel.charge(CHARGE) for _ in range(5))) == [PAID] * 5
    assert await channel.query(CHARGE) == PAID
    assert took(channel) == ONE_CAPTURE
    assert told(channel) == []


async def test_it_pays_later_and_tells_once(make: Make, clock: VirtualClock) -> None:
    channel = make(PaysLater(MINUTE))
    assert await channel.charge(CHARGE) == await channel.charge(CHARGE) == WAITS
    await clock.advance(59)
    assert await channel.query(CHARGE) == WAITS
    assert (took(channel), told(channel)) == ([], [])
    await clock.advance(1)
    assert await channel.query(CHARGE) == await channel.charge(CHARGE) == PAID
    assert took(channel) == ONE_CAPTURE
    assert told(channel) == [TOLD]
    assert told(channel) == []


async def test_it_tells_twice_of_one_payment(make: Make, clock: VirtualClock) -> None:
    channel = make(PaysLater(MINUTE, DOUBLED))
    await channel.charge(CHARGE)
    await clock.advance(60)
    assert told(channel) == [TOLD, TOLD]
    assert took(channel) == ONE_CAPTURE


async def test_it_pays_twice_under_two_references(make: Make, clock: VirtualClock) -> None:
    channel = make(PaysTwice(MINUTE, MINUTE))
    await channel.charge(CHARGE)
    await clock.advance(60)
    assert took(channel) == ONE_CAPTURE
    await clock.advance(60)
    assert took(channel) == [*ONE_CAPTURE, ("order-0-1", 1999, "S2-order-0-1")]
    assert [notification.reference for notification in told(channel)] == ["S1-order-0-1", "S2-order-0-1"]
    assert await channel.query(CHARGE) == PAID


async def test_it_never_pays(make: Make, clock: VirtualClock) -> None:
    channel = make(NeverPays())
    await channel.charge(CHARGE)
    await clock.advance(1_000_000)
    assert await channel.query(CHARGE) == WAITS
    assert (took(channel), told(channel)) == ([], [])


@pytest.mark.parametrize(
    ("behaviour", "amount_minor"),
    [(PaysWrongAmount(), 1998), (PaysWrongAmount(off_by=1), 2000), (PaysWrongAmount(amount_minor=7), 7)],
)
async def test_it_pays_a_wrong_amount(make: Make, clock: VirtualClock, behaviour: Behaviour, amount_minor: int) -> None:
    channel = make(behaviour)
    await channel.charge(CHARGE)
    await clock.advance(1)
    assert await channel.query(CHARGE) == Captured(Money(amount_minor, "USD"), "S1-order-0-1")
    assert [notification.amount.amount_minor for notification in told(channel)] == [amount_minor]


async def test_it_times_out_after_it_took_the_money_and_a_query_tells_the_truth(make: Make) -> None:
    channel = make(TimesOutAfter())
    with pytest.raises(OutcomeUnknown, match="order-0-1") as caught:
        await channel.charge(CHARGE)
    assert caught.value.order_id == "order"
    assert await channel.query(CHARGE) == await channel.charge(CHARGE) == await channel.close(CHARGE) == PAID
    assert took(channel) == ONE_CAPTURE


async def test_it_times_out_before_it_took_anything_until_the_script_goes_on(make: Make) -> None:
    channel = make(script={1999: [TimesOutBefore(), TimesOutBefore(), PaysAtOnce()]})
    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            await channel.charge(CHARGE)
        assert await channel.query(CHARGE) == NotFound()
    assert await channel.charge(CHARGE) == PAID
    assert took(channel) == ONE_CAPTURE


async def test_it_refuses_for_good(make: Make) -> None:
    channel = make(Refuses("stolen card"))
    assert await channel.charge(CHARGE) == await channel.query(CHARGE) == Refused("stolen card")
    assert await channel.close(CHARGE) == ClosedThere()
    assert await channel.charge(CHARGE) == ClosedThere()
    assert took(channel) == []


async def test_it_cannot_be_reached(make: Make) -> None:
    channel = make(Unreachable())
    with pytest.raises(Unavailable):
        await channel.charge(CHARGE)
    assert await channel.query(CHARGE) == NotFound()


# ---- the script


async def test_the_script_chooses_by_order_before_amount_before_default(make: Make) -> None:
    channel = make(Refuses("default"), script={1999: Refuses("amount"), "order": Refuses("order")})
    whys = []
    for order_id, amount_minor in (("order", 1999), ("other", 1999), ("other", 5)):
        charge = Charge(f"{order_id}-{amount_minor}", order_id, "ann", Money(amount_minor, "USD"))
        outcome = await channel.charge(charge)
        assert isinstance(outcome, Refused)
        whys.append(outcome.why)
    assert whys == ["order", "amount", "default"]


async def test_the_script_may_be_a_function(make: Make) -> None:
    channel = make(script=lambda charge: Refuses(f"no, {charge.uid}"))
    assert await channel.charge(CHARGE) == Refused("no, ann")


async def test_a_sequence_goes_on_with_the_next_key_of_the_order_and_stays_at_its_last(make: Make) -> None:
    channel = make(script={"order": [Refuses("first"), Refuses("second")]})
    keys = ("order-0-1", "order-0-1", "order-0-2", "order-0-3")
    outcomes = [await channel.charge(Charge(key, "order", "ann", PRICE)) for key in keys]
    assert outcomes == [Refused("first"), Refused("first"), Refused("second"), Refused("second")]


async def test_a_script_that_raises_leaves_nothing_behind(make: Make) -> None:
    def breaks(charge: Charge) -> Behaviour:
        raise LookupError(charge.key)

    channel = make(script=breaks)
    with pytest.raises(LookupError):
        await channel.charge(CHARGE)
    channel.script = {}
    assert await channel.query(CHARGE) == NotFound()
    assert await channel.charge(CHARGE) == PAID


# ---- keys and closing


@pytest.mark.parametrize(
    "other",
    [Charge("order-0-1", "order", "ann", Money(1998, "USD")), Charge("order-0-1", "another", "ann", PRICE)],
)
async def test_a_key_stands_for_one_order_and_amount(make: Make, other: Charge) -> None:
    channel = make()
    await channel.charge(CHARGE)
    for ask in (channel.charge, channel.query):
        with pytest.raises(KeyReused, match="order-0-1"):
            await ask(other)
    assert took(channel) == ONE_CAPTURE


async def test_what_is_closed_may_have_become_less(make: Make) -> None:
    channel = make()
    channel.script = {PRICE.amount_minor: NeverPays()}
    await channel.charge(CHARGE)
    assert await channel.close(replace(CHARGE, amount=Money(1, "USD"))) == ClosedThere()
    with pytest.raises(KeyReused, match="order-0-1"):
        await channel.close(replace(CHARGE, order_id="another"))


@pytest.mark.parametrize("amount_minor", [0, -1])
async def test_only_a_positive_amount_can_be_charged(make: Make, amount_minor: int) -> None:
    channel = make()
    with pytest.raises(InvalidValue, match="positive"):
        await channel.charge(Charge("key", "order", "ann", Money(amount_minor, "USD")))
    assert took(channel) == []


async def test_closing_before_the_payer_pays_takes_payment_and_notice_back(make: Make, clock: VirtualClock) -> None:
    channel = make(PaysLater(MINUTE))
    await channel.charge(CHARGE)
    assert await channel.close(CHARGE) == await channel.close(CHARGE) == ClosedThere()
    await clock.advance(60)
    assert await channel.query(CHARGE) == await channel.charge(CHARGE) == ClosedThere()
    assert (took(channel), told(channel)) == ([], [])


async def test_closing_after_the_payer_paid_says_so(make: Make, clock: VirtualClock) -> None:
    channel = make(PaysLater(MINUTE))
    await channel.charge(CHARGE)
    await clock.advance(60)
    assert await channel.close(CHARGE) == PAID
    assert told(channel) == [TOLD]


async def test_closing_a_key_that_was_never_charged_uses_it_up(make: Make) -> None:
    channel = make()
    assert await channel.close(CHARGE) == ClosedThere()
    assert await channel.charge(CHARGE) == ClosedThere()
    assert took(channel) == []


# ---- notifications


async def test_notices_can_be_lost_or_late(make: Make, clock: VirtualClock) -> None:
    channel = make(script={1999: PaysLater(MINUTE, LOST), 5: PaysLater(MINUTE, [Notice(after=MINUTE)])})
    await channel.charge(CHARGE)
    await channel.charge(Charge("late", "order", "ann", Money(5, "USD")))
    await clock.advance(60)
    assert len(channel.taken()) == 2
    assert told(channel) == []
    await clock.advance(60)
    assert [notification.key for notification in told(channel)] == ["late"]


@pytest.mark.parametrize("notice", [Notice(forged="signature"), Notice(forged="amount")])
async def test_a_forged_notice_is_not_believed(make: Make, notice: Notice) -> None:
    channel = make(PaysAtOnce([notice]))
    await channel.charge(CHARGE)
    ((body, headers),) = channel.pop_notifications()
    with pytest.raises(BadNotification, match=SIGNATURE_HEADER):
        channel.verify(body, headers)
    assert (json.loads(body)["amount_minor"] == 2000) == (notice.forged == "amount")


async def test_a_notice_is_verified_over_the_raw_body(make: Make) -> None:
    channel = make(PaysAtOnce([Notice()]))
    await channel.charge(CHARGE)
    ((body, headers),) = channel.pop_notifications()
    signature = headers[SIGNATURE_HEADER]
    assert channel.verify(body, {"scripted-signature": signature}) == TOLD
    for altered in (body + b" ", body.replace(b"1999", b"1998"), b""):
        with pytest.raises(BadNotification):
            channel.verify(altered, headers)
    for bad in ({}, {SIGNATURE_HEADER: ""}, {SIGNATURE_HEADER: signature[:-1]}, {SIGNATURE_HEADER: "é\ud800"}):
        with pytest.raises(BadNotification):
            channel.verify(body, bad)
    with pytest.raises(BadNotification):
        make(secret=b"other").verify(body, headers)


@pytest.mark.parametrize("body", [b"\xff", b"[]", b"{}", b'{"order_id": 1', b"null"])
def test_a_signed_notice_that_cannot_be_read_is_a_bad_one(make: Make, body: bytes) -> None:
    import hashlib
    import hmac

    headers = {SIGNATURE_HEADER: hmac.new(b"scripted", body, hashlib.sha256).hexdigest()}
    with pytest.raises(BadNotification, match="cannot be read"):
        make().verify(body, headers)


class Shop:
    """A receiver of notifications that answers each with the next of its errors."""

    def __init__(self, *errors: BaseException | None) -> None:
        self.errors = list(errors)
        self.received: list[bytes] = []
        self.enough = asyncio.Event()

    async def notify(self, body: bytes, headers: Mapping[str, str]) -> None:
        self.received.append(body)
        if self.errors and (error := self.errors.pop(0)) is not None:
            raise error
        self.enough.set()


async def test_delivery_is_repeated_while_the_receiver_could_not_take_it(make: Make, clock: VirtualClock) -> None:
    shop = Shop(Unavailable())
    channel = make(PaysAtOnce([Notice()]), notify=shop.notify)
    await channel.charge(CHARGE)
    assert [await channel.deliver(), await channel.deliver()] == [1, 0]
    await clock.advance(1)
    assert [await channel.deliver(), await channel.deliver()] == [1, 0]
    assert shop.received[0] == shop.received[1]


async def test_delivery_is_not_repeated_once_refused_for_good(make: Make, clock: VirtualClock) -> None:
    shop = Shop(BadNotification())
    channel = make(PaysAtOnce(DOUBLED), notify=shop.notify)
    await channel.charge(CHARGE)
    assert await channel.deliver() == 2
    await clock.advance(60)
    assert await channel.deliver() == 0


async def test_a_receiver_that_breaks_loses_no_notification(make: Make, clock: VirtualClock) -> None:
    shop = Shop(ZeroDivisionError())
    channel = make(PaysAtOnce(DOUBLED), notify=shop.notify)
    await channel.charge(CHARGE)
    with pytest.raises(ZeroDivisionError):
        await channel.deliver()
    await clock.advance(1)
    assert await channel.deliver() == 2


async def test_delivery_without_a_receiver_says_what_to_do(make: Make) -> None:
    with pytest.raises(InvalidValue, match=r"channel\.notify"):
        await make().deliver()


async def test_run_delivers_until_it_is_stopped(make: Make, clock: VirtualClock) -> None:
    shop, stop = Shop(), asyncio.Event()
    channel = make(PaysLater(MINUTE), notify=shop.notify)
    running = asyncio.create_task(channel.run(stop))
    await channel.charge(CHARGE)
    await clock.advance(61)
    await shop.enough.wait()
    stop.set()
    await running
    assert len(shop.received) == 1


# ---- the file


async def test_what_was_taken_outlives_the_channel_that_took_it(clock: VirtualClock, tmp_path: Path) -> None:
    first = ScriptedChannel(clock, path=tmp_path / "channel.db")
    await first.charge(CHARGE)
    first.disconnect()
    second = ScriptedChannel(clock, default=Refuses(), path=tmp_path / "channel.db")
    assert await second.charge(CHARGE) == PAID
    assert took(second) == ONE_CAPTURE
    second.disconnect()


RACER = """
async def run():
    channel = ScriptedChannel(VirtualClock(), path=path, default=PaysAtOnce([Notice()]))
    ready()
    for number in range(200):
        if me == "closes" and number % 2:
            await channel.close(charge_of(number))
        else:
            await channel.charge(charge_of(number))
    print(len(channel.pop_notifications()), flush=True)
"""


def test_processes_that_race_for_the_same_keys_take_each_once(tmp_path: Path) -> None:
    path = tmp_path / "channel.db"
    popped = race(RACER, path, "charges", "closes")
    channel = ScriptedChannel(VirtualClock(), path=path)
    keys = [taken.key for taken in channel.taken()]
    left = len(channel.pop_notifications())
    channel.disconnect()
    assert len(keys) == len(set(keys))
    assert {f"key-{number}" for number in range(0, 200, 2)} <= set(keys)
    assert sum(int(each) for each in popped) + left == len(keys)  # each notification went to one process
