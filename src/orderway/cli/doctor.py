"""The command doctor."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from orderway.cli.exits import FINDINGS
from orderway.cli.opening import Settings, chosen, run
from orderway.cli.options import Command
from orderway.cli.output import console, print_json, safe
from orderway.cli.tables import Table
from orderway.doctor import Finding, examine
from orderway.errors import UsageError

__all__ = ["doctor"]


@click.command(cls=Command)
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The configuration's YAML file. [env: ORDERWAY_CONFIG]",
)
@click.pass_context
def doctor(context: click.Context, config: Path | None) -> None:
    """Look at configuration, databases, shard map, workers, Redis and queue, and say what to do.

    It changes nothing. With a configuration (--config, or ORDERWAY_CONFIG and other variables) that is shown first,
    without its passwords; else the database is the one of --url. Exits with 1 if anything needs to be done.
    """
    settings = context.ensure_object(Settings)
    rows, arguments = _configured(settings, config)
    findings = run(examine(**arguments))
    if settings.json:
        print_json(
            {
                "configuration": [{"key": key, "value": value, "source": source} for key, value, source in rows],
                "findings": [_document(finding) for finding in findings],
            }
        )
    else:
        _print(rows, findings)
    if not all(finding.is_well for finding in findings):
        context.exit(FINDINGS)


def _configured(settings: Settings, config: Path | None) -> tuple[list[tuple[str, str, str]], dict[str, Any]]:
    """The rows of the effective configuration, and what to examine."""
    is_named = bool(settings.url or settings.app)
    if is_named and config is not None:
        raise UsageError("--config names the databases: leave out --url and --app")
    if is_named or not (config or {"ORDERWAY_CONFIG", "ORDERWAY_DATABASES"} & set(os.environ)):
        urls, app = chosen(settings)
        return [], {"urls": urls, "queue": None if app is None else app.queue}
    from orderway.config import effective, load_settings

    loaded = load_settings(config)
    rows = [(row.key, row.value, row.source) for row in effective(loaded)]
    parts = {"redis": loaded.redis.as_option(), "queue": loaded.queue.as_option()}
    return rows, {"urls": loaded.urls, "shards": loaded.shards, **parts, **loaded.database_options()}


def _document(finding: Finding) -> dict[str, Any]:
    return {"part": finding.part, "ok": finding.is_well, "found": finding.found, "advice": finding.advice}


def _print(rows: list[tuple[str, str, str]], findings: list[Finding]) -> None:
    out = console()
    if rows:
        table = Table(("key", "value", "from"), cut="value")
        for row in rows:
            table.add(*row)
        table.print()
        out.print()
    for finding in findings:
        mark = Text("ok   ", "green") if finding.is_well else Text("FAULT", "bold red")
        out.print(Text.assemble(mark, " ", (finding.part, "bold"), ": ", safe(finding.found)), soft_wrap=True)
        if finding.advice:
            out.print(f"      {finding.advice}", soft_wrap=True)
    faults = sum(not finding.is_well for finding in findings)
    out.print("all is well" if not faults else f"{faults} of {len(findings)} parts need attention")
