"""Gauges: what waits in the database, read on a timer and never as a side effect of work."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from orderway.core.order import Status
from orderway.errors import Unavailable
from orderway.logs import tell_bug
from orderway.ports.clock import Clock
from orderway.ports.store import Store

__all__ = ["Gauges"]

logger = logging.getLogger("orderway")

UNSERVED_AFTER_S = 60.0
"""So long orders of a type must be due before it is said that nobody serves it: they may be due for other reasons."""
LARGEST_SHARE = 0.05
"""Of the time, at most this part is spent on reading."""


class Gauges(Collector):
    """The state of the orders' database as it was read last; nothing before it was read.

    Args:
        store: over the database.
        clock: for the reading.
        served: the order types that this process serves.
        registry: where they are registered.
    """

    def __init__(self, store: Store, clock: Clock, served: Collection[int], registry: CollectorRegistry) -> None:
        self._store = store
        self._clock = clock
        self._served = served
        self._counts: Mapping[str, Any] | None = None
        self._read_at_us = 0
        self._warned: frozenset[int] = frozenset()
        self._failures = Counter(
            "orderway_overview_failures",
            "How often the gauges could not be read from the database.",
            registry=registry,
        )
        registry.register(self)

    async def read(self) -> None:
        """Read them.

        Raises:
            Unavailable: the database does not answer; the last ones stay.
        """
        now_us = self._clock.now_us()
        self._counts, self._read_at_us = await self._store.overview(now_us), now_us
        self._warn_of_unserved(self._unserved())

    async def run(self, stop: asyncio.Event, every_s: float) -> None:
        """Read them again and again until told to stop; more seldom where that takes long: see ``LARGEST_SHARE``.

        While the database does not answer, the last ones stay, and failures are counted.
        """
        while not stop.is_set():
            began_s = self._clock.monotonic_s()
            try:
                await self.read()
            except Unavailable:
                self._failures.inc()
            except Exception as error:  # noqa: BLE001 - a reader that stopped would be missed by a dashboard only
                tell_bug("the gauges could not be read", error)
                self._failures.inc()
            took_s = self._clock.monotonic_s() - began_s
            await self._clock.wait(stop, max(every_s, took_s / LARGEST_SHARE))

    def collect(self) -> Iterable[Metric]:
        """The gauges, as Prometheus reads them."""
        yield _gauge(
            "orderway_order_type_served",
            "1 for each order type that this process serves.",
            "order_type",
            dict.fromkeys(self._served, 1),
        )
        if self._counts is not None:
            yield from self._read_gauges(self._counts, self._read_at_us)

    def describe(self) -> Iterable[Metric]:
        """All gauges, without values: they need not have been read."""
        yield from self._read_gauges(_NOTHING, 0)
        yield _gauge("orderway_order_type_served", "", "order_type", {})

    def _read_gauges(self, counts: Mapping[str, Any], now_us: int) -> Iterable[Metric]:
        by_status = {status.name.lower(): counts["by_status"].get(status, 0) for status in Status}
        yield _gauge("orderway_orders", "Orders by status.", "status", by_status)
        ages_s = {kind: (now_us - at_us) / 1e6 for kind, at_us in counts["oldest_due_by_type"].items()}
        yield _gauge("orderway_due_orders", "Orders that are due.", "order_type", counts["due_by_type"])
        yield _gauge(
            "orderway_oldest_due_order_age_seconds",
            "For how long the order that is due longest has been due; nothing where none is.",
            "order_type",
            ages_s,
        )
        yield _gauge(
            "orderway_unserved_due_orders",
            "Due orders of types that this process does not serve, and that nobody has taken up for a minute.",
            "order_type",
            self._unserved(),
        )
        by_reason: dict[str, int] = {}
        for why, count in counts["stuck_by_reason"].items():
            reason = _reason(why)
            by_reason[reason] = by_reason.get(reason, 0) + count
        yield _gauge("orderway_stuck_orders", "Orders that wait for a person, by reason.", "reason", by_reason)
        held = counts["held_minor_by_currency"]
        yield _gauge("orderway_held_money_minor_units", "Money held for orders, in minor units.", "currency", held)
        unknown_at_us = counts["oldest_unknown_payment_at_us"]
        unknown = GaugeMetricFamily(
            "orderway_oldest_unknown_payment_age_seconds",
            "For how long it has been unknown what became of a payment: the longest; 0 where all is known.",
        )
        unknown.add_metric([], 0 if unknown_at_us is None else max(now_us - unknown_at_us, 0) / 1e6)
        yield unknown
        read_at = GaugeMetricFamily(
            "orderway_overview_timestamp_seconds", "When the gauges were last read from the database, since 1970."
        )
        read_at.add_metric([], now_us / 1e6)
        yield read_at

    def _unserved(self) -> dict[int, int]:
        """How many orders of types that are not served here have been due for too long, by type."""
        counts = self._counts or _NOTHING
        before_us = self._read_at_us - round(UNSERVED_AFTER_S * 1e6)
        return {
            kind: counts["due_by_type"].get(kind, 0)
            for kind, oldest_at_us in counts["oldest_due_by_type"].items()
            if kind not in self._served and oldest_at_us <= before_us
        }

    def _warn_of_unserved(self, unserved: Mapping[int, int]) -> None:
        """One line for each type that begins to be left alone."""
        for kind in sorted(unserved.keys() - self._warned):
            logger.warning(
                "%d orders of type %d are due, and nobody has taken them up for %g s; this process does not serve"
                " this type: start a worker that does",
                *(unserved[kind], kind, UNSERVED_AFTER_S),
                extra={"order_type": kind},
            )
        self._warned = frozenset(unserved)


_NOTHING: Mapping[str, Any] = {
    "by_status": {},
    "due_by_type": {},
    "oldest_due_by_type": {},
    "stuck_by_reason": {},
    "held_minor_by_currency": {},
    "oldest_unknown_payment_at_us": None,
}


def _gauge(name: str, help_text: str, label: str, values: Mapping[Any, float]) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(name, help_text, labels=[label])
    for key, value in sorted(values.items()):
        gauge.add_metric([str(key)], value)
    return gauge


def _reason(why: str) -> str:
    """A stuck order's reason as a label: a class of reasons, and no text that somebody has written."""
    return why if re.fullmatch(r"[a-z0-9_]{1,64}", why) else "other"
