"""The commands export orders, export journal and export ledger."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from orderway.adapters import Ports
from orderway.cli.opening import Settings, reading, run
from orderway.cli.options import Command, ago_us, filtered, global_options
from orderway.cli.output import console, print_json, print_note, safe
from orderway.core.order import Stage, Status
from orderway.export import Chunk, ExportFile, Format, Write, export_journal, export_ledger, export_orders
from orderway.ports.store import Query

__all__ = ["export"]

_DEFAULTS: Mapping[str, tuple[object, ...]] = {"private": (False,), "guard": (True,)}
_AGO = "ago_s"
"""In what is exported: what was said as how long ago, in seconds by the name of the condition.

An interrupted export goes on with the instants that it was begun with; what is compared is what was said.
"""
_NOT_OF_THE_QUERY = frozenset({"kind", "format", "private", "guard", _AGO})


class Export(click.Group):
    """The group; its commands take the global options too, and so does the group itself."""

    command_class = Command


@click.group(cls=Export, params=global_options())
def export() -> None:
    """Export orders, their journal, or the ledger.

    The file grows page by page. As long as it is not complete, FILE.cursor stands beside it, and --resume goes on
    with it, however it was interrupted.
    """


def _to_file(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every export: where to."""
    path = click.Path(dir_okay=False, path_type=Path)
    output = click.option("--output", type=path, metavar="FILE", help="Write this file. [default: standard output]")
    resume = click.option(
        "--resume", is_flag=True, help="Go on with an interrupted export to --output, as it was begun."
    )
    page = click.option(
        "--page", type=click.IntRange(1, 1000), default=500, show_default=True, help="So many at a time."
    )
    return output(resume(page(function)))


def _as_table(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of orders and journal: how they are written."""
    form = click.option(
        "--format",
        type=click.Choice([str(form) for form in Format]),
        help="CSV for spreadsheets, or JSON lines, which are exact. [default: jsonl]",
    )
    private = click.option(
        "--with-private",
        "private",
        is_flag=True,
        help="With business data, remarks, error texts and results, which may be personal.",
    )
    guard = click.option(
        "--guard/--no-guard",
        default=True,
        help="In CSV, put an apostrophe before texts that a spreadsheet would run as a formula. [default: guard]",
    )
    return form(private(guard(function)))


@export.command("orders", cls=Command)
@filtered
@_as_table
@_to_file
@click.pass_obj
def orders(settings: Settings, /, **options: Any) -> None:
    """Export orders, one record an order, by id."""
    _export(settings, "orders", **options)


@export.command("journal", cls=Command)
@filtered
@_as_table
@_to_file
@click.pass_obj
def journal(settings: Settings, /, **options: Any) -> None:
    """Export the journal of orders, one record an entry. The options choose the orders."""
    _export(settings, "journal", **options)


@export.command("ledger", cls=Command)
@_to_file
@click.pass_obj
def ledger(settings: Settings, /, **options: Any) -> None:
    """Export all postings as plain-text accounting, for hledger. Give --app for currencies of your own."""
    _export(settings, "ledger", **options)


def _export(settings: Settings, kind: str, *, output: Path | None, resume: bool, page: int, **options: Any) -> None:
    if output is None and (resume or settings.json):
        raise click.UsageError("--resume and --json need --output FILE", click.get_current_context())
    what = {"kind": kind} | _given(options)
    if output is None:
        run(_to_standard_output(settings, what, page))
    else:
        run(_to_path(settings, what, page, output, resume))


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given, as JSON can hold them: they are kept beside an unfinished file."""
    given = {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}
    given = {name: value for name, value in given.items() if value not in _DEFAULTS.get(name, (None, []))}
    ago_s = {name: value.total_seconds() for name, value in given.items() if isinstance(value, timedelta)}
    said = {name: value for name, value in given.items() if name not in ago_s}
    return said | {_AGO: ago_s} if ago_s else said


async def _begun(what: Mapping[str, Any], ports: Ports) -> dict[str, Any]:
    """What an export that begins now exports: how long ago counts back from now."""
    ago_s = what.get(_AGO, {})
    now_us = await ports.now_us() if ago_s else 0
    return {**what, **{name: ago_us(now_us, timedelta(seconds=seconds)) for name, seconds in ago_s.items()}}


async def _to_standard_output(settings: Settings, what: Mapping[str, Any], page: int) -> None:
    stream = sys.stdout.buffer

    async def write(chunk: Chunk) -> None:
        text = chunk.text
        if stream.isatty():  # nothing in it may act on the terminal
            text = "".join(f"{safe(line)}\n" for line in text.replace("\r\n", "\n").removesuffix("\n").split("\n"))
        stream.write(text.encode())
        stream.flush()

    async with reading(settings) as database:
        await _feed(database.ports, await _begun(what, database.ports), None, page, write)


async def _to_path(settings: Settings, what: Mapping[str, Any], page: int, path: Path, resume: bool) -> None:
    async with reading(settings) as database:
        begun = {} if resume else await _begun(what, database.ports)
        with ExportFile.resume(path, what) if resume else ExportFile.begin(path, begun) as file:
            try:
                with _counting(settings, file) as write:
                    await _feed(database.ports, file.what, file.cursor, page, write)
            finally:
                if not file.complete:
                    print_note(f"{path} is not complete, {file.records:,} records are in it: add --resume to go on")
    if settings.json:
        print_json({"export": what["kind"], "path": str(path), "records": file.records})
    else:
        console().print(f"{file.records:,} records written to {safe(path)}", soft_wrap=True)


async def _feed(ports: Ports, what: Mapping[str, Any], after: str | None, page: int, write: Write) -> None:
    if what["kind"] == "ledger":
        await export_ledger(ports.ledger, write, after, limit=page)
        return
    export_rows = export_orders if what["kind"] == "orders" else export_journal
    form = Format(what.get("format", Format.JSONL))
    private, guard = what.get("private", False), what.get("guard", True)
    await export_rows(ports.store, write, form, _query(what, page), after, private=private, guard=guard)


def _query(what: Mapping[str, Any], page: int) -> Query:
    conditions = {name: value for name, value in what.items() if name not in _NOT_OF_THE_QUERY}
    if "statuses" in conditions:
        conditions["statuses"] = [Status(status) for status in conditions["statuses"]]
    if "stages" in conditions:
        conditions["stages"] = [Stage(stage) for stage in conditions["stages"]]
    return Query(**conditions, limit=page)


@contextmanager
def _counting(settings: Settings, file: ExportFile) -> Iterator[Callable[[Chunk], Awaitable[None]]]:
    """Writing to the file; on a terminal, with a count of what is written."""
    out = console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} records written", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=out, transient=True, disable=settings.json or not out.is_terminal) as progress:
        task = progress.add_task("", total=None, completed=file.records)

        async def write(chunk: Chunk) -> None:
            await file.write(chunk)
            progress.update(task, completed=file.records)

        yield write
