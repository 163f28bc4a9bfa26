"""Observing: what metrics and traces cost, one process over one file, with and without them side by side."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from bench.contestants import CONTESTANTS, HEADLINE
from bench.drive import app_over, check_finished, closed_loop, run_on_loop, settle_garbage_collection
from bench.plan import CROWD, Plan
from bench.rounds import in_processes
from bench.sample import Reading, Sample, reading, spread
from orderway import App

__all__ = ["OBSERVERS", "measure_observing", "observed_points"]


def _metrics(app: App) -> None:
    from orderway.observe import Metrics

    Metrics(app)


def _traces(app: App) -> None:
    from opentelemetry.sdk.trace import TracerProvider

    from orderway.observe import Tracing

    Tracing(app, tracer_provider=TracerProvider())  # every order is traced; where its spans go is not our cost


def _both(app: App) -> None:
    _metrics(app)
    _traces(app)


OBSERVERS: dict[str, Callable[[App], None]] = {
    "nothing": lambda app: None,
    "metrics": _metrics,
    "metrics and traces": _both,
}
MEASURED = (HEADLINE, "prepaid")


def measure_observing(template: Path, folder: Path, plan: Plan, advance: Callable[[int], None]) -> list[dict[str, Any]]:
    """Drive two contestants at ``CROWD`` callers, observed by nothing, by metrics, and by metrics and traces, in turn.

    Returns:
        For each contestant and observer the speed, the CPU an order, and how many times the unobserved speed and CPU of
        the same round these are: the median, the extremes and the rounds.
    """
    readings: dict[tuple[str, str], list[Reading]] = {}
    for _ in range(plan.rounds):
        for point in observed_points():
            path = folder / "observing.db"
            shutil.copyfile(template, path)
            try:
                samples = in_processes(partial(_run, *point, path, plan.warm_up_s, plan.window_s))
            finally:
                for each in folder.glob("observing.db*"):
                    each.unlink()
            readings.setdefault(point, []).append(reading(samples))
            advance(1)
    return [
        {
            "contestant": contestant,
            "observed_by": observer,
            "callers": CROWD,
            "orders_per_s": spread([each.orders_per_s for each in rounds]),
            "cpu_us": spread([each.cpu_us for each in rounds]),
            "times_unobserved": spread([each.orders_per_s / bare.orders_per_s for each, bare in beside]),
            "cpu_more_us": spread([each.cpu_us - bare.cpu_us for each, bare in beside]),
        }
        for (contestant, observer), rounds in readings.items()
        for beside in [list(zip(rounds, readings[contestant, "nothing"], strict=True))]
    ]


def observed_points() -> Iterator[tuple[str, str]]:
    """What a round measures: contestant and observer."""
    for contestant in MEASURED:
        for observer in OBSERVERS:
            yield contestant, observer


def _run(name: str, observer: str, path: Path, warm_up_s: float, window_s: float, ready: Callable[[], None]) -> Sample:
    settle_garbage_collection()
    return run_on_loop(_drive(name, observer, path, warm_up_s, window_s, ready))


async def _drive(
    name: str, observer: str, path: Path, warm_up_s: float, window_s: float, ready: Callable[[], None]
) -> Sample:
    contestant = CONTESTANTS[name]
    make = contestant.carry
    assert make is not None
    app = app_over(path, contestant)
    OBSERVERS[observer](app)
    async with app:

        async def carry(uid: str) -> None:
            check_finished(await make(app, uid))

        return await closed_loop(carry, CROWD, warm_up_s, window_s, ready)
