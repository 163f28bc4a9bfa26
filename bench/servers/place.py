"""Where a contestant works, and what a contestant is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

__all__ = ["CONTESTANTS", "DBOS", "ORDERWAY", "PROCRASTINATE", "PROTOCOL", "Carry", "Contestant", "Place", "Working"]

Carry = Callable[[str], Awaitable[None]]
"""Makes one order of this user and carries it to its end; returns once that is durable."""

ORDERWAY = "orderway"
PROTOCOL = "protocol"
DBOS = "dbos"
PROCRASTINATE = "procrastinate"


@dataclass(frozen=True, slots=True)
class Place:
    """Plain values, for they are handed to the contestant's processes.

    Args:
        kind: of database.
        url: a database of its own.
        redis_url: a Redis.
        tables: into how many tables orders are spread.
        pool: how many connections there are at most.
    """

    kind: str
    url: str
    redis_url: str
    tables: int = 1
    pool: int = 16


class Working(Protocol):
    """What each contestant's module has."""

    async def prepare(self, place: Place) -> None:
        """Make the tables in an empty database."""

    def opened(self, place: Place) -> AbstractAsyncContextManager[Carry]:
        """Connect, on the event loop that it is measured on."""

    async def count_finished(self, place: Place) -> int:
        """So many orders are finished in the database, counted past the contestant's own code."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A contestant.

    Args:
        about: what it does, for the report.
        module: is imported only where it is measured.
        kinds: the databases that it is measured on.
        most_callers: it is not measured with more.
        most_processes: it is not measured in more.
        windows: it is so slow that its windows are so many times as long.
        slow_to_prepare: it keeps its database from round to round.
    """

    about: str
    module: str
    kinds: tuple[str, ...]
    most_callers: int = 1024
    most_processes: int = 2
    windows: int = 1
    slow_to_prepare: bool = False

    @property
    def working(self) -> Working:
        """Its module."""
        return cast(Working, import_module(self.module))


CONTESTANTS = {
    PROTOCOL: Contestant(
        "the original's protocol in asyncio: Redis INCR, INSERT, SET NX, UPDATE, DEL; one commit each",
        "bench.servers.protocol",
        ("mariadb", "postgresql"),
    ),
    ORDERWAY: Contestant(
        "an order with nothing to pay: created, forwarded, finished; an empty deliver hook",
        "bench.servers.ours",
        ("sqlite", "mariadb", "postgresql"),
    ),
    DBOS: Contestant(
        "the order as a workflow of three steps: INSERT, deliver (empty), UPDATE",
        "bench.servers.dbos_workflow",
        ("postgresql",),
        most_callers=64,
        most_processes=1,
        windows=6,
        slow_to_prepare=True,
    ),
    PROCRASTINATE: Contestant(
        "INSERT and a deferred job, whose worker in the same process does the UPDATE",
        "bench.servers.procrastinate_job",
        ("postgresql",),
        most_callers=256,
        most_processes=1,
        slow_to_prepare=True,
    ),
}
