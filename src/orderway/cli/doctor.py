"""The command doctor."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from orderway.cli.choosing import Chosen, Settings, chosen, kept
from orderway.cli.exits import FINDINGS
from orderway.cli.opening import run
from orderway.cli.options import Command
from orderway.cli.output import console, print_json, safe
from orderway.cli.tables import Table
from orderway.doctor import Finding, examine

if TYPE_CHECKING:
    from orderway.redis import Redis

__all__ = ["doctor"]


@click.command(cls=Command)
@click.pass_context
def doctor(context: click.Context) -> None:
    """Look at configuration, databases, shard map, workers, Redis and queue, and say what to do.

    It changes nothing. A configuration (--config, its variables, or that of your App) is shown first, without its
    passwords. Exits with 1 if anything needs to be done.
    """
    settings = context.ensure_object(Settings)
    found = chosen(settings)
    rows, urls = _configured(found), kept(found)
    if found.configuration is not None:
        urls = found.configuration.urls  # as its Apps log in, be it as another user than ORDERWAY_URL says
    findings = [
        replace(each, found=found.completed(each.found), advice=found.completed(each.advice))
        for each in run(examine(urls, **_parts(found)))
    ]
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


def _configured(found: Chosen) -> list[tuple[str, str, str]]:
    """The rows of the effective configuration; of an App that was made without one, what it alone knows."""
    if found.configuration is not None:
        from orderway.config import effective

        return [(row.key, row.value, row.source) for row in effective(found.configuration)]
    if found.app is None:
        return []
    shards = "-" if found.shards is None else str(found.shards)
    return [("shards", shards, "your App"), ("ids", "sequence" if found.app.numbering.draws else "time", "your App")]


def _parts(found: Chosen) -> dict[str, Any]:
    """What to examine."""
    redis: Redis | None = None
    if found.app is not None:
        redis = None if found.app.redis is None else found.app.redis.options
    elif found.configuration is not None:
        redis = found.configuration.redis.as_option()
    return {"shards": found.shards, "redis": redis, "queue": found.queue, **found.database_options}


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
