"""Where the time goes: the headline contestant, CPU by thread, and the loop's thread by part of the code."""

from __future__ import annotations

import asyncio
import cProfile
import pstats
import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from bench.contestants import CONTESTANTS, HEADLINE, UIDS
from bench.drive import MOST_WINDOWS, app_over, run_on_loop
from bench.rounds import in_processes

__all__ = ["measure_hotspots"]

Function = tuple[str, int, str]

_GROUPS = (
    ("core: ids", ("orderway/core/ids",)),
    ("core: orders, facts, journal", ("orderway/core/",)),
    ("writer: rows, statements, group commit", ("orderway/sql/",)),
    ("engine: app, journey, recorder, hooks", ("orderway/",)),
    ("JSON", ("/json/",)),
    ("asyncio", ("/asyncio/", "uvloop")),
    ("the benchmark itself", ("/bench/",)),
)
"""Parts of the code by what is in a file's path; the first that fits counts."""

_BUILTINS = (("SHA-256", ("sha256", "hexdigest")), ("JSON", ("_json", "c_make_encoder")), ("random", ("urandom",)))
OTHER = "other Python"
UNSEEN = "the event loop in C, and what the profiler cannot see"


def measure_hotspots(template: Path, folder: Path, callers: int, seconds: float) -> dict[str, Any]:
    """Run the headline contestant twice: plainly, for CPU by thread; and with the loop's thread under ``cProfile``.

    Returns:
        ``threads``: microseconds of CPU an order, by thread. ``parts``: the share of the loop's thread by part of the
        code; the profiler slows small functions more than large ones. ``functions``: the costliest ones with theirs.
    """
    runs = []
    for is_profiled in (False, True):
        path = folder / "profile.db"
        shutil.copyfile(template, path)
        (result,) = in_processes(partial(_run, path, callers, seconds, is_profiled))
        runs.append(result)
        for each in folder.glob("profile.db*"):
            each.unlink()
    return {"callers": callers, "threads": runs[0]["threads"], **runs[1]["profile"]}


def _run(path: Path, callers: int, seconds: float, is_profiled: bool, ready: Callable[[], None]) -> dict[str, Any]:
    ready()
    return run_on_loop(_drive(path, callers, seconds, is_profiled))


async def _drive(path: Path, callers: int, seconds: float, is_profiled: bool) -> dict[str, Any]:
    contestant = CONTESTANTS[HEADLINE]
    carry = contestant.carry
    assert carry is not None
    running, orders = True, 0

    async def caller(number: int) -> None:
        nonlocal orders
        while running:
            await carry(app, UIDS[number % len(UIDS)])
            orders += 1

    profile = cProfile.Profile(time.thread_time_ns, 1e-9)
    async with app_over(path, contestant) as app, asyncio.TaskGroup() as group:
        for number in range(callers):
            group.create_task(caller(number))
        await asyncio.sleep(seconds / 4)
        before, began = _cpu_by_thread(), orders
        if is_profiled:
            profile.enable()
        for _ in range(MOST_WINDOWS):
            await asyncio.sleep(seconds)
            if orders > began:
                break
        profile.disable()
        after, made = _cpu_by_thread(), orders - began
        running = False
    used = {name: (after[name] - before.get(name, 0.0)) for name in after}
    result: dict[str, Any] = {
        "threads": {name: round(spent / made * 1e6, 2) for name, spent in sorted(used.items()) if spent / made > 1e-7}
    }
    if is_profiled:
        result["profile"] = _by_part(pstats.Stats(profile), used["MainThread"])
    return result


def _cpu_by_thread() -> dict[str, float]:
    """Seconds of CPU of each living thread of this process, by its name."""
    return {
        thread.name: time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
        for thread in threading.enumerate()
        if thread.ident is not None
    }


def _by_part(stats: pstats.Stats, thread_s: float) -> dict[str, Any]:
    table: dict[Function, Any] = stats.stats  # type: ignore[attr-defined] # public, and missing in the stubs
    parts: defaultdict[str, float] = defaultdict(float)
    functions: defaultdict[str, float] = defaultdict(float)
    for function, (_, _, own_s, _, callers) in table.items():
        path, line, name = function
        functions[f"{name} ({'/'.join(Path(path).parts[-2:])}:{line})" if line else name] += own_s
        if callers and (not line or path == "<string>"):  # a builtin, or a generated __init__: its callers' doing
            for calling, (_, _, from_there_s, _) in callers.items():
                parts[_builtin_part(name) or _part(calling)] += from_there_s
        else:
            parts[_part(function)] += own_s
    parts[UNSEEN] = max(thread_s - sum(parts.values()), 0.0)
    whole_s = sum(parts.values())
    return {
        "parts": _shares(parts, whole_s, len(parts)),
        "functions": _shares(functions, whole_s, 15),
    }


def _shares(spent_s: Mapping[str, float], whole_s: float, most: int) -> dict[str, float]:
    ranked = sorted(spent_s.items(), key=lambda item: -item[1])
    return {name: round(spent / whole_s, 4) for name, spent in ranked[:most]}


def _builtin_part(name: str) -> str | None:
    return next((part for part, words in _BUILTINS if any(word in name for word in words)), None)


def _part(function: Function) -> str:
    path = Path(function[0]).as_posix()
    return next((part for part, words in _GROUPS if any(word in path for word in words)), OTHER)
