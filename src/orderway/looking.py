"""Looking at orders: one or many, their journals, and what happens to them next."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from orderway.core import ids
from orderway.core.journal import Entry
from orderway.core.order import Order
from orderway.core.payment import LegState
from orderway.errors import OrderNotFound
from orderway.explain import Explanation, explain
from orderway.outside import Outside
from orderway.payments import payer_details
from orderway.ports.store import Page, Query

__all__ = ["Looking"]


class Looking(Outside):
    """The part of an App that looks and changes nothing."""

    hint: Callable[[str], Awaitable[bool]]

    async def get(self, order_id: str) -> Order[Any]:
        """The order as committed last. Where the outcome of its payment is unknown, its channel is asked soon.

        Raises:
            OrderNotFound: there is none.
            InvalidValue: this is no order id.
        """
        self._ready()
        ids.check_order_id(order_id)
        order = self._adopt(await self.ports.store.get(order_id))
        if any(leg.state is LegState.UNKNOWN for leg in order.legs) and order.holder is None:
            await self.hint(order_id)  # somebody wants to know: ask its channel now, not on schedule
        return order

    async def find(self, order_id: str) -> Order[Any] | None:
        """The order as committed last, or None where there is none.

        Raises:
            InvalidValue: this is no order id.
        """
        try:
            return await self.get(order_id)
        except OrderNotFound:
            return None

    async def overview(self) -> Mapping[str, Any]:
        """Counts over all orders: see ``Store.overview``; and ``unserved``, the due orders of types not served here."""
        self._ready()
        counts = await self.ports.store.overview(self.clock.now_us())
        unserved = {kind: count for kind, count in counts["due_by_type"].items() if kind not in self.businesses}
        return {**counts, "unserved": unserved}

    async def journal(self, order_id: str) -> Sequence[Entry]:
        """The order's journal, oldest first."""
        self._ready()
        ids.check_order_id(order_id)
        return await self.ports.store.entries(order_id)

    async def payment_details(self, order_id: str) -> Any | None:
        """What the payer of an order needs, as its channel gave it: a link, what a QR code shows.

        It is there once ``forward`` has asked the channel, and as long as the order waits for its payment.

        Returns:
            What the channel gave, decoded from JSON; None if it gave nothing, or if the order does not wait.

        Raises:
            OrderNotFound: there is no such order.
            InvalidValue: this is no order id.
        """
        order = await self.get(order_id)
        return payer_details(order, await self.ports.store.entries(order_id))

    async def list(self, query: Query | None = None, **conditions: Any) -> Page:
        """Orders that satisfy a ``Query``, given whole or as its fields: ``list(uid="user-7", descending=True)``."""
        self._ready()
        return await self.ports.store.list(query or Query(**conditions))

    async def explain(self, order_id: str) -> Explanation:
        """What happens to an order next, when, and why not yet."""
        self._ready()
        ids.check_order_id(order_id)
        order = await self.ports.store.get(order_id)
        workers = await self.ports.workers.names()
        return explain(order, self.clock.now_us(), workers, self.businesses.get(order.type))
