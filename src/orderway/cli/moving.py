"""Commands that carry orders on: forward, sweep."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from orderway.app import App
from orderway.cli.looking import explained, print_order
from orderway.cli.opening import Settings, run, running
from orderway.cli.options import Command
from orderway.cli.output import console, print_json
from orderway.core.ids import check_order_id
from orderway.core.order import Status
from orderway.explain import Explanation

__all__ = ["forward", "sweep"]

_HOOKS = "runs the hooks of your businesses"


@click.command(cls=Command)
@click.argument("order_id", metavar="ID")
@click.pass_obj
def forward(settings: Settings, order_id: str) -> None:
    """Carry an order as far as it goes now. Runs hooks: needs --app."""

    async def work() -> Explanation:
        check_order_id(order_id)
        async with running(settings, needs=_HOOKS) as app:
            await app.forward(order_id)
            return await explained(app, order_id)

    print_order(settings, run(work()))


@click.command(cls=Command)
@click.pass_obj
def sweep(settings: Settings) -> None:
    """Carry everything that is due, once. Runs hooks: needs --app.

    Orders that a dead worker has left are taken over; noticing that takes a few seconds.
    """

    async def work() -> dict[str, Any]:
        async with running(settings, needs=_HOOKS) as app:
            looked_at = await app.sweep()
            await _watch_others(app)
            looked_at += await app.sweep()
            overview = await app.ports.store.overview(app.clock.now_us())
        by_status = {Status(status).name.lower(): count for status, count in overview["by_status"].items()}
        return {"looked_at": looked_at, "due": overview["due"], "by_status": by_status}

    counts = run(work())
    if settings.json:
        print_json(counts)
        return
    out = console()
    noun = "order was" if counts["looked_at"] == 1 else "orders were"
    out.print(f"{counts['looked_at']} {noun} looked at, {counts['due']} due still")
    stand = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts["by_status"].items())
    out.print(f"orders now: {stand or 'none'}")


async def _watch_others(app: App) -> None:
    """Wait until every other worker has beaten or been buried: then what the dead have left can be claimed."""
    silent = dict(await app.ports.workers.counters())
    silent.pop(app.membership.incarnation, None)
    while silent:
        await app.clock.wait(asyncio.Event(), app.membership.beat_every_s)
        counters = await app.ports.workers.counters()
        silent = {worker: beats for worker, beats in silent.items() if counters.get(worker) == beats}
