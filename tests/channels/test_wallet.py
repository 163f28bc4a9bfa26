"""The wallet channel over a real ledger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from orderway.adapters import open_ports
from orderway.channels.wallet import WalletChannel
from orderway.core.money import Money, define_currency
from orderway.errors import BadNotification, CommitUnknown, InvalidValue, KeyReused, OutcomeUnknown, Unavailable
from orderway.memory import MemoryDatabase, MemoryLedger
from orderway.ports.channel import (
    Captured,
    Charge,
    ClosedThere,
    HeldThere,
    NotFound,
    RefundOrder,
    Refused,
    Returned,
    Short,
)
from orderway.ports.ledger import FUNDING, HELD, SALES, WALLET, Ledger, Line, Posting
from orderway.testing.clock import VirtualClock

PRICE = Money(1999, "USD")
CHARGE = Charge("order-0-1", "order", "ann", PRICE)
PAID = Captured(PRICE, "order-0-1")
SET_ASIDE = HeldThere(PRICE, "order-0-1")
REFUND = RefundOrder("order-r1", "order", "ann", Money(500, "USD"), "order-0-1", PRICE)


@pytest.fixture(params=["memory", "sqlite"])
async def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ledger]:
    if request.param == "memory":
        yield MemoryLedger(MemoryDatabase())
    else:
        ports = await open_ports(f"sqlite:///{tmp_path / 'orders.db'}")
        yield ports.ledger
        await ports.close()


@pytest.fixture
def wallet(ledger: Ledger) -> WalletChannel:
    return WalletChannel(ledger, VirtualClock())


async def top_up(ledger: Ledger, amount_minor: int, key: str = "top-up") -> None:
    lines = (Line(WALLET, amount_minor), Line(FUNDING, -amount_minor))
    await ledger.post(Posting(key, "ann", "USD", lines, "top-up"), 1)


async def books(ledger: Ledger) -> dict[str, int]:
    totals = (await ledger.trial_balance()).get("USD", {})
    assert sum(totals.values()) == 0
    return {account: total for account, total in totals.items() if total}


async def test_charging_moves_the_price_once_however_often_it_is_asked(ledger: Ledger, wallet: WalletChannel) -> None:
    await top_up(ledger, 5000)
    assert await asyncio.gather(*(wallet.charge(CHARGE) for _ in range(5))) == [PAID] * 5
    assert await books(ledger) == {WALLET: 3001, SALES: 1999, FUNDING: -5000}
    assert await wallet.query(CHARGE) == PAID


async def test_a_short_wallet_is_not_remembered(ledger: Ledger, wallet: WalletChannel) -> None:
    await top_up(ledger, 1998)
    outcome = await wallet.charge(CHARGE)
    assert isinstance(outcome, Short)
    assert "1998" in outcome.why
    assert "1999" in outcome.why
    assert await wallet.query(CHARGE) == NotFound()
    await top_up(ledger, 1, "top-up 2")
    assert await wallet.charge(CHARGE) == PAID
    assert await ledger.balance("ann", "USD") == 0


async def test_after_closing_no_charge_can_take_the_money(ledger: Ledger, wallet: WalletChannel) -> None:
    await top_up(ledger, 5000)
    assert await wallet.close(CHARGE) == ClosedThere()
    assert await wallet.close(CHARGE) == ClosedThere()
    assert await wallet.charge(CHARGE) == ClosedThere()
    assert await wallet.query(CHARGE) == ClosedThere()
    assert await books(ledger) == {WALLET: 5000, FUNDING: -5000}
    lines, _ = await ledger.statement("ann", "USD")
    assert [line.key for line in lines] == ["top-up"]


async def test_closing_what_was_paid_says_so_and_changes_nothing(ledger: Ledger, wallet: WalletChannel) -> None:
    await top_up(ledger, 5000)
    await wallet.charge(CHARGE)
    before = await books(ledger)
    assert await wallet.close(CHARGE) == PAID
    assert await books(ledger) == before


async def test_of_a_charge_and_a_close_that_race_exactly_one_wins(ledger: Ledger, wallet: WalletChannel) -> None:
    await top_up(ledger, 500_000)
    for number in range(20):
        charge = Charge(f"race-0-{number}", "order", "ann", PRICE)
        racers = [wallet.charge(charge), wallet.close(charge)]
        first, second = await asyncio.gather(*(racers if number % 2 else reversed(racers)))
        assert first == second
        assert await wallet.query(charge) == first
    assert (await books(ledger))[WALLET] == 500_000 - 10 * 1999


async def test_a_key_that_paid_another_amount_is_refused(ledger: Ledger, wallet: WalletChannel) -> None:
    await top_up(ledger, 5000)
    await wallet.charge(CHARGE)
    with pytest.raises(KeyReused):
        await wallet.charge(Charge(CHARGE.key, "order", "ann", Money(1, "USD")))
    assert await ledger.balance("ann", "USD") == 3001


async def test_a_key_of_another_posting_is_never_taken_for_a_payment(ledger: Ledger, wallet: WalletChannel) -> None:
    await top_up(ledger, 1999, CHARGE.key)
    for ask in (wallet.charge, wallet.query, wallet.close):
        with pytest.raises(KeyReused, match="no payment: 'top-up'"):
            await ask(CHARGE)


@pytest.mark.parametrize("amount_minor", [0, -1])
async def test_only_a_positive_amount_can_be_charged(ledger: Ledger, wallet: WalletChannel, amount_minor: int) -> None:
    await top_up(ledger, 1)
    with pytest.raises(InvalidValue, match="positive"):
        await wallet.charge(Charge("key", "order", "ann", Money(amount_minor, "USD")))
    assert await ledger.balance("ann", "USD") == 1


async def test_the_ledger_tells_each_step_apart(ledger: Ledger, wallet: WalletChannel) -> None:
    await top_up(ledger, 5 * 1999)
    charged, captured, released, closed = (replace(CHARGE, key=f"order-{leg}-1") for leg in range(4))
    await wallet.charge(charged)
    for held in (captured, released):
        await wallet.hold(held)
    assert await books(ledger) == {WALLET: 2 * 1999, SALES: 1999, HELD: 2 * 1999, FUNDING: -5 * 1999}
    await wallet.capture(captured)
    await wallet.close(released)
    await wallet.close(closed)
    await wallet.refund(REFUND)
    postings, _ = await ledger.postings()
    assert {posted.posting.key: (posted.posting.memo, posted.posting.lines) for posted in postings} == {
        "top-up": ("top-up", (Line(WALLET, 5 * 1999), Line(FUNDING, -5 * 1999))),
        "order-0-1": ("order order", (Line(WALLET, -1999), Line(SALES, 1999))),
        "order-1-1": ("order order: held", (Line(WALLET, -1999), Line(HELD, 1999))),
        "order-1-1-c": ("order order: captured", (Line(HELD, -1999), Line(SALES, 1999))),
        "order-2-1": ("order order: held", (Line(WALLET, -1999), Line(HELD, 1999))),
        "order-2-1-c": ("order order: released", (Line(HELD, -1999), Line(WALLET, 1999))),
        "order-3-1": ("order order: payment closed", (Line(SALES, 0), Line(FUNDING, 0))),
        "order-r1": ("order order: refund", (Line(SALES, -500), Line(WALLET, 500))),
    }


async def test_points_and_money_of_one_ledger_stay_apart(ledger: Ledger, wallet: WalletChannel) -> None:
    points = WalletChannel(ledger, VirtualClock(), name="points")
    assert (wallet.name, points.name) == ("wallet", "points")
    in_points = Charge("order-1-1", "order", "ann", Money(40, define_currency("POINTS").code))
    await top_up(ledger, 1999)
    assert isinstance(await points.hold(in_points), Short)
    lines = (Line(WALLET, 40), Line(FUNDING, -40))
    await ledger.post(Posting("gift", "ann", "POINTS", lines), 1)
    assert await points.hold(in_points) == HeldThere(in_points.amount, in_points.key)
    assert await wallet.charge(CHARGE) == PAID
    assert await points.capture(in_points) == Captured(in_points.amount, in_points.key)
    assert (await ledger.trial_balance())["POINTS"] == {WALLET: 0, HELD: 0, SALES: 40, FUNDING: -40}
    assert await books(ledger) == {SALES: 1999, FUNDING: -1999}


@pytest.mark.parametrize("at_most", [False, True])
async def test_a_charged_key_cannot_be_held(ledger: Ledger, wallet: WalletChannel, at_most: bool) -> None:
    await top_up(ledger, 5000)
    await wallet.charge(CHARGE)
    with pytest.raises(KeyReused, match="order-0-1"):
        await wallet.hold(replace(CHARGE, at_most=at_most))
    assert await books(ledger) == {WALLET: 3001, SALES: 1999, FUNDING: -5000}


@pytest.mark.parametrize(
    "other",
    [
        replace(CHARGE, amount=Money(1998, "USD")),
        replace(CHARGE, amount=Money(1999, "EUR")),
        replace(CHARGE, order_id="another"),
    ],
    ids=["less", "currency", "order"],
)
async def test_at_most_is_no_leave_to_use_the_key_of_another_hold(
    ledger: Ledger, wallet: WalletChannel, other: Charge
) -> None:
    await top_up(ledger, 5000)
    assert await wallet.hold(CHARGE) == SET_ASIDE
    with pytest.raises(KeyReused, match="no hold of at most"):
        await wallet.hold(replace(other, at_most=True))
    assert await wallet.query(CHARGE) == SET_ASIDE


class Overtaken(MemoryLedger):
    """A ledger where somebody else holds the money of the same key just after one question was answered."""

    after = ""

    async def find(self, uid: str, key: str) -> Posting | None:
        found = await super().find(uid, key)
        await self._overtake("find")
        return found

    async def balance(self, uid: str, currency: str) -> int:
        balance_minor = await super().balance(uid, currency)
        await self._overtake("balance")
        return balance_minor

    async def _overtake(self, asked: str) -> None:
        if self.after == asked:
            self.after = ""
            await WalletChannel(MemoryLedger(self._database), VirtualClock()).hold(replace(CHARGE, at_most=True))


@pytest.mark.parametrize("after", ["find", "balance"])
async def test_whoever_is_overtaken_learns_what_was_held(after: str) -> None:
    ledger = Overtaken(MemoryDatabase())
    await top_up(ledger, 300)
    ledger.after = after
    held = await WalletChannel(ledger, VirtualClock()).hold(replace(CHARGE, at_most=True))
    assert held == HeldThere(Money(300, "USD"), CHARGE.key)
    assert ledger.after == ""
    assert await books(ledger) == {HELD: 300, FUNDING: -300}


class Restless(MemoryLedger):
    """A ledger whose wallets are emptier whenever something is to be taken out of them."""

    async def post(self, posting: Posting, at_us: int) -> bool:
        key = f"elsewhere-{await self.balance('ann', 'USD')}"
        await super().post(Posting(key, "ann", "USD", (Line(WALLET, -1), Line(SALES, 1))), at_us)
        return await super().post(posting, at_us)


async def test_a_balance_that_never_stands_still_is_not_held_for_ever() -> None:
    database = MemoryDatabase()
    await top_up(MemoryLedger(database), 1000)
    wallet = WalletChannel(Restless(database), VirtualClock())
    with pytest.raises(Unavailable, match="nothing was held") as caught:
        await wallet.hold(replace(CHARGE, at_most=True))
    assert not isinstance(caught.value, OutcomeUnknown)
    assert await wallet.query(CHARGE) == NotFound()
    assert await MemoryLedger(database).balance("ann", "USD") == 990


async def test_the_end_of_a_hold_is_never_taken_from_another_posting(ledger: Ledger, wallet: WalletChannel) -> None:
    await top_up(ledger, 5000)
    await wallet.hold(CHARGE)
    await top_up(ledger, 1, f"{CHARGE.key}-c")
    for ask in (wallet.query, wallet.capture, wallet.close):
        with pytest.raises(KeyReused, match="no end of the hold order-0-1: 'top-up'"):
            await ask(CHARGE)
    assert (await books(ledger))[HELD] == 1999


async def test_a_refund_is_never_taken_from_another_posting(ledger: Ledger, wallet: WalletChannel) -> None:
    await top_up(ledger, 5000)
    await wallet.charge(CHARGE)
    await top_up(ledger, 500, REFUND.key)
    with pytest.raises(KeyReused, match="no refund: 'top-up'"):
        await wallet.query_refund(REFUND)
    with pytest.raises(KeyReused):
        await wallet.refund(REFUND)
    assert (await books(ledger))[SALES] == 1999


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (replace(REFUND, payment_reference="order-9-9"), "has paid nothing for order order under 'order-9-9'"),
        (replace(REFUND, payment_reference="top-up"), "has paid nothing"),
        (replace(REFUND, uid="eve"), "'eve' has paid nothing"),
        (replace(REFUND, order_id="another"), "has paid nothing for order another"),
        (replace(REFUND, payment_amount=Money(2000, "USD")), "no payment of 20.00 USD"),
        (replace(REFUND, amount=Money(2000, "USD")), "not between nothing and the 19.99 USD"),
        (replace(REFUND, amount=Money(0, "USD")), "not between nothing"),
        (replace(REFUND, amount=Money(5, "EUR")), "a payment in USD"),
    ],
    ids=["payment", "no payment", "user", "order", "paid amount", "too much", "nothing", "currency"],
)
async def test_what_was_not_paid_so_does_not_go_back(
    ledger: Ledger, wallet: WalletChannel, wrong: RefundOrder, why: str
) -> None:
    await top_up(ledger, 5000)
    await wallet.charge(CHARGE)
    refused = await wallet.refund(wrong)
    assert isinstance(refused, Refused)
    assert why in refused.why
    assert await wallet.query_refund(wrong) == NotFound()
    assert (await books(ledger))[SALES] == 1999


class LosesAnswers(MemoryLedger):
    """A ledger whose commits happen, and whose answers are lost; or that cannot be reached."""

    error: Unavailable

    async def post(self, posting: Posting, at_us: int) -> bool:
        if isinstance(self.error, CommitUnknown):
            await super().post(posting, at_us)
        raise self.error


async def test_a_lost_answer_is_an_unknown_outcome_and_a_query_resolves_it() -> None:
    database = MemoryDatabase()
    await top_up(MemoryLedger(database), 2 * 1999)
    ledger = LosesAnswers(database)
    ledger.error = CommitUnknown()
    wallet = WalletChannel(ledger, VirtualClock())
    other = replace(CHARGE, key="order-1-1")
    for ask, charge, truth in (
        (wallet.charge, CHARGE, PAID),
        (wallet.hold, other, HeldThere(PRICE, other.key)),
        (wallet.capture, other, Captured(PRICE, other.key)),
        (wallet.close, replace(CHARGE, key="order-2-1"), ClosedThere()),
    ):
        with pytest.raises(OutcomeUnknown):
            await ask(charge)
        assert await wallet.query(charge) == truth
    with pytest.raises(OutcomeUnknown):
        await wallet.refund(REFUND)
    assert await wallet.query_refund(REFUND) == Returned(REFUND.key)
    assert await books(ledger) == {WALLET: 500, SALES: 2 * 1999 - 500, FUNDING: -2 * 1999}


async def test_a_ledger_out_of_reach_is_unavailable_and_not_unknown() -> None:
    database = MemoryDatabase()
    await top_up(MemoryLedger(database), 5000)
    near = WalletChannel(MemoryLedger(database), VirtualClock())
    paid, held = replace(CHARGE, key="order-1-1"), replace(CHARGE, key="order-2-1")
    await near.charge(paid)
    await near.hold(held)
    before = await books(MemoryLedger(database))
    away = LosesAnswers(database)
    away.error = Unavailable()
    wallet = WalletChannel(away, VirtualClock())
    refund = replace(REFUND, payment_reference=paid.key)
    asks = [wallet.charge(CHARGE), wallet.hold(CHARGE), wallet.close(CHARGE), wallet.capture(held), wallet.close(held)]
    for ask in (*asks, wallet.refund(refund)):
        with pytest.raises(Unavailable) as caught:
            await ask
        assert not isinstance(caught.value, CommitUnknown)
    assert await wallet.query(CHARGE) == await wallet.query_refund(refund) == NotFound()
    assert await books(MemoryLedger(database)) == before


def test_a_notification_to_the_wallet_is_never_believed(wallet: WalletChannel) -> None:
    with pytest.raises(BadNotification):
        wallet.verify(b"{}", {})
