"""The operator's commands on one order or many: cancel, refund, resume, hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from orderway.app import App
from orderway.cli.bulk import Action, carry_out, on_one_or_all
from orderway.cli.opening import Settings
from orderway.cli.options import Command, amount_of, signed
from orderway.core.facts import Fact
from orderway.core.money import Money
from orderway.core.order import Order
from orderway.core.refunds import Allocation
from orderway.errors import ConfigError
from orderway.operations import cancel_facts, hold_facts, refund_facts, resume_facts

__all__ = ["cancel", "hold", "refund", "resume"]


@click.command(cls=Command)
@click.argument("order_id", metavar="ID", required=False)
@signed
@on_one_or_all
@click.pass_obj
def cancel(settings: Settings, /, order_id: str | None, actor: str, reason: str, **choice: Any) -> int:
    """Cancel an order, or undo it: goods are taken back first, then all money goes back.

    After delivery it needs --app, and a take_back hook.
    """

    def decide(app: App, order: Order[Any]) -> Sequence[Fact]:
        return cancel_facts(order, app.businesses.get(order.type), reason, app.recorder.deadlines(order))

    action = Action("cancelled", lambda app, each: app.cancel(each, actor=actor, reason=reason), decide)
    return carry_out(settings, action, order_id, **choice)


@click.command(cls=Command)
@click.argument("order_id", metavar="ID", required=False)
@click.argument("amount", required=False)
@click.option("--key", required=True, help="Your own key of this refund: asking again under it gives nothing twice.")
@click.option("--leg", type=click.IntRange(0), help="Only from this leg; the way to give back unexpected money.")
@click.option(
    "--by",
    type=click.Choice(["reverse", "ratio"]),
    help="Over several legs: the last one first, or each in ratio. [default: as the order type says]",
)
@signed
@on_one_or_all
@click.pass_obj
def refund(
    settings: Settings,
    /,
    order_id: str | None,
    amount: str | None,
    key: str,
    leg: int | None,
    by: Allocation | None,
    actor: str,
    reason: str,
    **choice: Any,
) -> int:
    """Give money back: AMOUNT, for instance 12.50CNY, or all that is left.

    The goods stay where they are; an order that is not delivered yet, and of which all goes back, is undone.
    """
    if choice["everything"] and amount is None:
        amount, order_id = order_id, None  # with --all, the only word is the amount

    def asked(app: App, order: Order[Any]) -> tuple[Money | None, Allocation]:
        price = None if amount is None else amount_of(amount)
        return price, _spread(app, order, by, matters=leg is None and price is not None)

    async def act(app: App, each: str) -> Order[Any]:
        price, spread = asked(app, await app.ports.store.get(each))
        return await app.refund(each, price, key=key, actor=actor, reason=reason, leg=leg, by=spread)

    def decide(app: App, order: Order[Any]) -> Sequence[Fact]:
        price, spread = asked(app, order)
        return refund_facts(order, price, key, spread, leg, app.recorder.deadlines(order))

    return carry_out(settings, Action("refunded", act, decide), order_id, **choice)


def _spread(app: App, order: Order[Any], by: Allocation | None, *, matters: bool) -> Allocation:
    """How a refund is spread; the order type says so, unless it makes no difference.

    Raises:
        ConfigError: it makes a difference, and the type is not registered here.
    """
    if by is not None:
        return by
    with_money = [leg for leg in order.legs if leg.refundable_minor and leg.worth_minor]
    if order.type not in app.businesses and matters and len(with_money) > 1:
        raise ConfigError(
            f"order {order.id} was paid in {len(with_money)} legs, and its type {order.type}, which says how a refund "
            "is spread over them, is not registered here: give --by reverse or --by ratio, or --leg",
            order_id=order.id,
        )
    return app.recorder.business_of(order).refund_by


@click.command(cls=Command)
@click.argument("order_id", metavar="ID", required=False)
@signed
@on_one_or_all
@click.pass_obj
def resume(settings: Settings, /, order_id: str | None, actor: str, reason: str, **choice: Any) -> int:
    """Send a stuck order on from where it had stopped, and its stuck refunds.

    Whoever serves its type carries it on.
    """

    def decide(app: App, order: Order[Any]) -> Sequence[Fact]:
        return resume_facts(order, app.recorder.deadlines(order))

    action = Action("resumed", lambda app, each: app.resume(each, actor=actor, reason=reason), decide)
    return carry_out(settings, action, order_id, **choice)


@click.command(cls=Command)
@click.argument("order_id", metavar="ID", required=False)
@signed
@on_one_or_all
@click.pass_obj
def hold(settings: Settings, /, order_id: str | None, actor: str, reason: str, **choice: Any) -> int:
    """Stop an order that is on its way, until it is resumed."""

    def decide(_: App, order: Order[Any]) -> Sequence[Fact]:
        return hold_facts(order, reason)

    action = Action("held", lambda app, each: app.hold(each, actor=actor, reason=reason), decide)
    return carry_out(settings, action, order_id, **choice)
