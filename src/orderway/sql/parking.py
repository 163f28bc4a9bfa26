"""Parked payments in a SQL database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, select, tuple_

from orderway.ports.limits import check_page, too_long_in_parked
from orderway.ports.parking import ParkedPayment
from orderway.sql.cluster import Cluster
from orderway.sql.operations import Park, PostponeParked, Release
from orderway.sql.rows import PARKED_COLUMNS

__all__ = ["SqlParking"]


class SqlParking:
    """The ``Parking`` port; see there for what each method promises."""

    def __init__(self, cluster: Cluster) -> None:
        self._database = cluster.home

    async def park(self, payment: ParkedPayment) -> bool:
        """Keep a payment; False if one with this channel and reference is kept already."""
        misfit = too_long_in_parked(payment)
        if misfit is not None:
            raise misfit
        return await self._database.write(Park(payment))

    async def due(self, now_us: int, limit: int) -> Sequence[ParkedPayment]:
        """Payments whose time has come, the longest due first."""
        check_page(limit)
        parked = self._database.tables.common.parked.c
        due = self._select().where(parked.due_at_us <= now_us)
        return await self._fetch(due.order_by(parked.due_at_us, parked.channel, parked.reference), limit)

    async def postpone(self, channel: str, reference: str, due_at_us: int) -> None:
        """Look for this payment's order again at this time."""
        await self._database.write(PostponeParked(channel, reference, due_at_us))

    async def release(self, channel: str, reference: str) -> bool:
        """Let go of a payment; False if it is not there."""
        return await self._database.write(Release(channel, reference))

    async def list(self, after: tuple[str, str] | None = None, limit: int = 50) -> Sequence[ParkedPayment]:
        """All parked payments by (channel, reference)."""
        check_page(limit)
        parked = self._database.tables.common.parked.c
        every = self._select()
        if after is not None:
            every = every.where(tuple_(parked.channel, parked.reference) > after)
        return await self._fetch(every.order_by(parked.channel, parked.reference), limit)

    def _select(self) -> Select[Any]:
        parked = self._database.tables.common.parked.c
        return select(*(parked[name] for name in PARKED_COLUMNS))

    async def _fetch(self, query: Select[Any], limit: int) -> Sequence[ParkedPayment]:
        return [ParkedPayment(*row) for row in await self._database.fetch(query.limit(limit))]
