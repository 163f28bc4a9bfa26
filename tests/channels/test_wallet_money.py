"""Whatever is asked of the wallet channel at once, and whatever answers are lost: money is only moved, never made."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from orderway.channels.wallet import WalletChannel
from orderway.core.money import Money
from orderway.errors import CommitUnknown, KeyReused, OutcomeUnknown, Unavailable
from orderway.memory import MemoryDatabase, MemoryLedger
from orderway.ports.channel import (
    Captured,
    Charge,
    ClosedThere,
    HeldThere,
    NotFound,
    Outcome,
    RefundOrder,
    Refused,
    Returned,
    Short,
)
from orderway.ports.ledger import FUNDING, HELD, SALES, WALLET, Line, Posting
from orderway.testing.clock import VirtualClock

EXAMPLES = 150
ENDOWMENT = 1000
KEYS = [f"order{number}-0-1" for number in range(3)]

Ask = tuple[str, str, int]
"""What is asked, of which key, and how much."""

asks = st.tuples(
    st.sampled_from(["charge", "hold", "hold at most", "capture", "close", "query", "refund"]),
    st.sampled_from(KEYS),
    st.sampled_from([1, 300, 700, 5000]),
)
batches = st.lists(st.lists(asks, min_size=1, max_size=5), min_size=1, max_size=6)
turns = st.lists(st.integers(0, 3), max_size=40)
fates = st.lists(st.sampled_from(["answered", "answered", "lost", "away"]), max_size=20)


class Interleaved(MemoryLedger):
    """A ledger whose calls wait for their turns as they were drawn, and whose answers get lost."""

    def __init__(self, database: MemoryDatabase, turns: Iterator[int], fates: Iterator[str]) -> None:
        super().__init__(database)
        self._turns, self._fates = turns, fates

    async def post(self, posting: Posting, at_us: int) -> bool:
        await self._wait()
        fate = next(self._fates, "answered")
        if fate == "away":
            raise Unavailable()
        is_new = await super().post(posting, at_us)
        if fate == "lost":
            raise CommitUnknown()
        return is_new

    async def find(self, uid: str, key: str) -> Posting | None:
        await self._wait()
        return await super().find(uid, key)

    async def balance(self, uid: str, currency: str) -> int:
        await self._wait()
        return await super().balance(uid, currency)

    async def _wait(self) -> None:
        for _ in range(next(self._turns, 0)):
            await asyncio.sleep(0)  # the others go first


class Shop:
    """Asks the wallet channel, and never for more refunds of a payment than it was."""

    def __init__(self, turns: Sequence[int], fates: Sequence[str]) -> None:
        database = MemoryDatabase()
        self.ledger = MemoryLedger(database)
        self.wallet = WalletChannel(self.ledger, VirtualClock())
        self.shaky = WalletChannel(Interleaved(database, iter(turns), iter(fates)), VirtualClock())
        self.refunds: list[RefundOrder] = []
        self.refunding: Counter[str] = Counter()
        self.ended: dict[str, Outcome] = {}
        self.numbers = count(1)

    async def ask(self, ask: Ask) -> None:
        kind, key, amount_minor = ask
        charge = charge_of(key, amount_minor, at_most=kind == "hold at most")
        try:
            if kind == "refund":
                await self.refund(charge)
            else:
                outcome = await getattr(self.shaky, kind.split()[0])(charge)
                assert isinstance(outcome, Captured | HeldThere | ClosedThere | NotFound | Short)
        except (KeyReused, OutcomeUnknown, Unavailable):
            pass  # what really happened is asked below

    async def refund(self, charge: Charge) -> None:
        paid = await self.wallet.query(charge)
        if not isinstance(paid, Captured):
            unpaid = RefundOrder(f"{charge.key}-none", "no order", charge.uid, charge.amount, charge.key, charge.amount)
            assert isinstance(await self.shaky.refund(unpaid), Refused)
            return
        back_minor = min(charge.amount.amount_minor, paid.amount.amount_minor - self.refunding[charge.key])
        if not back_minor:
            return
        key = f"{charge.order_id}-r{next(self.numbers)}"
        back = Money(back_minor, "USD")
        refund = RefundOrder(key, charge.order_id, charge.uid, back, paid.reference, paid.amount)
        self.refunding[charge.key] += back_minor
        self.refunds.append(refund)
        assert await self.shaky.refund(refund) == Returned(key)

    async def check(self) -> None:
        outcomes = {key: await self.wallet.query(charge_of(key, 1)) for key in KEYS}
        for key, ended in self.ended.items():
            assert outcomes[key] == ended
        self.ended = {key: each for key, each in outcomes.items() if isinstance(each, Captured | ClosedThere)}
        returned = [each for each in self.refunds if await self.wallet.query_refund(each) == Returned(each.key)]
        held = sum(each.amount.amount_minor for each in outcomes.values() if isinstance(each, HeldThere))
        taken = sum(each.amount.amount_minor for each in outcomes.values() if isinstance(each, Captured))
        kept = taken - sum(each.amount.amount_minor for each in returned)
        books = (await self.ledger.trial_balance())["USD"]
        assert {account: total for account, total in books.items() if total} == {
            account: total
            for account, total in {
                WALLET: ENDOWMENT - held - kept,
                HELD: held,
                SALES: kept,
                FUNDING: -ENDOWMENT,
            }.items()
            if total
        }
        assert min(held, kept, ENDOWMENT - held - kept) >= 0


def charge_of(key: str, amount_minor: int, *, at_most: bool = False) -> Charge:
    return Charge(key, key.partition("-")[0], "ann", Money(amount_minor, "USD"), at_most)


@settings(max_examples=EXAMPLES, deadline=None)
@given(batches, turns, fates)
def test_money_is_only_moved(batches: list[list[Ask]], turns: list[int], fates: list[str]) -> None:
    async def run() -> None:
        shop = Shop(turns, fates)
        lines = (Line(WALLET, ENDOWMENT), Line(FUNDING, -ENDOWMENT))
        await shop.ledger.post(Posting("top-up", "ann", "USD", lines), 1)
        for batch in batches:
            await asyncio.gather(*(shop.ask(ask) for ask in batch))
            await shop.check()

    asyncio.run(run())
