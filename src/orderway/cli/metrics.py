"""The command metrics."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import click

from orderway.cli.logs import log_json_lines
from orderway.cli.opening import Settings, reading, run
from orderway.cli.options import Command
from orderway.cli.output import print_json, print_note
from orderway.listening import address_of, listening_at, server_of, signals_to, url_of

__all__ = ["metrics"]


@click.command(cls=Command)
@click.option("--listen", metavar="HOST:PORT", help="Answer there until stopped; port 0 for any free one.")
@click.option(
    "--every",
    "every_s",
    type=click.FloatRange(min=1),
    default=15.0,
    show_default=True,
    help="With --listen: read the database every so many seconds.",
)
@click.pass_obj
def metrics(settings: Settings, listen: str | None, every_s: float) -> None:
    """Show how orders stand, in Prometheus' text format.

    It reads the database alone, so it tells when every worker is dead. What is done to orders, each worker counts
    itself: see orderway worker --listen.
    """
    run(_show(settings) if listen is None else _serve(settings, listen, every_s))


async def _show(settings: Settings) -> None:
    from orderway.observe import DatabaseMetrics

    async with reading(settings) as opened:
        found = DatabaseMetrics(opened.ports.store, await opened.ports.clock())
        await found.gauges.read()
    if settings.json:
        print_json({"metrics": found.samples()})
    else:
        click.echo(found.text(), nl=False)


async def _serve(settings: Settings, listen: str, every_s: float) -> None:
    from orderway.observe import DatabaseMetrics, metrics_app

    stop = asyncio.Event()
    with signals_to(stop.set), listening_at(address_of(listen)) as listening:
        assert listening is not None
        async with reading(settings) as opened:
            clock = await opened.ports.clock()
            found = DatabaseMetrics(opened.ports.store, clock)
            server = server_of(metrics_app(found))
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            following = asyncio.create_task(clock.run(stop, opened.ports.workers.now_us))
            url = f"{url_of(listening)}/metrics"
            log_json_lines()
            print_json({"url": url}) if settings.json else print_note(f"metrics are at {url}")
            try:
                await found.gauges.run(stop, every_s)
            finally:
                server.should_exit = True
                following.cancel()
                await serving
                with suppress(asyncio.CancelledError):
                    await following
