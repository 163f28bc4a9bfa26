"""The command verify."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from orderway.checkpoint import Checkpoint, CheckpointWriter
from orderway.cli.exits import FINDINGS
from orderway.cli.opening import Settings, reading, run
from orderway.cli.options import Command
from orderway.cli.output import console, money, print_json, safe
from orderway.cli.tables import Table
from orderway.verify import Progress as Tell
from orderway.verify import Report, compare
from orderway.verify import verify as verify_orders

__all__ = ["verify"]


@click.command(cls=Command)
@click.option("--write", type=click.Path(dir_okay=False, path_type=Path), help="Write a checkpoint, if all is well.")
@click.option(
    "--compare", "against", type=click.Path(dir_okay=False, path_type=Path), help="Compare with a checkpoint."
)
@click.pass_context
def verify(context: click.Context, write: Path | None, against: Path | None) -> None:
    """Check that journals, rows and books agree.

    Every order against its journal, every wallet payment against the ledger, every account against its postings.
    Exits with 1 if anything is wrong. It reads only, and may run beside a shop at work.
    """
    settings = context.ensure_object(Settings)
    report, written = run(_verify(settings, write, against))
    if settings.json:
        print_json(_document(report, write, written))
    else:
        _print_report(report, write, written)
    if report.found:
        context.exit(FINDINGS)


async def _verify(settings: Settings, write: Path | None, against: Path | None) -> tuple[Report, int | None]:
    checkpoint = Checkpoint(against) if against is not None else None
    async with reading(settings) as database:
        now_us = await database.ports.now_us()
        store, ledger = database.ports.store, database.ports.ledger
        writer = CheckpointWriter(write, now_us) if write is not None else None
        try:
            with _bar(settings, "checking orders") as tell:
                report = await verify_orders(store, ledger, now_us=now_us, checkpoint=writer, progress=tell)
            if checkpoint is not None:
                with _bar(settings, f"comparing with {safe(against)}") as tell:
                    await compare(store, checkpoint, report, progress=tell)
            written = writer.commit() if writer is not None and not report.found else None
        finally:
            if writer is not None:
                writer.discard()
    return report, written


@contextmanager
def _bar(settings: Settings, title: str) -> Iterator[Tell]:
    """A progress bar on a terminal; elsewhere, nothing."""
    out = console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=out, transient=True, disable=settings.json or not out.is_terminal) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _document(report: Report, write: Path | None, written: int | None) -> dict[str, Any]:
    return {
        "ok": not report.found,
        "orders": report.orders,
        "entries": report.entries,
        "erased": report.erased,
        "in_flight": report.in_flight,
        "compared": report.compared,
        "found": report.found,
        "findings": report.findings,
        "books": {currency: dict(accounts) for currency, accounts in report.books.items()},
        "checkpoint": None if write is None else {"path": str(write), "orders": written},
    }


def _print_report(report: Report, write: Path | None, written: int | None) -> None:
    out = console()
    out.print(f"{report.orders:,} orders with {report.entries:,} journal entries checked")
    if report.erased:
        out.print(f"{report.erased:,} of them have erased private parts, which cannot be compared")
    if report.in_flight:
        out.print(f"{report.in_flight:,} payments are taken and not recorded yet: the next sweep does it")
    if report.compared:
        out.print(f"{report.compared:,} journals compared with the checkpoint")
    if report.books:
        table = Table(("account", "holds"), right=("holds",))
        for currency, accounts in sorted(report.books.items()):
            for account, minor in sorted(accounts.items()):
                table.add(account, money(minor, currency))
        table.print()
    for finding in report.findings:
        out.print(Text.assemble(("wrong: ", "bold red"), safe(finding)), soft_wrap=True)
    if report.found > len(report.findings):
        out.print(f"... and {report.found - len(report.findings):,} more")
    if written is not None:
        out.print(f"checkpoint of {written:,} orders written to {safe(write)}", soft_wrap=True)
    elif write is not None:
        out.print("no checkpoint was written: what is wrong would be taken for right next time")
    noun = "finding" if report.found == 1 else "findings"
    verdict = ("all is well", "bold green") if not report.found else (f"{report.found:,} {noun}", "bold red")
    out.print(Text(*verdict))
