"""Races between two processes: both are made ready, let go together, and asked how it went for them."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from subprocess import PIPE, Popen
from typing import Any, Protocol

import pytest

__all__ = ["Place", "ProcessRaces", "Racers"]

_RACERS = 2
_PATIENCE_S = 60


class Place(Protocol):
    """Where it is raced: a ``Backend``, for instance."""

    url: str | Sequence[str]
    shards: int


class Racers:
    """Two processes that race (see ``racer.py``); started by the first race, since starting is what takes the time."""

    def __init__(self) -> None:
        self._processes: list[Popen[str]] = []

    async def race(self, backend: Place, action: str, **arguments: Any) -> list[dict[str, Any]]:
        """Let both do this on the backend at the same time; returns each one's answer."""
        self._start()
        call = {"action": action, "url": backend.url, "shards": backend.shards, **arguments}
        try:
            async with asyncio.timeout(_PATIENCE_S):
                ready = await _tell(self._processes, [json.dumps({**call, "racer": n}) for n in range(_RACERS)])
                assert ready == [{"ready": action}] * _RACERS
                return await _tell(self._processes, ["go"] * _RACERS)
        except BaseException:
            self.kill()  # what they would answer now belongs to no question
            raise

    def end(self) -> None:
        """Let them end, and see that they end well."""
        for racer in self._processes:
            racer.communicate(timeout=_PATIENCE_S)
        codes = [racer.returncode for racer in self._processes]
        assert codes == [0] * len(codes), f"racers ended with exit codes {codes}; see standard error"

    def kill(self) -> None:
        """End them at once."""
        for racer in self._processes:
            racer.kill()
            racer.communicate()
        self._processes.clear()

    def _start(self) -> None:
        command = (sys.executable, "-m", "orderway.testing.conformance.racer")
        while len(self._processes) < _RACERS:
            self._processes.append(Popen(command, stdin=PIPE, stdout=PIPE, text=True, bufsize=1))


class ProcessRaces:
    """A suite with races between processes; ``racers`` serve all tests of a class."""

    @pytest.fixture(scope="class")
    @classmethod
    def racers(cls) -> Iterator[Racers]:
        racers = Racers()
        try:
            yield racers
            racers.end()
        finally:
            racers.kill()


async def _tell(racers: list[Popen[str]], lines: list[str]) -> list[dict[str, Any]]:
    for racer, line in zip(racers, lines, strict=True):
        assert racer.stdin is not None
        racer.stdin.write(line + "\n")
    return list(await asyncio.gather(*(asyncio.to_thread(_answer, racer) for racer in racers)))


def _answer(racer: Popen[str]) -> dict[str, Any]:
    assert racer.stdout is not None
    line = racer.stdout.readline()
    assert line, f"racer {racer.pid} ended without an answer; see standard error"
    answer: dict[str, Any] = json.loads(line)
    return answer
