"""The operators of a shop: they give money back, cancel what was delivered, and decide about what is stuck."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from orderway.app import App
from orderway.core.order import Order, Stage
from orderway.core.payment import LegState
from orderway.demo.fates import After, Deal
from orderway.demo.tally import Tally, What
from orderway.errors import Unavailable

__all__ = ["Operators"]

LOOK_EVERY_S = 0.2
ACTOR = "operator"
KEY = "desk"
"""The key of a refund at the desk: asked for again under it, nothing goes back twice."""


class Operators:
    """Do what was dealt to the lines they are told of. They, too, forget everything when their shop is killed.

    Args:
        app: of their shop.
        tally: counts what they ask for a second time.
    """

    def __init__(self, app: App, tally: Tally) -> None:
        self._app = app
        self._tally = tally
        self._waiting: dict[str, Deal] = {}

    def look_after(self, deal: Deal) -> None:
        """See to the order of a line, as soon as it is as far as that."""
        if deal.needs_operator:
            self._waiting[deal.order_id] = deal

    async def work(self, stop: asyncio.Event) -> None:
        """Look again and again at what waits, until stopped."""
        while not stop.is_set():
            await asyncio.gather(*(self._look(deal) for deal in [*self._waiting.values()]))
            await self._app.clock.wait(stop, LOOK_EVERY_S)

    async def _look(self, deal: Deal) -> None:
        order = await self._app.get(deal.order_id)
        if not order.is_final:
            return
        try:
            await self._act(order, deal)
        except Unavailable:
            return  # a database that is busy is asked again
        del self._waiting[deal.order_id]

    async def _act(self, order: Order[Any], deal: Deal) -> None:
        if order.refunds or order.stage not in {Stage.FINISHED, Stage.STUCK}:
            self._tally.add(What.OPERATED_AGAIN)  # done before the shop was killed: asking again does nothing
        match deal.after:
            case After.PART_BACK:
                await self._give_back(order, deal, "one disc is scratched", by="ratio")
            case After.PART_REFUSED:
                await self._give_back(order, deal, "one disc is scratched", by="reverse")
            case After.ALL_BACK:
                await self._app.refund(order.id, key=KEY, actor=ACTOR, reason="the wrong record; keep it")
            case After.TAKEN_BACK:
                await self._app.cancel(order.id, actor=ACTOR, reason="sent back unopened")
            case _:
                await self._undo_odd(order)

    async def _give_back(self, order: Order[Any], deal: Deal, reason: str, by: Any) -> None:
        await self._app.refund(order.id, deal.part_back, key=KEY, actor=ACTOR, reason=reason, by=by)

    async def _undo_odd(self, order: Order[Any]) -> None:
        """Too little came, or euros: what came goes back, what is held is released, the order is cancelled."""
        odd: Sequence[int] = [leg.number for leg in order.legs if leg.state is LegState.UNEXPECTED]
        for number in odd:
            await self._app.refund(order.id, key=KEY, leg=number, actor=ACTOR, reason="not what was asked for")
        await self._app.cancel(order.id, actor=ACTOR, reason="not paid as agreed")
