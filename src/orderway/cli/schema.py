"""The commands about a database's tables: schema prints them, migrate makes and changes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from orderway.adapters import places_for
from orderway.cli.choosing import Settings, chosen, located, shards_of
from orderway.cli.exits import FINDINGS
from orderway.cli.opening import run
from orderway.cli.options import Command, global_options
from orderway.cli.output import console, print_json, safe
from orderway.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from orderway.sql.migrating import Migrated, Phase

__all__ = ["migrate", "schema"]

_OPTIONS = [option for option in global_options() if option.name != "url"]
_MOST_LINES = 20
_DIALECTS = ("sqlite", "postgresql", "mysql", "mariadb")


@click.command(params=_OPTIONS)
@click.option("--dialect", type=click.Choice(_DIALECTS), required=True, help="Of which database.")
@click.option(
    "--shards",
    type=int,
    help="Into how many tables orders are spread, in all databases; as your configuration says, else 1.",
)
@click.option(
    "--databases",
    type=click.IntRange(1),
    help="How many databases belong together; as your configuration says, else 1.",
)
@click.option("--database", type=click.IntRange(1), help="Which of them this is for; needed where there are several.")
@click.pass_obj
def schema(settings: Settings, dialect: str, shards: int | None, databases: int | None, database: int | None) -> None:
    """Print the complete SQL of a new database.

    Ready for sqlite3 -bail, psql -v ON_ERROR_STOP=1 or mariadb. It needs no driver, and connects to nothing.
    """
    shards, databases = _counts(settings, shards, databases)
    from orderway.sql.script import schema_script  # other commands do without SQLAlchemy, for memory://
    from orderway.sql.shards import ShardMap

    if database is None and databases > 1:
        raise click.UsageError(f"--database N is missing: for which of the {databases}, from 1 to {databases}?")
    number = database or 1
    if number > databases:
        raise click.UsageError(f"--database {number} of --databases {databases}: from 1 to {databases} are allowed")
    statements = list(schema_script(dialect, ShardMap.even(shards, databases), number - 1))
    if settings.json:
        print_json({"dialect": dialect, "shards": shards, "database": number, "statements": statements})
        return
    click.echo(
        f"-- Orderway on {dialect}: database {number} of {databases}, with its part of {shards} shards.\n"
        "-- For a new, empty database; `orderway migrate` changes those that there are."
    )
    for statement in statements:
        click.echo(statement)


def _counts(settings: Settings, shards: int | None, databases: int | None) -> tuple[int, int]:
    """How many shards and databases there are: by options, else by the configuration or the App."""
    found = chosen(settings)
    known = found.app is not None or found.configuration is not None
    listed = len(found.urls) if known and found.urls else None
    if databases is not None and listed is not None and databases != listed:
        raise UsageError(
            f"--databases {databases} contradicts the {listed} of {found.source_of('databases')}: leave out --databases"
        )
    databases = databases or listed or 1
    return shards_of(settings, shards) or listed or 1, databases


@click.command(cls=Command)
@click.option(
    "--shards",
    type=click.IntRange(1),
    help="How many there shall be in all databases; as your configuration says, else as many as there are.",
)
@click.option("--check", is_flag=True, help="Change nothing: say what is to be done, and compare the tables.")
@click.option(
    "--phase",
    type=click.Choice(["pre", "post"]),
    default="pre",
    show_default=True,
    help="pre: steps that older packages at work survive. post: all, once none of them runs any more.",
)
@click.pass_context
def migrate(context: click.Context, shards: int | None, check: bool, phase: Phase) -> None:
    """Make the tables, or bring them up to this package, step by step, and compare them with what it needs.

    If it was ended half way, run it again: it goes on. Exits with 1 if something is left that this package cannot work
    with.
    """
    settings = context.ensure_object(Settings)
    found = settings.chosen = replace(chosen(settings), given_shards=shards)
    databases = _migrated(settings, located(found), shards_of(settings, shards), check, phase)
    for each in databases:
        each.differences = [found.completed(sentence) for sentence in each.differences]
    if settings.json:
        print_json(
            {"ok": all(each.is_well for each in databases), "databases": [_document(each) for each in databases]}
        )
    else:
        for each in databases:
            _print(each, check, len(databases), found.completed)
    if not all(each.is_well for each in databases):
        context.exit(FINDINGS)


def _migrated(settings: Settings, urls: Sequence[str], shards: int | None, check: bool, phase: Phase) -> list[Migrated]:
    try:
        from orderway.sql.migrating import migrate as migrate_all
    except ModuleNotFoundError as error:
        raise ConfigError(f"{error.name} is missing: pip install 'orderway[migrate]'") from error
    with _bar(settings) as tell:
        return run(migrate_all(places_for(urls), shards, phase=phase, look_only=check, tell=tell))


@contextmanager
def _bar(settings: Settings) -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each database on a terminal; elsewhere, nothing."""
    out = console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TextColumn("shards"))
    with Progress(*columns, console=out, transient=True, disable=settings.json or not out.is_terminal) as progress:
        tasks: dict[str, Any] = {}

        def tell(where: str, done: int, total: int) -> None:
            if where not in tasks:
                tasks[where] = progress.add_task(safe(where))
            progress.update(tasks[where], completed=done, total=total)

        yield tell


def _document(found: Migrated) -> dict[str, Any]:
    return {
        "ok": found.is_well,
        "where": found.where,
        "database": found.database + 1,
        "shards": found.shards,
        "revision": found.revision,
        "done": found.done,
        "waiting": found.waiting,
        "differences": found.differences,
    }


def _print(found: Migrated, check: bool, databases: int, completed: Callable[[str], str]) -> None:
    out = console()
    place = f"database {found.database + 1} of {databases}, " if databases > 1 else ""
    last = f" to {found.shards[-1]}" if len(found.shards) > 1 else ""
    out.print(f"{safe(found.where)}: {place}shard {found.shards[0]}{last}", soft_wrap=True)
    for sentence in found.done[:_MOST_LINES]:
        out.print(f"  {safe(sentence)}", soft_wrap=True)
    if len(found.done) > _MOST_LINES:
        out.print(f"  ... and {len(found.done) - _MOST_LINES:,} more, which --json prints")
    if not found.done and not check:
        out.print("  nothing was to be done")
    if found.revision is None:
        out.print("  which steps were taken was never written down, as in every database that an App has made")
    for step in found.waiting.get("pre", []) if found.revision else []:
        out.print(completed(f"  to be done: step {safe(step)}: run `orderway migrate`"), soft_wrap=True)
    for step in found.waiting.get("post", []):
        waits = f"  waits: step {safe(step)}: run `orderway migrate --phase post` when no older package runs any more"
        out.print(completed(waits), soft_wrap=True)
    for sentence in found.differences:
        out.print(Text.assemble(("  wrong: ", "bold red"), safe(sentence)), soft_wrap=True)
    if found.is_well:
        out.print(Text("  all tables are as this package needs them", "green"))
