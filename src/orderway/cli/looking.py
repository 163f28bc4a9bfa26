"""Commands that look at orders: show, list, explain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
from rich.panel import Panel
from rich.table import Table as Grid
from rich.text import Text
from rich.tree import Tree

from orderway.adapters import Ports
from orderway.app import App
from orderway.cli.documents import entry_document, explanation_document, order_document
from orderway.cli.money_tables import print_legs, print_refunds
from orderway.cli.opening import Settings, reading, run
from orderway.cli.options import Command, filtered, paged, query_of
from orderway.cli.output import console, iso, money, print_json, print_problem, safe, stage_text
from orderway.cli.tables import Table
from orderway.cli.timeline import Moment, timeline
from orderway.core.ids import check_order_id
from orderway.core.journal import Entry
from orderway.core.order import Order
from orderway.explain import Explanation
from orderway.explain import explain as explain_order
from orderway.ports.business import Business
from orderway.ports.store import Page

__all__ = ["explain", "explained", "list_orders", "print_order", "show"]

_SERVED: Business[Any] = Business()
"""Stands for the business of an order when no App was given: whether somebody serves its type cannot be told then."""


@click.command(cls=Command)
@click.argument("order_id", metavar="ID")
@click.pass_obj
def show(settings: Settings, order_id: str) -> None:
    """Show an order: row, payments, refunds, timeline."""

    async def work() -> tuple[Order[Any], list[Entry]]:
        check_order_id(order_id)
        async with reading(settings) as database:
            order = await database.ports.store.get(order_id)
            return order, list(await database.ports.store.entries(order_id))

    order, entries = run(work())
    if settings.json:
        print_json({"order": order_document(order), "journal": [entry_document(entry) for entry in entries]})
    else:
        _print_row(order)
        if order.legs:
            print_legs(order)
        if order.refunds:
            print_refunds(order)
        _print_timeline(timeline(order, entries))


@click.command("list", cls=Command)
@filtered
@click.option("--desc", "descending", is_flag=True, help="Newest first.")
@paged(str)
@click.pass_obj
def list_orders(settings: Settings, /, after: str | None, **conditions: Any) -> None:
    """List orders, a page at a time, by id."""

    async def work() -> Page:
        if after is not None:
            check_order_id(after)
        async with reading(settings) as database:
            query = query_of(await database.ports.now_us(), after=after, **conditions)
            return await database.ports.store.list(query)

    page = run(work())
    if settings.json:
        unreadable = [{"order_id": error.order_id, "message": str(error)} for error in page.unreadable]
        orders = [order_document(order) for order in page.orders]
        print_json({"orders": orders, "next": page.next, "unreadable": unreadable})
    else:
        _print_page(page)
        for error in page.unreadable:
            print_problem(str(error))


@click.command(cls=Command)
@click.argument("order_id", metavar="ID")
@click.pass_obj
def explain(settings: Settings, order_id: str) -> None:
    """Explain an order: what happens next, when, and why not yet."""

    async def work() -> Explanation:
        check_order_id(order_id)
        async with reading(settings) as database:
            return await _explained(database.ports, database.businesses, order_id)

    explanation = run(work())
    if settings.json:
        print_json(explanation_document(explanation))
    else:
        _print_explanation(explanation)


async def explained(app: App, order_id: str) -> Explanation:
    """Where an order stands after a command has moved it."""
    return await _explained(app.ports, app.businesses or None, order_id)


def print_order(settings: Settings, explanation: Explanation) -> None:
    """Print an order that a command has moved: where it stands, or its document."""
    if settings.json:
        print_json({"order": order_document(explanation.order)})
    else:
        _print_explanation(explanation)


async def _explained(ports: Ports, businesses: dict[int, Business[Any]] | None, order_id: str) -> Explanation:
    order = await ports.store.get(order_id)
    served = _SERVED if businesses is None else businesses.get(order.type)
    return explain_order(order, await ports.now_us(), await ports.workers.names(), served)


def _print_explanation(explained: Explanation) -> None:
    """Print where an order stands, what comes next, and what a person can do."""
    order, out = explained.order, console()
    out.print(Text.assemble("order ", (order.id, "bold"), " is ", stage_text(order.stage)), soft_wrap=True)
    when = f", at the latest at {iso(explained.at)}" if explained.at is not None else ""
    out.print(Text.assemble(("next    ", "dim"), safe(explained.next), when), soft_wrap=True)
    for reason in explained.reasons:
        out.print(Text.assemble(("because ", "dim"), safe(reason)), soft_wrap=True)
    for advice in explained.advice:
        out.print(Text.assemble(("do      ", "bold"), safe(advice)), soft_wrap=True)


def _print_page(page: Page) -> None:
    if not page.orders and not page.unreadable and page.next is None:
        console().print("no orders")
        return
    columns = ("id", "type", "user", "stage", "amount", "created", "due")
    table = Table(columns, right=("type", "amount"), cut="user", spare=("due", "type"))
    for order in page.orders:
        table.add(
            order.id,
            str(order.type),
            order.uid,
            stage_text(order.stage),
            _price(order),
            iso(order.created_at_us) or "",
            iso(order.due_at_us) or "-",
        )
    table.print()
    if page.next is not None:
        console().print(Text(f"more: add --after {page.next}", "dim"), soft_wrap=True)


def _price(order: Order[Any]) -> str:
    return money(order.amount_minor, order.currency) if order.legs or order.amount_minor else "-"


def _print_row(order: Order[Any]) -> None:
    status = f"status {int(order.status)} {order.status.name.lower().replace('_', ' ')}"
    stage = Text.assemble(stage_text(order.stage), (f"  ({status}, version {order.version})", "dim"))
    lines: list[tuple[str, str]] = [(label, value) for label, value in _row_lines(order) if value]
    out = console()
    if not out.is_terminal:
        out.print(f"order {order.id}")
        table = Table(("label", "value"), headed=False)
        table.add("stage", stage)
        for label, value in lines:
            table.add(label, value)
        table.print()
        return
    grid = Grid.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("stage", stage)
    for label, value in lines:
        grid.add_row(label, safe(value))
    title = Text.assemble("order ", (order.id, "bold"))
    out.print(Panel(grid, title=title, title_align="left", border_style="dim", expand=False))


def _row_lines(order: Order[Any]) -> Sequence[tuple[str, str | None]]:
    steps = ", ".join(order.steps)
    due = iso(order.due_at_us)
    return (
        ("user", order.uid),
        ("type", str(order.type)),
        ("price", _price(order) if order.legs else "nothing to pay"),
        ("own number", order.own_number),
        ("remark", order.remark),
        ("data", order.data_text),
        ("steps done", steps),
        ("why", order.why),
        ("needs", "a person" if order.needs_person else ""),
        ("goes on from", str(order.resume_stage or "")),
        ("created", iso(order.created_at_us)),
        ("last fact", iso(order.updated_at_us)),
        ("due", due and f"{due}, tried until {iso(order.deadline_at_us)}"),
        ("held by", None if order.holder is None else f"worker {order.holder}"),
        ("failed tries", str(order.attempts or "")),
        ("last error", order.last_error),
    )


def _print_timeline(moments: Sequence[Moment]) -> None:
    out = console()
    tree = Tree(Text("timeline", "bold"), guide_style="dim")
    if not out.is_terminal:
        out.print("\ntimeline")
    longest = max((len(moment.fact) for moment in moments), default=0)
    for moment in moments:
        fact = safe(moment.fact)
        line = Text.assemble((moment.at, "dim"), "  ", (fact, "bold"), " " * (longest - len(fact)))
        if moment.what:
            line.append(f"  {safe(moment.what)}")
        if moment.who or moment.why:
            line.append(f"  [{': '.join(safe(text) for text in (moment.who, moment.why) if text)}]", "italic")
        line.rstrip()
        if out.is_terminal:
            tree.add(line)
        else:
            out.print(Text.assemble("  ", line), soft_wrap=True)
    if out.is_terminal:
        out.print()
        out.print(tree)
