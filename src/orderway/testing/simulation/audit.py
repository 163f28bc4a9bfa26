"""The audit: sees each change at the moment it is committed, and what must hold then."""

from __future__ import annotations

from typing import Any

from orderway.core.journal import Entry
from orderway.core.order import Order
from orderway.errors import HoldLost, StaleOrder
from orderway.ports.store import Change, Store
from orderway.testing.simulation.shop import StrictShop
from orderway.testing.simulation.virtual_time import SimulatedClock
from orderway.testing.simulation.weather import Log

__all__ = ["Audit", "AuditedStore"]

PAY_WITHIN_S = StrictShop.pay_within.total_seconds()
MOST_FACTS = 200


class Audit:
    """What was committed, over all workers.

    Args:
        log: counts the races.

    Attributes:
        problems: what was wrong, in sentences.
        lost_while_refunding: orders that lost a dispute over money that was reserved to go back, too. What the channel
            then refuses to give back it has taken already, and the row does not say so; a person is asked.
        clocks_are_right: True while no worker of this run has a wrong clock.
    """

    def __init__(self, log: Log) -> None:
        self.problems: list[str] = []
        self.lost_while_refunding: set[str] = set()
        self.clocks_are_right = True
        self._log = log
        self._versions: dict[str, int] = {}
        self._to_be_paid_by_s: dict[str, float] = {}
        self._resumed: set[str] = set()
        self._clock = SimulatedClock()
        self._now_s = self._clock.monotonic_s

    def created(self, order: Order[Any]) -> None:
        """An order is there."""
        self._versions.setdefault(order.id, 1)
        self._to_be_paid_by_s.setdefault(order.id, self._now_s() + PAY_WITHIN_S)

    def lost(self, change: Change, kind: str) -> None:
        """A change was refused, because somebody else was first."""
        self._log.fault("store", kind, f"{_facts(change)} of {change.order.id}")

    def committed(self, change: Change) -> None:
        """A change is in the store."""
        order, facts = change.order, {entry.fact for entry in change.entries}
        self._log.note("store", f"{_facts(change)} of {order.id}")
        if change.expected_version != self._versions[order.id]:
            self.problems.append(
                f"{_facts(change)} of {order.id} was written over version {self._versions[order.id]}, "
                f"knowing only version {change.expected_version}"
            )
        self._versions[order.id] = order.version
        for leg in order.legs:
            if not 0 <= leg.refunded_minor + leg.refunding_minor <= leg.captured_minor <= leg.authorized_minor:
                self.problems.append(f"after {_facts(change)} of {order.id} its amounts cannot be: {leg}")
        if order.version > MOST_FACTS:
            self.problems.append(f"{order.id} has {order.version} facts, and no end: {_facts(change)}")
        if order.paid_minor > order.amount_minor:
            self.problems.append(f"after {_facts(change)} {order.id} is paid {order.paid_minor} of {order.amount}")
        if "DisputeLost" in facts and any(leg.refunding_minor for leg in order.legs):
            self._log.fault("store", "lost while refunding", order.id)
            self.lost_while_refunding.add(order.id)
        if "Reopened" in facts:
            self._to_be_paid_by_s[order.id] = self._now_s() + PAY_WITHIN_S
        if "Resumed" in facts:
            self._resumed.add(order.id)
        if "Closed" in facts:
            self._closed(order)

    def _closed(self, order: Order[Any]) -> None:
        """An order was closed since nobody paid in time: as its own row has the time, or only as a wrong clock has."""
        if order.id in self._resumed:  # its channel may have closed the payment before it got stuck
            return
        if self.clocks_are_right:
            if self._clock.now_us() < order.deadline_at_us:
                self.problems.append(f"{order.id} was closed before its time, and every clock is right")
        elif self._now_s() < self._to_be_paid_by_s[order.id]:
            self._log.fault("store", "closed early", order.id)


class AuditedStore:
    """A store under audit.

    Args:
        store: the store itself.
        audit: is told of each change.
    """

    def __init__(self, store: Store, audit: Audit) -> None:
        self._store = store
        self._audit = audit

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._store, attribute)

    async def create(self, order: Order[Any], entry: Entry) -> Order[Any]:
        """Create it, and tell the audit."""
        created = await self._store.create(order, entry)
        self._audit.created(created)
        return created

    async def record(self, change: Change) -> None:
        """Record it, and tell the audit before anything else happens."""
        try:
            await self._store.record(change)
        except (HoldLost, StaleOrder):
            row = await self._store.get(change.order.id)
            is_taken_over = change.guard is not None and row.holder != change.guard
            self._audit.lost(change, "lost holder" if is_taken_over else "lost race")
            raise
        self._audit.committed(change)


def _facts(change: Change) -> str:
    return ", ".join(entry.fact for entry in change.entries)
