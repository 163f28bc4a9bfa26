"""Commands that correct one order: amend, skip, accept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import click

from orderway.app import App
from orderway.cli.looking import explained, print_order
from orderway.cli.opening import Settings, run, running
from orderway.cli.options import Command, json_of, signed
from orderway.core.ids import check_order_id
from orderway.explain import Explanation

__all__ = ["accept", "amend", "skip"]


@click.command(cls=Command)
@click.argument("order_id", metavar="ID")
@click.option("--data", required=True, metavar="JSON|@FILE", help="All of the business data, as it shall be.")
@signed
@click.pass_obj
def amend(settings: Settings, order_id: str, data: str, actor: str, reason: str) -> None:
    """Correct an order's business data. Its business checks it: needs --app.

    What it was and what it is are both journaled.
    """
    amended = json_of("--data", data)
    _correct(
        settings,
        order_id,
        lambda app: app.amend(order_id, amended, actor=actor, reason=reason),
        needs="has the order's business check the data",
    )


@click.command(cls=Command)
@click.argument("order_id", metavar="ID")
@click.argument("step")
@click.option("--result", metavar="JSON|@FILE", default="null", help="What the step would have given.")
@signed
@click.pass_obj
def skip(settings: Settings, order_id: str, step: str, result: str, actor: str, reason: str) -> None:
    """Leave a step of a delivery out, as if it were done with this result."""
    given = json_of("--result", result)
    _correct(settings, order_id, lambda app: app.skip(order_id, step, actor=actor, reason=reason, result=given))


@click.command(cls=Command)
@click.argument("order_id", metavar="ID")
@click.argument("leg", type=click.IntRange(0))
@signed
@click.pass_obj
def accept(settings: Settings, order_id: str, leg: int, actor: str, reason: str) -> None:
    """Say that the unexpected money in LEG is settled: it is kept, and nobody is asked again."""
    _correct(settings, order_id, lambda app: app.accept(order_id, leg, actor=actor, reason=reason))


def _correct(settings: Settings, order_id: str, act: Callable[[App], Awaitable[Any]], needs: str = "") -> None:
    async def work() -> Explanation:
        check_order_id(order_id)
        async with running(settings, needs=needs) as app:
            await act(app)
            return await explained(app, order_id)

    print_order(settings, run(work()))
