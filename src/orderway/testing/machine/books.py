"""The model beside the machine: what must hold of the orders after every step. Only what has moved is looked at."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from orderway.core.journal import Entry, check_chain, differences, fact_of, replay
from orderway.core.order import Order, Stage
from orderway.core.payment import LegState, RefundState
from orderway.testing.invariants import nothing_is_kept_for_nothing, success_stands
from orderway.testing.machine.shops import WITH_ENDED, WITHOUT_TAKE_BACK
from orderway.testing.machine.till import Till
from orderway.testing.machine.world import World

__all__ = ["Books"]

_ENDED = frozenset({Stage.CANCELLED, Stage.REJECTED, Stage.CLOSED, Stage.REFUNDED, Stage.STUCK})


class Books:
    """Plain facts, kept apart from the package: who topped up what, who paid what, which orders were made.

    Args:
        world: what they are about.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.till = Till(world)
        self.wallet_keys: dict[tuple[str, str, str], int] = {}
        """Applied top-ups (positive) and debits (negative), by uid, currency and key."""
        self.rows: dict[str, Order[Any]] = {}
        self.journals: dict[str, Sequence[Entry]] = {}
        self.facts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.created: set[str] = set()
        self._replayed: dict[str, Order[Any]] = {}

    async def check(self) -> None:
        """Everything that holds after any step."""
        changed = await self._changed()
        for row in changed:
            await self._check_row(row)
        if changed:
            _nothing(self._check_goods())
        moved = await self.till.refresh()
        for order_id in moved | {row.id for row in changed}:
            assert order_id in self.rows, f"money moved for {order_id}, which nobody made"
            _nothing(self.till.check(self.rows[order_id]))
        if moved:
            totals = await self.world.observer.ledger.trial_balance()
            _nothing(self.till.check_books({code: dict(accounts) for code, accounts in totals.items()}))

    def check_settled(self) -> None:
        """What holds besides when nothing is due any more, and a person has sent on whatever was stuck."""
        for row in self.rows.values():
            assert row.is_final, f"{row.id} is {row.stage} though nothing is due"
            _nothing(self.till.check_settled(row))
            _nothing(self._check_hooks(row))
            _nothing(check_chain(self.journals[row.id]))
            _nothing(differences(row, replay(self.journals[row.id])))
        _nothing(self.till.check_sums(self.rows.values()))

    async def _changed(self) -> list[Order[Any]]:
        found: set[str] = set()
        changed: list[Order[Any]] = []
        for row in await self.world.grounds.rows(self.world.observer):
            found.add(row.id)
            known = self.rows.get(row.id)
            if row is not known and row != known:
                changed.append(row)
        assert found == self.created, f"orders came or went by themselves: {found ^ self.created}"
        return changed

    async def _check_row(self, row: Order[Any]) -> None:
        _nothing(_problems_of(row))
        known = self.rows.get(row.id)
        self.rows[row.id] = row
        if known is None or known.version != row.version:
            entries = await self.world.observer.store.entries(row.id)
            self._check_journal(row, entries)
            if known is not None:
                assert sum(leg.captured_minor for leg in row.legs) >= sum(leg.captured_minor for leg in known.legs)
        _nothing(nothing_is_kept_for_nothing(row))

    def _check_journal(self, row: Order[Any], entries: Sequence[Entry]) -> None:
        """What was written stays, and what is new leads from the row as it was to the row as it is."""
        before = self.journals.get(row.id, ())
        assert list(entries[: len(before)]) == list(before), f"{row.id}: its journal was rewritten"
        if before:
            replayed = self._replayed[row.id]
            for entry in entries[len(before) :]:
                assert entry.version == replayed.version + 1, f"{row.id}: entry {replayed.version + 1} is missing"
                replayed = replayed.after(fact_of(entry), entry.at_us)
                replayed.digest = entry.digest
        else:
            replayed = replay(entries)
        _nothing(differences(row, replayed))
        self._replayed[row.id] = replayed
        facts = self.facts[row.id]
        facts.update(entry.fact for entry in entries[len(before) :])
        if facts["Delivered"]:
            assert row.paid_minor >= row.amount_minor, f"{row.id} was delivered, and is paid {row.paid_minor}"
        if row.amount_minor:  # what cost nothing is cancelled also after its delivery, when it was taken back
            _nothing(success_stands(row, facts))
        self.journals[row.id] = entries

    def _check_goods(self) -> Iterator[str]:
        """Goods are with the user exactly where the journal says so; once, never twice."""
        delivered = Counter(self.world.grounds.delivered())
        shop = Counter(self.world.shop_delivered())
        for order_id, facts in self.facts.items():
            marked = facts["Delivered"]
            if self.rows[order_id].type in WITHOUT_TAKE_BACK:
                if not marked <= shop[order_id] <= 1:
                    yield f"{order_id}: {shop[order_id]} deliveries, {marked} journaled"
            elif delivered[order_id] != marked - min(facts["TakenBack"], marked):
                yield f"{order_id}: {delivered[order_id]} deliveries, the journal says {facts}"

    def _check_hooks(self, row: Order[Any]) -> Iterator[str]:
        done = self.world.hooks_done
        if row.stage in _ENDED and row.type in WITH_ENDED and not done[row.id, "ended"]:
            yield f"{row.id} is {row.stage}, its ended hook never ran"
        if row.stage is Stage.FINISHED and row.type == 1 and not done[row.id, "finished"]:
            yield f"{row.id}: its finished hook never ran"


def _problems_of(row: Order[Any]) -> Iterator[str]:
    if row.due_at_us is None and (row.holder is not None or not row.is_final):
        yield f"{row.id} is {row.stage}, held by {row.holder}, and nobody will look at it again"
    for leg in row.legs:
        if not 0 <= leg.refunded_minor + leg.refunding_minor <= leg.captured_minor <= leg.authorized_minor:
            yield f"{row.id}: the amounts of {leg} do not go together"
        if leg.state is LegState.HELD and leg.captured_minor:
            yield f"{row.id}: {leg} is held, and taken"
    going: Counter[int] = Counter()
    for refund in row.refunds:
        if refund.is_live or refund.state is RefundState.STUCK:
            going[refund.leg] += refund.amount_minor
    for leg in row.legs:
        if leg.refunding_minor != going[leg.number]:
            yield f"{row.id}: {leg.refunding_minor} of leg {leg.number} is reserved, its refunds come to {going}"


def _nothing(problems: Iterable[str]) -> None:
    """Nothing is wrong."""
    found = list(problems)
    assert not found, found
