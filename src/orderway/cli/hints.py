"""Commands about hints: hint, which sends one, and hints, which lists the dead letters."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import click

from orderway.adapters import Ports, is_in_database, ports_for, started_queue
from orderway.cli.opening import Settings, chosen, reading, run
from orderway.cli.options import Command
from orderway.cli.output import console, iso, print_json, print_note
from orderway.cli.tables import Table
from orderway.core.hints import Hint, encode
from orderway.core.ids import check_order_id
from orderway.errors import ConfigError, Unavailable, UsageError
from orderway.ports.queue import Buried, Queue

__all__ = ["hint", "hints"]

_LONGEST_SHOWN = 300
"""Of a body, for people; with --json it is whole."""


@click.command(cls=Command)
@click.argument("order_id", metavar="ID")
@click.pass_obj
def hint(settings: Settings, order_id: str) -> None:
    """Have an order looked at now, not later.

    Whoever serves its type looks at it. If your App (--app) has a queue, a hint is sent over it as well.
    """

    async def work() -> tuple[bool, bool | None]:
        check_order_id(order_id)
        async with reading(settings) as database:
            order = await database.ports.store.get(order_id)
            hinted = await database.ports.store.hint(order_id, await database.ports.now_us())
            if not hinted or database.queue is None:
                return hinted, None
            return hinted, await _send(database.queue, database.ports, Hint(order_id, order.uid))

    hinted, sent = run(work())
    if settings.json:
        print_json({"order_id": order_id, "hinted": hinted, "sent": sent})
    elif hinted:
        console().print("it is due now, and a hint was sent" if sent else "it is due now")
    else:
        console().print("nothing is due for it: it has come to its end")


async def _send(queue: str | Queue, ports: Ports, hint: Hint) -> bool:
    """Send a hint; False if the queue does not answer, which is told: the order is due all the same."""
    try:
        async with started_queue(queue, ports) as opened:
            await opened.send(encode(hint), {"due-at-us": str(await ports.now_us())})
    except Unavailable as error:
        print_note(f"no hint was sent, and none is needed: {error}")
        return False
    return True


@click.command(cls=Command)
@click.option("--queue", metavar="URL", help="The queue: as of an App. Without it: that of --app or --config.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most this many.")
@click.pass_obj
def hints(settings: Settings, queue: str | None, limit: int) -> None:
    """List the dead letters of the queue, oldest first: hints that nobody can act on, with their reasons.

    They stay where they are. No order waits for them: its own row says when it is looked at.
    """

    async def work() -> tuple[str, list[Buried]]:
        async with _queue(settings, queue) as opened:
            return opened.where, list(await opened.buried(limit))

    where, letters = run(work())
    if settings.json:
        print_json({"queue": where, "hints": [_document(letter) for letter in letters]})
    elif not letters:
        console().print(f"no dead letters in {where}", soft_wrap=True)
    else:
        table = Table(("buried", "reason", "body"), cut="body")
        for letter in letters:
            table.add(iso(letter.buried_at_us) or "", letter.reason, _text(letter.body[:_LONGEST_SHOWN]))
        table.print()


@asynccontextmanager
async def _queue(settings: Settings, given: str | None) -> AsyncIterator[Queue]:
    """The queue that is meant, started. Its database is opened only if it is in one."""
    if given is not None and (settings.app is not None or settings.config is not None):
        other = "--config" if settings.app is None else "--app"
        raise UsageError(f"--queue and {other} exclude each other: an App or a configuration knows its own queue")
    queue: str | Queue | None = given
    if queue is None:
        found = chosen(settings)
        queue = found.queue
        if queue is None:
            has_none = "your App has no queue" if found.app is not None else "the configuration has no queue"
            lacking = "no queue is given" if found.app is None and found.configuration is None else has_none
            raise ConfigError(f"{lacking}: name one by --queue, or an App that has one by --app, or by --config")
    if is_in_database(queue):
        async with reading(settings) as database, started_queue(queue, database.ports) as opened:
            yield opened
    else:
        async with started_queue(queue, ports_for("memory://")) as opened:
            yield opened


def _document(letter: Buried) -> dict[str, str | None]:
    return {
        "reason": letter.reason,
        "buried_at": iso(letter.buried_at_us, precise=True),
        "body": _text(letter.body),
    }


def _text(body: bytes) -> str:
    """A body as text: anyone may have sent it, so any bytes."""
    return body.decode("utf-8", "backslashreplace")
