"""Exit codes, chosen here and nowhere else, and how an error is told."""

from __future__ import annotations

import click

from orderway.cli.output import print_json, print_problem
from orderway.errors import (
    ConfigError,
    DeliveryFailed,
    IllegalTransition,
    KeyReused,
    OrderExists,
    OrderNotFound,
    OrderUnreadable,
    OrderwayError,
    PaymentError,
    RefundExceedsPayment,
    Unavailable,
    UsageError,
)

__all__ = ["BROKEN_PIPE", "BUG", "EXITS", "FINDINGS", "INTERRUPTED", "REFUSED", "USAGE", "exit_code_of", "tell"]

FINDINGS, USAGE, NOT_FOUND, CONFIG, REFUSED, UNAVAILABLE = 1, 2, 3, 4, 5, 6
BUG, INTERRUPTED, BROKEN_PIPE = 70, 130, 141

EXITS: dict[int, str] = {
    0: "done",
    FINDINGS: "verify, migrate or doctor has found something wrong",
    USAGE: "the command line is wrong: an option, an order id, a file",
    NOT_FOUND: "there is no such order",
    CONFIG: "the set-up is wrong: no database, not ours, a newer one or its order, no App, a missing right or extra",
    REFUSED: "refused: the order does not allow it, or the payment or delivery failed; of --all: by some orders",
    UNAVAILABLE: "the database or another part did not answer: try again",
    BUG: "a bug, with its traceback",
    INTERRUPTED: "interrupted",
    BROKEN_PIPE: "nobody read the output to its end",
}
"""What each exit code means; printed by ``orderway --help``."""

# The first class that fits decides, so the special ones come first.
_BY_CLASS: tuple[tuple[type[OrderwayError], int], ...] = (
    (OrderNotFound, NOT_FOUND),
    (OrderUnreadable, CONFIG),
    (IllegalTransition, REFUSED),
    (OrderExists, REFUSED),
    (KeyReused, REFUSED),
    (RefundExceedsPayment, REFUSED),
    (UsageError, USAGE),
    (ConfigError, CONFIG),
    (PaymentError, REFUSED),
    (DeliveryFailed, REFUSED),
    (Unavailable, UNAVAILABLE),
    (OrderwayError, BUG),
)


def exit_code_of(error: OrderwayError) -> int:
    """The exit code for an error."""
    return next(code for kind, code in _BY_CLASS if isinstance(error, kind))


def tell(error: Exception, *, as_json: bool) -> None:
    """Tell of an error: a sentence on stderr, or a JSON document on stdout."""
    if isinstance(error, click.ClickException):
        code, message, order_id = "usage", error.format_message(), None
        hint = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else None
    else:
        code, message, order_id = getattr(error, "code", "bug"), str(error), getattr(error, "order_id", None)
        hint = None
    if as_json:
        print_json({"error": {"code": code, "message": message, "order_id": order_id}})
    else:
        print_problem(message if hint is None else f"{message} (see {hint} --help)")
