"""Reading, outside of any transaction."""

from __future__ import annotations

from collections.abc import Sequence

from orderway.sql.operations import Fetch, Get
from orderway.sql.orders import OrderWrites, settle
from orderway.sql.refusals import refused_value
from orderway.sql.steps import Read, Refused, Steps

__all__ = ["fetch", "get_all"]


def get_all(orders: OrderWrites, gets: Sequence[Get]) -> Steps[None]:
    """Read orders, those that are asked for at the same time in one query."""
    found = yield from orders.find_all([operation.order_id for operation in gets])
    for operation in gets:
        order = found.pop(operation.order_id, None)
        if order is None:  # none, or given to another caller: an order is never shared between two
            order = (yield from orders.find_all([operation.order_id])).get(operation.order_id)
        settle(operation, order)


def fetch(operation: Fetch) -> Steps[None]:
    """Run one query; a value that it cannot be asked with is its caller's fault."""
    try:
        operation.result = yield Read(operation.sql, operation.parameters)
    except Refused as error:
        operation.error = refused_value(error)
