"""What is logged: a line for each order that matters, and none for one that goes its way.

Logs travel far and are kept long. So nothing is in them that a business, a user, a channel or a hook has said: the
texts of their errors are in the order's journal, in the part that can be erased. Orderway's own texts name orders,
channels and databases; of a bug there are its kind and the places in the code, without the values that were in them.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Sequence
from typing import Any

from orderway.core.facts import DisputeOpened, Fact, Refunded, RefundStuck, Stuck, UnexpectedPayment
from orderway.core.money import Money
from orderway.core.order import Order
from orderway.errors import OrderwayError, Unavailable

__all__ = ["kind_of", "tell", "tell_bug"]

logger = logging.getLogger("orderway")

_TOLD = {DisputeOpened, Refunded, RefundStuck, Stuck, UnexpectedPayment}
"""The facts that ``tell`` has a line for: most orders have none of them, and are not looked at any closer."""


def tell(order: Order[Any], facts: Sequence[Fact]) -> None:
    """Say what was recorded for an order, if it matters: money that goes back, or somebody who must see to it.

    Args:
        order: as it was before.
        facts: as they were written.
    """
    if _TOLD.isdisjoint(map(type, facts)):
        return
    unexpected = any(isinstance(fact, UnexpectedPayment) for fact in facts)
    for fact in facts:
        match fact:
            case Stuck(why=why) if not unexpected:  # else that is said already
                fields = _fields(order, reason=why)
                logger.error("order %s is stuck when %s: %s", order.id, order.stage, why, extra=fields)
            case RefundStuck(refund=number):
                logger.error("order %s: refund %d is stuck", order.id, number, extra=_fields(order))
            case UnexpectedPayment(channel=channel):
                amount = Money(fact.amount_minor, fact.currency)
                text = "order %s: unexpected payment of %s through %s is kept"
                logger.warning(text, order.id, amount, channel, extra=_fields(order, channel=channel))
            case DisputeOpened():
                logger.warning("order %s: a payment is disputed", order.id, extra=_fields(order))
            case Refunded(refund=number):
                logger.info("order %s: refund %d went back", order.id, number, extra=_fields(order))


def tell_bug(what: str, error: BaseException, **fields: Any) -> None:
    """Say that something failed that should not fail: the kind of the error, and where it came from."""
    places = "".join(traceback.format_tb(error.__traceback__)).rstrip()
    logger.error("%s: %s\n%s", what, type(error).__name__, places, extra=fields)


def kind_of(error: Exception) -> str:
    """An error for a log: what is down is said in Orderway's own words; else only the error's code, or its type."""
    if isinstance(error, Unavailable):
        return str(error)
    return error.code if isinstance(error, OrderwayError) else type(error).__name__


def _fields(order: Order[Any], **more: str) -> dict[str, Any]:
    return {"order_id": order.id, "order_type": order.type, **more}
