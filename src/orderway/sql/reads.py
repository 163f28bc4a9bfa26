"""Reading, outside of any transaction."""

from __future__ import annotations

from collections.abc import Sequence

from orderway.sql.operations import Fetch, Get
from orderway.sql.orders import OrderWrites, settle
from orderway.sql.refusals import refusal
from orderway.sql.steps import Forbidden, Read, Refused, Steps

__all__ = ["fetch", "get_all"]


def get_all(orders: OrderWrites, gets: Sequence[Get]) -> Steps[None]:
    """Read orders, those that are asked for at the same time in one query."""
    try:
        found = yield from orders.find_all([operation.order_id for operation in gets])
    except Forbidden:  # perhaps on one shard's table only: the orders of the others are to be had
        found = {}
    except Refused as error:
        for operation in gets:
            operation.error = refusal(error, operation.order_id)
        return
    for operation in gets:
        order = found.pop(operation.order_id, None)
        if order is None:  # none, or given to another caller: an order is never shared between two
            yield from _get_alone(orders, operation)
        else:
            settle(operation, order)


def _get_alone(orders: OrderWrites, operation: Get) -> Steps[None]:
    try:
        found = yield from orders.find_all([operation.order_id])
    except Refused as error:
        operation.error = refusal(error, operation.order_id)
    else:
        settle(operation, found.get(operation.order_id))


def fetch(operation: Fetch) -> Steps[None]:
    """Run one query; a value that it cannot be asked with is its caller's fault, a right that is missing nobody's."""
    try:
        operation.result = yield Read(operation.sql, operation.parameters)
    except Refused as error:
        operation.error = refusal(error)
