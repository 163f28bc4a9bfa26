"""Races between two processes: both are made ready, let go together, and asked how it went for them."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from orderway.testing.conformance.backend import Backend

__all__ = ["Race", "racing_processes"]

Race = Callable[..., Awaitable[list[dict[str, Any]]]]
"""``await race(action, **arguments)``: each racer's answer, once all have run the action at the same time."""

_PATIENCE_S = 60


@asynccontextmanager
async def racing_processes(backend: Backend, count: int = 2) -> AsyncIterator[Race]:
    """Start racers (see ``racer.py``) on the backend's URL, and stop them at the end."""
    command = (sys.executable, "-m", "orderway.testing.conformance.racer", backend.url, str(backend.shards))
    racers = [await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE) for _ in range(count)]

    async def race(action: str, **arguments: Any) -> list[dict[str, Any]]:
        calls = [{"action": action, "racer": number, **arguments} for number in range(count)]
        for answer in await _tell_all(racers, [json.dumps(call) for call in calls]):
            assert answer == {"ready": action}, answer
        return await _tell_all(racers, ["go"] * count)

    try:
        yield race
    finally:
        for racer in racers:
            if racer.stdin is not None:
                racer.stdin.close()
        codes = [await _end(racer) for racer in racers]
    assert codes == [0] * count, f"racers ended with exit codes {codes}; see standard error"


async def _tell_all(racers: list[Process], lines: list[str]) -> list[dict[str, Any]]:
    for racer, line in zip(racers, lines, strict=True):
        assert racer.stdin is not None
        racer.stdin.write(line.encode() + b"\n")
    async with asyncio.timeout(_PATIENCE_S):
        return list(await asyncio.gather(*map(_answer, racers)))


async def _answer(racer: Process) -> dict[str, Any]:
    assert racer.stdout is not None
    line = await racer.stdout.readline()
    assert line, f"racer {racer.pid} ended without an answer; see standard error"
    answer: dict[str, Any] = json.loads(line)
    return answer


async def _end(racer: Process) -> int:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            return await racer.wait()
    except TimeoutError:
        racer.kill()
        return await racer.wait()
