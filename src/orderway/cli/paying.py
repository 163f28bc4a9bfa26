"""Commands about one order's payments: confirm-payment, change-payment, record-refund; and parked, match."""

from __future__ import annotations

import shlex
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import click
from rich.text import Text

from orderway.app import App
from orderway.cli.documents import parked_document
from orderway.cli.looking import explained, print_order
from orderway.cli.opening import Settings, reading, run, running
from orderway.cli.options import Command, acted, amount_of, paged, signed
from orderway.cli.output import console, iso, money, print_json, safe
from orderway.cli.tables import Table
from orderway.core.ids import check_order_id
from orderway.core.payment import GATEWAY
from orderway.explain import Explanation
from orderway.orders import business_of
from orderway.ports.channel import Refused, Returned
from orderway.ports.parking import ParkedPayment

__all__ = ["change_payment", "confirm_payment", "match", "parked", "record_refund"]

_POLICY = "does with a payment what the order's business says of late and odd ones"


@click.command("confirm-payment", cls=Command)
@click.argument("order_id", metavar="ID")
@click.argument("amount")
@click.option("--reference", required=True, help="The channel's own number of the payment.")
@click.option("--channel", default=GATEWAY, show_default=True, help="Through which it came; it is asked, if it can be.")
@signed
@click.pass_obj
def confirm_payment(
    settings: Settings, order_id: str, amount: str, reference: str, channel: str, actor: str, reason: str
) -> None:
    """Record a payment of AMOUNT, for instance 12.50CNY, on your word. Needs --app.

    Its channel is asked first, where it can be. The order then goes on by itself.
    """

    async def act(app: App) -> None:
        await _check_served(app, order_id)
        paid = amount_of(amount)
        await app.confirm_payment(order_id, paid, reference=reference, channel=channel, actor=actor, reason=reason)

    _pay(settings, order_id, act, needs=_POLICY)


@click.command("change-payment", cls=Command)
@click.argument("order_id", metavar="ID")
@click.argument("channel")
@acted
@click.pass_obj
def change_payment(settings: Settings, order_id: str, channel: str, actor: str) -> None:
    """Have what is not paid yet paid through another CHANNEL, as the payer wishes.

    Channels other than the wallet and your own gateway are your App's: they need --app.
    """
    _pay(settings, order_id, lambda app: app.change_payment(order_id, channel, actor=actor))


@click.command("record-refund", cls=Command)
@click.argument("order_id", metavar="ID")
@click.argument("number", type=click.IntRange(1))
@click.option("--returned", metavar="REFERENCE", help="It went back, under this number.")
@click.option("--refused", metavar="WHY", help="It never will; the money may be refunded again.")
@click.option("--cause", default="", help="What told you; it is journaled.")
@acted
@click.pass_obj
def record_refund(
    settings: Settings, order_id: str, number: int, returned: str | None, refused: str | None, cause: str, actor: str
) -> None:
    """Tell what became of refund NUMBER, where you paid it out yourself or know it from the channel."""
    told = [text for text in (returned, refused) if text and text.strip()]
    if len(told) != 1:
        raise click.UsageError("give --returned REFERENCE or --refused WHY, one of them", click.get_current_context())
    outcome = Returned(told[0]) if returned else Refused(told[0])
    _pay(settings, order_id, lambda app: app.record_refund(order_id, number, outcome, actor=actor, cause=cause))


@click.command(cls=Command)
@paged((str, str), most=500, metavar="CHANNEL REFERENCE")
@click.pass_obj
def parked(settings: Settings, limit: int, after: tuple[str, str] | None) -> None:
    """List verified payments whose order is not known."""

    async def work() -> Sequence[ParkedPayment]:
        async with reading(settings) as database:
            return await database.ports.parking.list(after, limit + 1)

    found = run(work())
    shown, more = found[:limit], len(found) > limit
    following = [shown[-1].channel, shown[-1].reference] if more else None
    if settings.json:
        print_json({"payments": [parked_document(payment) for payment in shown], "next": following})
        return
    if not shown:
        console().print("no parked payments")
        return
    table = Table(("channel", "reference", "amount", "said to be for", "since"), right=("amount",), spare=("since",))
    for payment in shown:
        amount = money(payment.amount_minor, payment.currency)
        table.add(payment.channel, payment.reference, amount, payment.order_id, iso(payment.at_us) or "")
    table.print()
    if following is not None:
        console().print(Text(safe(f"more: add --after {shlex.join(following)}"), "dim"), soft_wrap=True)


@click.command(cls=Command)
@click.argument("channel")
@click.argument("reference")
@click.argument("order_id", metavar="ID")
@signed
@click.pass_obj
def match(settings: Settings, channel: str, reference: str, order_id: str, actor: str, reason: str) -> None:
    """Record a parked payment, by CHANNEL and REFERENCE, with the order ID. Needs --app."""

    async def act(app: App) -> None:
        await _check_served(app, order_id)
        await app.match_parked(channel, reference, order_id, actor=actor, reason=reason)

    _pay(settings, order_id, act, needs=_POLICY)


async def _check_served(app: App, order_id: str) -> None:
    """Refuse to guess what the order's business wants done with a payment.

    Raises:
        ConfigError: its type is not registered here.
    """
    order = await app.ports.store.get(order_id)
    business_of(order.type, app.businesses)


def _pay(settings: Settings, order_id: str, act: Callable[[App], Awaitable[Any]], needs: str = "") -> None:
    async def work() -> Explanation:
        check_order_id(order_id)
        async with running(settings, needs=needs) as app:
            await act(app)
            return await explained(app, order_id)

    print_order(settings, run(work()))
