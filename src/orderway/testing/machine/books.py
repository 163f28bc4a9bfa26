"""The model beside the machine: what was told to the orders, and what must hold of them after every step."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from orderway.core.journal import Entry, check_chain, differences, replay
from orderway.core.order import Order, Stage
from orderway.core.payment import GATEWAY, Leg, LegState
from orderway.ports.ledger import WALLET
from orderway.ports.store import Query
from orderway.testing.machine.world import World

__all__ = ["CURRENCY", "Books"]

CURRENCY = "CNY"
AFTER_DELIVERY = {Stage.DELIVERED, Stage.FINISHED, Stage.FAILING, Stage.STUCK}
GOT = {LegState.PAID, LegState.UNEXPECTED}


class Books:
    """Plain facts, kept apart from the package: who topped up what, who paid what, which orders were made.

    Args:
        world: what they are about.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.wallets: Counter[str] = Counter()
        """Top-ups less debits, by uid."""
        self.keys: dict[tuple[str, str], int] = {}
        """Applied top-ups (positive) and debits (negative), by uid and key."""
        self.told: defaultdict[str, dict[str, int]] = defaultdict(dict)
        """Payments recorded through the gateway: by order, reference and amount."""
        self.rows: dict[str, Order[Any]] = {}
        self.journals: dict[str, Sequence[Entry]] = {}
        self.created: set[str] = set()
        self._seen_paid: dict[str, int] = {}

    async def check(self) -> None:
        """Everything that holds after any step; only orders that moved are replayed."""
        store = self.world.observer.store
        page = await store.list(Query(limit=1000))
        assert {row.id for row in page.orders} == self.created, "orders came or went by themselves"
        for row in page.orders:
            _check_row(row)
            known = self.rows.get(row.id)
            if known is None or known.version != row.version:
                self._check_journal(row, await store.entries(row.id))
            self.rows[row.id] = row
        self._check_goods()
        await self._check_wallets()
        for order_id, told in self.told.items():
            legs = [leg for leg in self.rows[order_id].legs if leg.channel == GATEWAY and leg.state in GOT]
            kept = Counter((leg.reference, leg.captured_minor) for leg in legs)
            assert kept == Counter(told.items()), f"{order_id}: told of {told}, kept {kept}"

    def check_settled(self) -> None:
        """What holds besides when nothing is due any more."""
        for row in self.rows.values():
            assert row.is_final, f"{row.id} is {row.stage} though nothing is due"
            if row.stage is Stage.STUCK:
                assert row.why, f"{row.id} is stuck without a reason"
            if row.paid_minor:
                assert row.stage in {Stage.FINISHED, Stage.STUCK}, f"{row.id} is paid and {row.stage}"
            self._check_hooks(row)
        self._check_captures()

    def _check_journal(self, row: Order[Any], entries: Sequence[Entry]) -> None:
        before = self.journals.get(row.id, ())
        assert list(entries[: len(before)]) == list(before), f"{row.id}: its journal was rewritten"
        assert not check_chain(entries)
        problems = differences(row, replay(entries))
        assert not problems, problems
        facts = Counter(entry.fact for entry in entries)
        assert facts["Paid"] <= 1
        assert facts["Delivered"] <= 1
        if facts["Delivered"]:
            assert row.paid_minor == row.amount_minor, f"{row.id} was delivered and is paid {row.paid_minor}"
            assert row.stage in AFTER_DELIVERY, f"{row.id} was delivered and is {row.stage}"
        if facts["Finished"]:
            assert row.stage is Stage.FINISHED, f"{row.id} was finished and is {row.stage}"
        known = self.rows.get(row.id)
        if known is not None:
            assert row.paid_minor >= known.paid_minor, f"{row.id}: paid money went away"
        self.journals[row.id] = entries

    def _check_goods(self) -> None:
        delivered = Counter(self.world.grounds.delivered())
        shop = Counter(self.world.shop_delivered())
        for order_id, entries in self.journals.items():
            marked = sum(entry.fact == "Delivered" for entry in entries)
            if self.rows[order_id].type == 3:
                assert marked <= shop[order_id] <= 1, f"{order_id}: {shop[order_id]} deliveries, {marked} journaled"
            else:
                assert delivered[order_id] == marked, (
                    f"{order_id}: {delivered[order_id]} deliveries, {marked} journaled"
                )

    async def _check_wallets(self) -> None:
        """Money in is money kept: what left a wallet is in a paid leg, or on its way into one."""
        ledger = self.world.observer.ledger
        spent: Counter[str] = Counter()
        for row in self.rows.values():
            for leg in row.legs:
                if leg.channel != WALLET:
                    continue
                taken = self._seen_paid.get(row.id) or await self._taken(row, leg)
                if taken != leg.captured_minor:
                    on_its_way = Stage.CREATED in {row.stage, row.resume_stage} and not leg.captured_minor
                    assert on_its_way, f"{row.id}: {taken} taken, {row.stage}, {leg}"
                elif taken:
                    self._seen_paid[row.id] = taken  # a posting is for ever: no need to look for it again
                spent[row.uid] += taken
        for uid in self.wallets.keys() | spent.keys():
            balance = await ledger.balance(uid, CURRENCY)
            assert balance == self.wallets[uid] - spent[uid], f"{uid} has {balance}"
        for currency, accounts in (await ledger.trial_balance()).items():
            assert sum(accounts.values()) == 0, f"{currency} does not balance: {accounts}"

    async def _taken(self, row: Order[Any], leg: Leg) -> int:
        posting = await self.world.observer.ledger.find(row.uid, row.payment_key(leg))
        return -sum(line.amount_minor for line in posting.lines if line.account == WALLET) if posting else 0

    def _check_hooks(self, row: Order[Any]) -> None:
        ended = row.stage in {Stage.CANCELLED, Stage.REJECTED, Stage.CLOSED, Stage.STUCK}
        if ended and row.type in {1, 3}:
            assert self.world.hooks_done[row.id, "ended"], f"{row.id} is {row.stage}, its ended hook never ran"
        if row.stage is Stage.FINISHED and row.type == 1:
            assert self.world.hooks_done[row.id, "finished"], f"{row.id}: its finished hook never ran"

    def _check_captures(self) -> None:
        """What the channel took is in the legs; an order that is stuck unpaid may not have heard of it yet."""
        taken = {(money.order_id, money.reference, money.amount.amount_minor) for money in self.world.channel.taken()}
        kept = {
            (row.id, leg.reference, leg.captured_minor)
            for row in self.rows.values()
            for leg in row.legs
            if leg.channel == "scripted" and leg.state in GOT
        }
        assert not kept - taken, f"believed, and never taken: {kept - taken}"
        lost = {money for money in taken - kept if self.rows[money[0]].resume_stage is not Stage.CREATED}
        assert not lost, f"taken, and nobody knows: {lost}"


def _check_row(row: Order[Any]) -> None:
    if row.is_final:
        assert row.due_at_us is None, f"{row.id} is {row.stage} and due"
        assert row.holder is None, f"{row.id} is {row.stage} and held"
    else:
        assert row.due_at_us is not None, f"{row.id} is {row.stage}, and nobody will look at it again"
    for leg in row.legs:
        assert 0 <= leg.refunded_minor + leg.refunding_minor <= leg.captured_minor <= leg.authorized_minor
