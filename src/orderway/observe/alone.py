"""Metrics of a database alone: how orders stand, told by a process that carries none, when every worker is dead."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

from orderway.observe.gauges import Gauges
from orderway.ports.clock import Clock
from orderway.ports.store import Store

__all__ = ["DatabaseMetrics"]


class DatabaseMetrics:
    """The gauges over a database, in a registry of their own. No order type is served here.

    Args:
        store: over the database, started.
        clock: for the reading.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self.registry = CollectorRegistry()
        self.gauges = Gauges(store, clock, (), self.registry)

    def text(self) -> str:
        """All metrics as they are now, in Prometheus' text format."""
        return generate_latest(self.registry).decode()

    def samples(self) -> list[dict[str, Any]]:
        """All values as they are now: each with ``name``, ``labels`` and ``value``."""
        samples = [sample for metric in self.registry.collect() for sample in metric.samples]
        return [{"name": each.name, "labels": each.labels, "value": each.value} for each in samples]
