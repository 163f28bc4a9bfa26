"""The command worker."""

from __future__ import annotations

import asyncio
import logging
import os
import sys

import click

from orderway.app import App
from orderway.cli.logs import log_json_lines
from orderway.cli.opening import Settings, chosen
from orderway.cli.options import Command
from orderway.cli.output import print_json, print_note
from orderway.errors import ConfigError, UsageError
from orderway.listening import AsgiApp
from orderway.worker import Worker

__all__ = ["worker"]


@click.command(cls=Command)
@click.argument("target", metavar="[MODULE:ATTRIBUTE]", required=False)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    envvar="ORDERWAY_LISTEN",
    help="Answer /livez, /readyz and /metrics there; port 0 for any free one. [env: ORDERWAY_LISTEN]",
)
@click.pass_obj
def worker(settings: Settings, target: str | None, listen: str | None) -> None:
    """Carry orders until stopped. Runs hooks: needs your App.

    Start as many as you like: they share the work, and one that dies is replaced by the others within seconds. On
    SIGTERM or Ctrl-C it finishes what it has in hand, or hands it back; a second signal hands back at once.
    """
    if target is not None and (settings.app is not None or settings.url or settings.config is not None):
        raise UsageError("your App is named, and knows its own database: leave out --app, --url and --config")
    if target is not None:
        settings.app = target
    found = chosen(settings).app
    if found is None:
        raise ConfigError("a worker runs the hooks of your businesses, so it needs your App: orderway worker shop:app")
    if not found.businesses:
        raise ConfigError("this App has no business registered, so there is nothing that a worker could carry")

    metrics = None if listen is None else _metrics_of(found)
    is_logged = log_json_lines()

    def started(url: str) -> None:
        types = ", ".join(str(each) for each in sorted(found.businesses))
        if settings.json:
            print_json({"worker": found.membership.name, "order_types": sorted(found.businesses), "url": url or None})
        elif not is_logged:
            print_note(f"{found.membership.name} carries orders of type {types}{url and f', and answers at {url}'}")

    with asyncio.Runner() as runner:
        left = runner.run(Worker(found, listen=listen, metrics=metrics, on_start=started).run())
        if left:
            print_note(f"{left} hooks have not returned; what they do is guarded, and done once more elsewhere")
            logging.shutdown()
            sys.stdout.flush()
            os._exit(0)  # the runner would wait for their threads, perhaps for ever


def _metrics_of(app: App) -> AsgiApp | None:
    """The endpoint for the metrics of an App; None where its extra is missing: orders are carried all the same."""
    from orderway import observe

    try:
        return observe.metrics_app(app)
    except ConfigError as missing:
        print_note(f"no /metrics: {missing}")
        return None
