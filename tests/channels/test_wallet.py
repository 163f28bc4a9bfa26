"""The wallet channel over a real ledger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orderway.adapters import open_ports
from orderway.channels.wallet import WalletChannel
from orderway.core.money import Money
from orderway.errors import BadNotification, CommitUnknown, InvalidValue, KeyReused, OutcomeUnknown, Unavailable
from orderway.memory import MemoryDatabase, MemoryLedger
from orderway.ports.channel import Captured, Charge, ClosedThere, NotFound, Short
from orderway.ports.ledger import FUNDING, SALES, WALLET, Ledger, Line, Posting
from orderway.testing.clock import VirtualClock

PRICE = Money(1999, "USD")
CHARGE = Charge("order-0-1", "order", "ann", PRICE)
PAID = Captured(PRICE, "order-0-1")


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


class LosesAnswers(MemoryLedger):
    """A ledger whose commits happen, and whose answers are lost; or that cannot be reached."""

    error: Unavailable

    async def post(self, posting: Posting, at_us: int) -> bool:
        if isinstance(self.error, CommitUnknown):
            await super().post(posting, at_us)
        raise self.error


async def test_a_lost_answer_is_an_unknown_outcome_and_a_query_resolves_it() -> None:
    database = MemoryDatabase()
    await top_up(MemoryLedger(database), 1999)
    ledger = LosesAnswers(database)
    ledger.error = CommitUnknown()
    wallet = WalletChannel(ledger, VirtualClock())
    with pytest.raises(OutcomeUnknown):
        await wallet.charge(CHARGE)
    assert await wallet.query(CHARGE) == PAID


async def test_a_ledger_out_of_reach_is_unavailable_and_not_unknown(ledger: Ledger) -> None:
    away = LosesAnswers(MemoryDatabase())
    away.error = Unavailable()
    wallet = WalletChannel(away, VirtualClock())
    for ask in (wallet.charge, wallet.close):
        with pytest.raises(Unavailable):
            await ask(CHARGE)
    assert await wallet.query(CHARGE) == NotFound()


def test_a_notification_to_the_wallet_is_never_believed(wallet: WalletChannel) -> None:
    with pytest.raises(BadNotification):
        wallet.verify(b"{}", {})
