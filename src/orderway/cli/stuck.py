"""Commands for orders that cannot move by themselves: stuck, retry-now."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import click
from rich.text import Text

from orderway.adapters import Ports
from orderway.app import App
from orderway.cli.bulk import Action, carry_out, on_one_or_all
from orderway.cli.opening import Settings, reading, run
from orderway.cli.options import Command, signed
from orderway.cli.output import console, iso, print_json, print_problem
from orderway.cli.tables import Table
from orderway.core.facts import Fact
from orderway.core.order import Order, Status
from orderway.operations import retry_facts
from orderway.ports.store import Query

__all__ = ["retry_now", "stuck"]

_PAGE = 200


@dataclass(slots=True)
class _Group:
    """The stuck orders of one reason."""

    why: str
    count: int = 0
    types: Counter[int] = field(default_factory=Counter)
    oldest: Order[Any] | None = None
    newest: Order[Any] | None = None

    def add(self, order: Order[Any]) -> None:
        self.count += 1
        self.types[order.type] += 1
        if self.oldest is None or order.updated_at_us < self.oldest.updated_at_us:
            self.oldest = order
        if self.newest is None or order.updated_at_us >= self.newest.updated_at_us:
            self.newest = order


@click.command(cls=Command)
@click.option("--reason", "why", help="Only those of this reason, one by one.")
@click.option("--type", "order_type", type=int, help="Only this order type.")
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="One by one: at most so many."
)
@click.pass_obj
def stuck(settings: Settings, why: str | None, order_type: int | None, limit: int) -> None:
    """List the orders that are stuck or disputed, grouped by reason; with --reason, one by one."""
    query = Query(statuses=(Status.STUCK,), order_type=order_type, limit=_PAGE)
    if why is None:
        _print_groups(settings, run(_groups(settings, query)))
    else:
        _print_orders(settings, run(_orders(settings, query, why, limit)))


async def _each(ports: Ports, query: Query) -> AsyncIterator[Order[Any]]:
    while True:
        page = await ports.store.list(query)
        for error in page.unreadable:
            print_problem(str(error))
        for order in page.orders:
            yield order
        if page.next is None:
            return
        query = query.following(page.next)


async def _groups(settings: Settings, query: Query) -> list[_Group]:
    groups: dict[str, _Group] = {}
    async with reading(settings) as database:
        async for order in _each(database.ports, query):
            why = _why(order)
            groups.setdefault(why, _Group(why)).add(order)
    return sorted(groups.values(), key=lambda group: (-group.count, group.why))


async def _orders(settings: Settings, query: Query, why: str, limit: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    async with reading(settings) as database:
        async for order in _each(database.ports, query):
            if _why(order) == why:
                found.append(await _document(database.ports, order))
            if len(found) == limit:
                break
    return found


async def _document(ports: Ports, order: Order[Any]) -> dict[str, Any]:
    """A stuck order, and what its journal says of how it got there."""
    told = [entry for entry in await ports.store.entries(order.id) if entry.fact in {"Stuck", "DisputeOpened"}]
    fields = told[-1].fields if told else {}
    first_us = fields.get("tried_from_us") or (told[-1].at_us if told else order.updated_at_us)
    return {
        "id": order.id,
        "type": order.type,
        "uid": order.uid,
        "stage": order.stage.value,
        "resumes_at": order.resume_stage.value if order.resume_stage else None,
        "attempts": fields.get("attempts", 0),
        "first_try_at": iso(first_us, precise=True),
        "last_try_at": iso(told[-1].at_us if told else order.updated_at_us, precise=True),
        "error": order.last_error,
    }


def _why(order: Order[Any]) -> str:
    return order.why or order.stage.value


def _print_groups(settings: Settings, groups: Sequence[_Group]) -> None:
    if settings.json:
        print_json({"groups": [_group_document(group) for group in groups]})
        return
    if not groups:
        console().print("nothing is stuck")
        return
    table = Table(
        ("reason", "orders", "types", "since", "for instance", "last error"), right=("orders",), cut="last error"
    )
    for group in groups:
        document = _group_document(group)
        types = ", ".join(f"{order_type}: {count}" for order_type, count in sorted(group.types.items()))
        table.add(
            *(group.why, str(group.count), types, iso(_since(group)) or "-", document["example"]),
            str(document["error"]).partition("\n")[0],
        )
    table.print()
    said = "each: orderway stuck --reason REASON; when the cause is mended: orderway retry-now --help"
    console().print(Text(said, "dim"), soft_wrap=True)


def _group_document(group: _Group) -> dict[str, Any]:
    assert group.newest is not None
    return {
        "reason": group.why,
        "orders": group.count,
        "types": {str(order_type): count for order_type, count in sorted(group.types.items())},
        "since": iso(_since(group), precise=True),
        "example": group.newest.id,
        "error": group.newest.last_error,
    }


def _since(group: _Group) -> int:
    assert group.oldest is not None
    return group.oldest.updated_at_us


def _print_orders(settings: Settings, found: Sequence[dict[str, Any]]) -> None:
    if settings.json:
        print_json({"orders": list(found)})
        return
    columns = ("id", "type", "user", "would go on from", "tries", "first try", "last try", "error")
    table = Table(columns, right=("type", "tries"), cut="error", spare=("first try", "type"))
    for each in found:
        table.add(
            *(each["id"], str(each["type"]), each["uid"], each["resumes_at"] or "-", str(each["attempts"] or "-")),
            *(each["first_try_at"][:19], each["last_try_at"][:19], each["error"].partition("\n")[0]),
        )
    table.print()


@click.command(cls=Command)
@click.argument("order_id", metavar="ID", required=False)
@click.option(
    "--rate",
    type=click.FloatRange(min=0.1),
    default=50.0,
    show_default=True,
    help="How many a second are due, of --all.",
)
@signed
@on_one_or_all
@click.pass_obj
def retry_now(settings: Settings, /, order_id: str | None, rate: float, actor: str, reason: str, **choice: Any) -> int:
    """Have orders tried again now that their cause is mended: one, or all that match.

    What is stuck is resumed; what waits for its next try is due now. Many become due one after the other, so that the
    end of an outage is not the next one. Whoever serves their types carries them on.
    """
    placed = 0

    async def act(app: App, each: str) -> Order[Any]:
        nonlocal placed
        order = await app.retry_now(each, actor=actor, reason=reason, delay_s=placed / rate)
        placed += 1
        return order

    def decide(app: App, order: Order[Any]) -> Sequence[Fact]:
        return retry_facts(order, app.recorder.deadlines(order))

    action = Action("retried", act, decide, moves=lambda order: order.due_at_us is not None)
    return carry_out(settings, action, order_id, **choice)
