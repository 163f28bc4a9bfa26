"""One action of an operator on one order, or on all orders that the options choose: a dry run first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import click
from rich.text import Text

from orderway.actions import Done
from orderway.app import App
from orderway.cli.exits import REFUSED
from orderway.cli.looking import explained, print_order
from orderway.cli.opening import Settings, run, running
from orderway.cli.options import filtered, query_of
from orderway.cli.output import console, print_json, safe, stage_text
from orderway.core.facts import Fact
from orderway.core.ids import check_order_id
from orderway.core.order import Order
from orderway.errors import OrderUnreadable, OrderwayError
from orderway.explain import Explanation

__all__ = ["Action", "carry_out", "on_one_or_all"]

_PAGE = 200


@dataclass(frozen=True, slots=True)
class Action:
    """What is done to each order.

    Args:
        done: what an order is afterwards, for instance ``cancelled``.
        act: does it.
        decide: the facts that it would record for an order as it stands; for the dry run.
        moves: whether it does something to this order where no fact follows.
    """

    done: str
    act: Callable[[App, str], Awaitable[Order[Any]]]
    decide: Callable[[App, Order[Any]], Sequence[Fact]]
    moves: Callable[[Order[Any]], bool] = lambda order: False


@dataclass(frozen=True, slots=True)
class _Result:
    """What became of one order, or would become of it."""

    order: Order[Any]
    after: Order[Any] | None
    error: OrderwayError | None
    verdict: str


def on_one_or_all(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a command on one ID, or on all orders that the other options choose."""
    everything = click.option("--all", "everything", is_flag=True, help="All orders that the options below choose.")
    yes = click.option("--yes", is_flag=True, help="With --all: do it; without this, only say what would be done.")
    return everything(yes(filtered(function)))


def carry_out(
    settings: Settings, action: Action, order_id: str | None, *, everything: bool, yes: bool, **conditions: Any
) -> int:
    """Do it to one order, or to all that the conditions choose; returns the exit code.

    Raises:
        click.UsageError: the command line names neither one order nor a choice, or both.
    """
    chosen = {name: value for name, value in conditions.items() if value not in (None, ())}
    context = click.get_current_context()
    if everything == (order_id is not None):
        raise click.UsageError("give the ID of one order, or --all with options that choose orders", context)
    if everything and not chosen:
        raise click.UsageError(
            "--all wants at least one option that chooses orders; for really all of them: --since 2000-01-01", context
        )
    if not everything and (yes or chosen):
        raise click.UsageError("--yes and the options that choose orders belong to --all, not to one ID", context)
    if order_id is not None:
        print_order(settings, run(_one(settings, action, order_id)))
        return 0
    counts: Counter[str] = Counter()
    try:
        run(_all(settings, action, chosen, yes, counts))
    except OrderUnreadable:  # it comes after all the others, and they are told of
        _print_summary(settings, action, counts, yes)
        raise
    _print_summary(settings, action, counts, yes)
    return REFUSED if yes and counts["refused"] else 0


async def _one(settings: Settings, action: Action, order_id: str) -> Explanation:
    check_order_id(order_id)
    async with running(settings) as app:
        await action.act(app, order_id)
        return await explained(app, order_id)


async def _all(settings: Settings, action: Action, conditions: dict[str, Any], yes: bool, counts: Counter[str]) -> None:
    """One result after the other, each counted, and printed as soon as it is there."""
    async with running(settings) as app:
        query = query_of(await app.ports.now_us(), limit=_PAGE, **conditions)
        async for done in app.each(query, lambda order_id: action.act(app, order_id), dry_run=not yes):
            result = _done(action, done) if yes else _rehearsed(app, action, done.order)
            counts[result.verdict] += 1
            _print_result(settings, result)


def _done(action: Action, done: Done) -> _Result:
    if done.after is None:
        return _Result(done.order, None, done.error, "refused")
    is_same = done.after.version == done.order.version and not action.moves(done.order)
    verdict = "unchanged" if is_same else action.done
    return _Result(done.order, done.after, None, verdict)


def _rehearsed(app: App, action: Action, order: Order[Any]) -> _Result:
    """What would become of an order as it stands now: the same decision, written nowhere."""
    try:
        facts = action.decide(app, order)
        app.recorder.chain(order, facts, app.recorder.stamp(), close=False)
    except OrderwayError as error:
        return _Result(order, None, error, "refused")
    return _Result(order, None, None, action.done if facts or action.moves(order) else "unchanged")


def _print_result(settings: Settings, result: _Result) -> None:
    order, error = result.order, result.error
    if settings.json:
        told = None if error is None else {"code": error.code, "message": str(error)}
        stage = None if result.after is None else str(result.after.stage)
        before = {"order_id": order.id, "stage": str(order.stage)}
        print_json({**before, "result": result.verdict, "stage_after": stage, "error": told})
        return
    line = Text.assemble(order.id, "  ", stage_text(order.stage), " " * (12 - len(order.stage)), result.verdict)
    if error is not None:
        line.append(f": {safe(error)}")
    console().print(line, soft_wrap=True)


def _print_summary(settings: Settings, action: Action, counts: Counter[str], yes: bool) -> None:
    total = counts.total()
    if settings.json:
        known = {verdict: counts[verdict] for verdict in (action.done, "unchanged", "refused")}
        print_json({"summary": {"orders": total, "dry_run": not yes, **known}})
        return
    out = console()
    said = ", ".join(f"{count} {verdict}" for verdict, count in counts.items()) or "none"
    out.print(f"{total} {'order' if total == 1 else 'orders'}: {said}")
    if not yes:
        out.print("this was a dry run, nothing was done: add --yes to do it")
