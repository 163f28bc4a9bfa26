"""The machine with all its rules; here those that carry orders on and look at them."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import rule

from orderway.core.order import Order, Stage
from orderway.testing.machine.base import UIDS, Machine, counted
from orderway.testing.machine.creating import Creating
from orderway.testing.machine.operating import Operating
from orderway.testing.machine.paying import Paying
from orderway.testing.machine.trouble import Trouble
from orderway.testing.machine.world import CURRENCY

__all__ = ["JourneyMachine"]


class JourneyMachine(Creating, Paying, Operating, Trouble):
    """What may happen to orders, over one database."""

    # ---- moving ---------------------------------------------------------------------------------------------------

    @rule(order_id=Machine.orders)
    @counted
    def forward(self, order_id: str) -> None:
        before = self._before(order_id)
        worker = self.world.worker()
        goes_through = self._goes_through(before, worker.clock.now_us())
        after = self.world.run(worker.app.forward(order_id))
        assert after.version >= before.version
        if goes_through:
            assert after.stage is Stage.FINISHED, f"nothing was in the way of {after}"

    @rule(order_id=Machine.orders)
    @counted
    def hint(self, order_id: str) -> None:
        before = self._before(order_id)
        assert self.world.run(self.world.worker().app.hint(order_id)) is not before.is_final

    @rule()
    @counted
    def sweep(self) -> None:
        swept = self.world.worker()
        self.world.run(swept.app.parked.match())
        self.world.run(swept.app.sweep())
        now_us = swept.clock.now_us()
        for row in self.world.run(self.world.grounds.rows(self.world.observer)):
            overdue = row.due_at_us is not None and row.due_at_us <= now_us
            assert not overdue or row.holder is not None, f"{row.id} was due and free, and was not carried"

    def _goes_through(self, row: Order[object], now_us: int) -> bool:
        """True if nothing is in the way: forwarded now, the order must come to its end at once."""
        world = self.world
        if world.is_troubled(row.type) or world.outages or row.holder is not None or row.refunds:
            return False
        if row.stage is Stage.CREATED and [leg.channel for leg in row.legs] == ["wallet"]:
            balance = world.run(world.observer.ledger.balance(row.uid, CURRENCY))
            return balance >= row.amount_minor and row.deadline_at_us > now_us
        return row.stage is Stage.PAID

    # ---- looking --------------------------------------------------------------------------------------------------

    @rule(uid=st.none() | UIDS, limit=st.integers(1, 7), descending=st.booleans())
    @counted
    def turn_pages(self, uid: str | None, limit: int, descending: bool) -> None:
        app, found = self.world.worker().app, []
        after: str | None = None
        while True:
            page = self.world.run(app.list(uid=uid, limit=limit, descending=descending, after=after))
            found += [order.id for order in page.orders]
            after = page.next
            if after is None:
                break
        expected = [order_id for order_id, row in self.books.rows.items() if uid in {None, row.uid}]
        assert found == sorted(expected, reverse=descending)

    @rule(order_id=Machine.orders)
    @counted
    def explain(self, order_id: str) -> None:
        explained = self.world.run(self.world.worker().app.explain(order_id))
        assert explained.order.version == self._row(order_id).version
        assert explained.at is not None or explained.order.is_final
