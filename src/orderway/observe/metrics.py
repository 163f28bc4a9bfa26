"""Metrics of one App for Prometheus: what passes its ports is counted and timed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, make_asgi_app
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from orderway.core.journal import Entry
from orderway.errors import Declined, HoldLost, OutcomeUnknown, Unavailable
from orderway.listening import AsgiApp
from orderway.moves import Move
from orderway.observe.alone import DatabaseMetrics
from orderway.observe.attaching import attach
from orderway.observe.gauges import Gauges
from orderway.ports.observer import Observer, Work
from orderway.ports.queue import Message

if TYPE_CHECKING:
    from orderway.app import App

__all__ = ["Metrics", "metrics_app"]

T = TypeVar("T")

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
LAG_SECONDS = (0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics(Observer):
    """Counts and times what one App does, and reads from its database what waits there.

    >>> app = App("sqlite:///orders.db")  # doctest: +SKIP
    >>> metrics = Metrics(app)  # doctest: +SKIP

    Args:
        app: not started yet.
        registry: where the metrics are registered; one of their own if it is not given, so that several Apps, and
            tests, do not meet. ``prometheus_client.REGISTRY`` puts them beside your service's own.
        every_s: how often the gauges are read from the database, in seconds; more seldom where that takes long: it is
            never done for more than a twentieth of the time. None: never, as where another process does it.

    Raises:
        UsageError: the App is started already.
    """

    def __init__(self, app: App, *, registry: CollectorRegistry | None = None, every_s: float | None = 15.0) -> None:
        self.registry = CollectorRegistry() if registry is None else registry
        self.gauges = Gauges(app.ports.store, app.clock, app.businesses.keys(), self.registry)
        self._app = app
        self._clock = app.clock
        self._every_s = every_s
        self._make()
        self.registry.register(_Hints(app))
        attach(app, self)

    @classmethod
    def of(cls, app: App) -> Metrics:
        """The metrics that an App has, or new ones if it has none.

        Raises:
            UsageError: it has none, and is started already.
        """
        return next((each for each in app.observers if isinstance(each, cls)), None) or cls(app)

    def text(self) -> str:
        """All metrics as they are now, in Prometheus' text format."""
        return generate_latest(self.registry).decode()

    async def around(self, work: Work, act: Callable[[], Awaitable[T]]) -> T:
        """Time and count a piece of work."""
        began_s = perf_counter()
        try:
            result = await act()
        except Exception as error:
            self._failed(work, perf_counter() - began_s, error)
            raise
        duration_s = perf_counter() - began_s
        if work.kind in ("step", "create"):
            durations, failures = self._step(work)
            durations.observe(duration_s)
            if isinstance(result, Move) and result.failed:
                failures.inc()
        elif work.kind == "channel":
            self._answered(work, _snake(type(result).__name__), duration_s)
        return result

    def recorded(self, order_type: int, entries: Sequence[Entry]) -> None:
        """Count the facts."""
        for entry in entries:
            key = (order_type, entry.fact)
            count = self._fact_counts.get(key)
            if count is None:
                count = self._fact_counts[key] = self._facts.labels(str(order_type), entry.fact)
            count.inc()

    def received(self, message: Message) -> None:
        """Note how late a hint came."""
        due_at = message.headers.get("due-at-us", "")
        if due_at.isdecimal() and len(due_at) < 20:
            self._lag.observe(max(self._clock.now_us() - int(due_at), 0) / 1_000_000)

    def committed(self, database: int, operations: int, duration_s: float) -> None:
        """Note a group commit."""
        found = self._commits.get(database)
        if found is None:
            label = str(database)
            found = self._commits[database] = (self._batches.labels(label), self._commit_durations.labels(label))
        found[0].observe(operations)
        found[1].observe(duration_s)

    async def run(self, stop: asyncio.Event) -> None:
        """Read the gauges again and again, until told to stop."""
        if self._every_s is not None:
            await self.gauges.run(stop, self._every_s)
        await stop.wait()

    def _failed(self, work: Work, duration_s: float, error: Exception) -> None:
        if work.kind == "channel":
            self._answered(work, _outcome_of(error), duration_s)
        elif isinstance(error, HoldLost):
            if work.kind == "forward":
                self._lost_holds.labels(self._type(work)).inc()
        elif work.kind != "forward":
            durations, failures = self._step(work)
            durations.observe(duration_s)
            failures.inc()

    def _step(self, work: Work) -> tuple[Histogram, Counter]:
        key = (work.order_type, work.name)
        found = self._step_metrics.get(key)
        if found is None:
            labels = (self._type(work), work.name)
            found = (self._step_durations.labels(*labels), self._step_failures.labels(*labels))
            if labels[0] != "other":  # whatever callers may ask for, it is not kept
                self._step_metrics[key] = found
        return found

    def _answered(self, work: Work, outcome: str, duration_s: float) -> None:
        key = (work.channel, work.name, outcome)
        found = self._call_metrics.get(key)
        if found is None:
            found = (self._call_durations.labels(work.channel, work.name), self._calls.labels(*key))
            self._call_metrics[key] = found
        found[0].observe(duration_s)
        found[1].inc()

    def _type(self, work: Work) -> str:
        """The label of an order type. What is not served here was asked for by mistake, and could be any number."""
        return str(work.order_type) if work.order_type in self._app.businesses else "other"

    def _make(self) -> None:
        to = self.registry
        step, call = ("order_type", "step"), ("channel", "call")
        self._step_durations = Histogram(
            "orderway_step_duration_seconds",
            "How long a step of an order took: create, charge, deliver, take_back, finish, refund, end.",
            step,
            buckets=SECONDS,
            registry=to,
        )
        self._step_failures = Counter(
            "orderway_step_failures",
            "Steps that failed. All but create are tried again, until the order's deadline is over.",
            step,
            registry=to,
        )
        self._facts = Counter(
            "orderway_facts", "Facts written to orders' journals.", ("order_type", "fact"), registry=to
        )
        self._lost_holds = Counter(
            "orderway_lost_holds",
            "Orders that another worker took over while this one worked on them.",
            ("order_type",),
            registry=to,
        )
        self._call_durations = Histogram(
            "orderway_channel_call_duration_seconds",
            "How long payment channels took to answer.",
            call,
            buckets=SECONDS,
            registry=to,
        )
        self._calls = Counter(
            "orderway_channel_calls", "What payment channels answered.", (*call, "outcome"), registry=to
        )
        self._batches = Histogram(
            "orderway_commit_operations",
            "How many operations went into one group commit.",
            ("database",),
            buckets=BATCHES,
            registry=to,
        )
        self._commit_durations = Histogram(
            "orderway_commit_duration_seconds",
            "How long group commits took.",
            ("database",),
            buckets=SECONDS,
            registry=to,
        )
        self._lag = Histogram(
            "orderway_hint_lag_seconds",
            "How long after its delay was over a hint was received.",
            buckets=LAG_SECONDS,
            registry=to,
        )
        self._step_metrics: dict[tuple[int | None, str], tuple[Histogram, Counter]] = {}
        self._call_metrics: dict[tuple[str, str, str], tuple[Histogram, Counter]] = {}
        self._fact_counts: dict[tuple[int, str], Counter] = {}
        self._commits: dict[int, tuple[Histogram, Histogram]] = {}


def metrics_app(metrics: Metrics | DatabaseMetrics | App) -> AsgiApp:
    """An ASGI app that answers with the metrics, to be mounted at ``/metrics``.

    Args:
        metrics: or their App, which gets some if it has none, and must not be started then.
    """
    found = metrics if isinstance(metrics, Metrics | DatabaseMetrics) else Metrics.of(metrics)
    return make_asgi_app(found.registry)


class _Hints(Collector):
    """What became of hints, as ``Hinting`` counts it."""

    def __init__(self, app: App) -> None:
        self._app = app

    def collect(self) -> Iterable[Metric]:
        hints = CounterMetricFamily(
            "orderway_hints", "Hints sent and received, by what became of them.", labels=["outcome"]
        )
        if self._app.hinting is not None:
            for outcome, count in sorted(self._app.hinting.outcomes.items()):
                hints.add_metric([outcome], count)
        yield hints


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _outcome_of(error: Exception) -> str:
    """What an exception of a channel means: it refused, was not reached, or has not answered."""
    for kind, outcome in ((Declined, "declined"), (Unavailable, "unavailable"), (OutcomeUnknown, "unknown")):
        if isinstance(error, kind):
            return outcome
    return "error"
