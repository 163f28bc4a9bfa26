"""An order's payments and refunds as tables: only the columns that say something about this order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from rich.text import Text

from orderway.cli.output import console, iso, money
from orderway.cli.tables import Table
from orderway.core.order import Order
from orderway.core.payment import Leg, LegState, Refund

__all__ = ["print_legs", "print_refunds"]

T = TypeVar("T")
_NOTHING = "-"


def print_legs(order: Order[Any]) -> None:
    """Print the legs that an order is paid in: what was asked, is held, was paid, went back, is disputed."""

    def amount(read: Callable[[Leg], int]) -> Callable[[Leg], str]:
        return lambda leg: money(minor, leg.currency) if (minor := read(leg)) else _NOTHING

    def worth(leg: Leg) -> str:
        same = (leg.amount_minor, leg.currency) == (leg.worth_minor, order.currency)
        return _NOTHING if same or not leg.worth_minor else money(leg.worth_minor, order.currency)

    _print(
        "payments",
        order.legs,
        {"leg": lambda leg: str(leg.number), "channel": lambda leg: leg.channel, "state": lambda leg: str(leg.state)},
        {
            "asked": amount(lambda leg: leg.amount_minor),
            "worth": worth,
            "held": amount(_held_minor),
            "paid": amount(lambda leg: leg.captured_minor),
            "going back": amount(lambda leg: leg.refunding_minor),
            "gone back": amount(lambda leg: leg.refunded_minor),
            "disputed": amount(lambda leg: leg.disputed_minor),
            "reference": lambda leg: leg.reference or _NOTHING,
        },
        always={"asked", "paid", "reference"},
    )


def print_refunds(order: Order[Any]) -> None:
    """Print the refunds of an order: of which leg, how much, where it stands, and why."""

    def amount(refund: Refund) -> str:
        return money(refund.amount_minor, order.legs[refund.leg].currency)

    def worth(refund: Refund) -> str:
        same = (refund.amount_minor, order.legs[refund.leg].currency) == (refund.worth_minor, order.currency)
        return _NOTHING if same or not refund.worth_minor else money(refund.worth_minor, order.currency)

    _print(
        "refunds",
        order.refunds,
        {
            "refund": lambda refund: str(refund.number),
            "leg": lambda refund: str(refund.leg),
            "state": lambda refund: str(refund.state),
        },
        {
            "amount": amount,
            "worth": worth,
            "why": lambda refund: refund.why or _NOTHING,
            "key": lambda refund: refund.key or _NOTHING,
            "tried until": lambda refund: iso(refund.deadline_at_us) or _NOTHING if refund.is_live else _NOTHING,
            "reference": lambda refund: refund.reference or _NOTHING,
        },
        always={"amount"},
    )


def _held_minor(leg: Leg) -> int:
    return leg.authorized_minor if leg.state in {LegState.HELD, LegState.CLOSING} else 0


def _print(
    title: str,
    rows: Sequence[T],
    names: Mapping[str, Callable[[T], str]],
    values: Mapping[str, Callable[[T], str]],
    always: set[str],
) -> None:
    """Print a table of these rows: all names, and of the values those that are there always or in some row."""
    told = {name: read for name, read in values.items() if name in always or any(read(row) != _NOTHING for row in rows)}
    columns = {**names, **told}
    right = {"leg", "refund", "asked", "worth", "held", "paid", "going back", "gone back", "disputed", "amount"}
    console().print(Text(f"\n{title}", "bold"))
    table = Table(tuple(columns), right=tuple(name for name in columns if name in right), spare=("tried until", "why"))
    for row in rows:
        table.add(*(read(row) for read in columns.values()))
    table.print()
