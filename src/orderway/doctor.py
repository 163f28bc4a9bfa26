"""Looking at a deployment before it is relied on: each part, what was found, and what to do about it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orderway.adapters import Ports, databases_for, is_in_database, places_for, sql_ports, started_queue
from orderway.errors import ConfigError, InvalidValue, MissingRights, OrderwayError, Unavailable
from orderway.ports.queue import Queue
from orderway.sql.shards import not_alike

if TYPE_CHECKING:
    from orderway.redis import Redis
    from orderway.sql.database import Database
    from orderway.sql.migrating import Migrated

__all__ = ["Finding", "examine"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one part.

    Args:
        part: for people, without a password: ``database 1``, ``redis``, ...
        is_well: nothing need be done.
        found: what was found.
        advice: what to do, where ``found`` does not say so; else "".
    """

    part: str
    is_well: bool
    found: str
    advice: str = ""


async def examine(
    urls: Sequence[str],
    *,
    shards: int | None = None,
    redis: Redis | None = None,
    queue: str | Queue | None = None,
    compare_within_s: float = 60.0,
    **options: Any,
) -> list[Finding]:
    """Look at every part. Changes nothing, makes nothing, and never raises for what it finds.

    Args:
        urls: of the databases, in their order.
        shards: how many shards are expected; None for as many as there are.
        redis: if there is one.
        queue: if there is one; as for ``App``.
        compare_within_s: how long the tables may take to be compared; of thousands, it may be many seconds.
        options: of the databases; see ``orderway.adapters.ports_for``.

    Raises:
        ConfigError: a URL is not of its form.
    """
    databases = databases_for(urls, shards=shards, create=False, **options)
    try:
        findings = list(await asyncio.gather(*map(_examine_database, databases, range(1, len(databases) + 1))))
        if all(finding.is_well for finding in findings):
            findings.append(_examine_map(databases))
        if all(finding.is_well for finding in findings):
            with_letters = queue is not None and is_in_database(queue)
            tables = await _examine_tables(urls, databases, with_letters, compare_within_s)
            findings += tables
            findings += await _examine_work(databases, are_tables_well=all(finding.is_well for finding in tables))
            if queue is not None and with_letters:
                findings.append(await _examine_queue(queue, sql_ports(databases)))
    finally:
        await asyncio.gather(*(database.close() for database in databases))
    if redis is not None:
        findings.append(await _examine_redis(redis))
    if queue is not None and not is_in_database(queue):
        findings.append(await _examine_queue(queue, sql_ports(databases)))
    return findings


async def _examine_database(database: Database, number: int) -> Finding:
    part = f"database {number}"
    began_s = time.perf_counter()
    try:
        await database.start()
    except ConfigError as error:  # and so MissingRights, which is Unavailable, too
        return Finding(part, False, str(error))
    except Unavailable as error:
        advice = "see that the server runs, and that host and port are right and can be reached from here"
        return Finding(part, False, str(error), advice)
    took_ms = (time.perf_counter() - began_s) * 1000
    own = database.shards.of_database(database.number)
    held = f"shard {own[0]}" if len(own) == 1 else f"shards {own[0]} to {own[-1]}"
    return Finding(part, True, f"{database.where} answers in {took_ms:.0f} ms; {held} of {len(database.shards)}")


async def _examine_tables(
    urls: Sequence[str], databases: Sequence[Database], with_letters: bool, within_s: float
) -> list[Finding]:
    """In each database: whether our user may read and write the tables, and whether they are as they should be.

    Args:
        urls: of the databases.
        databases: started.
        with_letters: the queue is in the database: nothing else needs the table of letters, which 0.1.0 did not make.
        within_s: for comparing.
    """
    letters = databases[0].tables.common.letters.name
    may_lack = set() if with_letters else {letters}
    numbered = enumerate(databases, 1)
    rights = await asyncio.gather(*(_examine_rights(each, number, may_lack) for number, each in numbered))
    lacking = [finding for finding in rights if finding is not None]
    return lacking or await _compare_tables(urls, may_lack, within_s)


async def _examine_rights(database: Database, number: int, may_lack: Collection[str]) -> Finding | None:
    """What our user may not do; None if nothing. Tables that it may not see could not be told from missing ones."""
    part = f"tables of database {number}"
    try:
        await database.check_rights(may_lack)
    except MissingRights as error:
        return Finding(part, False, str(error))
    except OrderwayError as error:
        return Finding(part, False, f"whether its user may read and write them could not be seen: {error}")
    return None


async def _compare_tables(urls: Sequence[str], may_lack: Collection[str], within_s: float) -> list[Finding]:
    """As ``orderway migrate --check`` does."""
    try:
        from orderway.sql.migrating import compare
    except ModuleNotFoundError:
        install = "pip install 'orderway[migrate]'"
        return [_not_compared(number, install) for number in range(1, len(urls) + 1)]
    problem = "they could not be compared with what is needed"
    try:
        async with asyncio.timeout(within_s):
            looked = await compare(places_for(urls), may_lack)
    except TimeoutError:
        advice = "see whether somebody is changing them (`orderway migrate`), and that the server is not overloaded"
        return [Finding("tables", False, f"{problem}: no answer within {within_s:g} s", advice)]
    except OrderwayError as error:
        return [Finding("tables", False, f"{problem}: {error}")]
    return [
        _not_compared(number, str(found)) if isinstance(found, MissingRights) else _compared(found)
        for number, found in enumerate(looked, 1)
    ]


def _not_compared(number: int, why: str) -> Finding:
    """No fault: an App does without."""
    words = f"its user may read and write them; not compared with what is needed: {why}"
    return Finding(f"tables of database {number}", True, words)


def _compared(found: Migrated) -> Finding:
    part = f"tables of database {found.database + 1}"
    if found.is_well:
        words = "they are as this package needs them, and its user may read and write them"
        for name in found.lacking:
            words += f'; there is no {name}: run `orderway migrate` before you use queue="store", which alone needs it'
        return Finding(part, True, words)
    steps = found.waiting.get("pre", []) if found.revision else []
    problems = [*found.differences, *(f"step {step} was not taken" for step in steps)]
    more = len(problems) - _MOST_PROBLEMS
    words = "; ".join(problems[:_MOST_PROBLEMS]) + (f"; and {more:,} more" if more > 0 else "")
    return Finding(part, False, words, "run `orderway migrate`; with --check it names all that is wrong")


def _examine_map(databases: Sequence[Database]) -> Finding:
    """All databases must have the same map; each was compared with what was asked for, and now with the others."""
    if problem := not_alike(databases):
        return Finding("shard map", False, problem)
    shards = databases[0].shards
    held = "in one database" if len(databases) == 1 else f"over {len(databases)} databases, the same in each"
    return Finding("shard map", True, f"{len(shards)} {'shard' if len(shards) == 1 else 'shards'} {held}")


async def _examine_work(databases: Sequence[Database], are_tables_well: bool) -> list[Finding]:
    """Who works, and whether anything has been waiting for too long; nothing where a faulty table hides it."""
    ports = sql_ports(databases)
    try:
        now_us = await ports.now_us()
        names = sorted((await ports.workers.names()).values())
        counts = await ports.store.overview(now_us)
    except OrderwayError as error:
        if isinstance(error, InvalidValue | MissingRights) and not are_tables_well:
            return []  # what is missing was told of the tables, and in better words
        return [Finding("orders", False, str(error), "see docs/errors.md")]
    workers = Finding("workers", True, f"{len(names)} joined: {', '.join(names)}" if names else "none has joined")
    oldest_us = counts["oldest_due_at_us"]
    late_s = 0 if oldest_us is None else (now_us - oldest_us) // 1_000_000
    if not counts["due"]:
        return [workers, Finding("orders", True, "none is due")]
    words = f"{counts['due']} are due, the oldest for {late_s} s"
    if late_s < _LATE_S:
        return [workers, Finding("orders", True, words)]
    types = ", ".join(str(kind) for kind in counts["due_by_type"])
    advice = f"run a process that serves the order types {types}, or see what its log says of them"
    return [workers, Finding("orders", False, words, advice)]


async def _examine_redis(redis: Redis) -> Finding:
    from orderway.redis import RedisParts

    parts = RedisParts(redis)
    parts.start()
    try:
        began_s = time.perf_counter()
        await parts.ping()
    except Unavailable as error:
        return Finding("redis", False, str(error), _advice(error, "the number of the database"))
    finally:
        await parts.close()
    return Finding("redis", True, f"answers in {(time.perf_counter() - began_s) * 1000:.0f} ms")


async def _examine_queue(queue: str | Queue, ports: Ports) -> Finding:
    """Whether it answers, and its dead letters. Sends nothing, and takes nothing out."""
    began_s = time.perf_counter()
    try:
        async with started_queue(queue, ports) as opened:
            letters = await opened.buried(_MOST_LETTERS)
            where = opened.where
    except Unavailable as error:
        return Finding("queue", False, str(error), _advice(error, "what else its URL names"))
    found = f"{where} answers in {(time.perf_counter() - began_s) * 1000:.0f} ms"
    if not letters:
        return Finding("queue", True, f"{found}; no dead letters")
    reasons = Counter(letter.reason for letter in letters)
    told = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    count = f"{len(letters)} or more" if len(letters) == _MOST_LETTERS else str(len(letters))
    advice = "see what they are by `orderway hints`; no order waits for them, its row says when it is looked at"
    return Finding("queue", True, f"{found}; dead letters: {count} ({told})", advice)


def _advice(error: Unavailable, named: str) -> str:
    """What to do about a part that orders can do without; "" where the error says so itself."""
    if isinstance(error, MissingRights):
        return ""
    check = f"check user, password, the user's rights, and {named}"
    reach = "see that it runs and can be reached from here"
    return f"{check if error.is_refusal else reach}; orders go on without it"


_MOST_LETTERS = 100
_MOST_PROBLEMS = 5
_LATE_S = 60
"""Work that has been due for longer is not being done."""
