"""Why a write of an order is refused: the same rules and words in every dialect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orderway.errors import (
    HoldLost,
    InvalidValue,
    MissingRights,
    OrderExists,
    OrderNotFound,
    OrderwayError,
    StaleOrder,
    Unavailable,
)
from orderway.ports.store import Change
from orderway.sql.steps import Busy, Forbidden

__all__ = ["check_epoch", "exists", "missing_rights", "not_found", "refusal", "state_error"]


def state_error(change: Change, state: Sequence[Any] | None) -> OrderwayError | None:
    """Why a change cannot be written to a row of this version and holder; None if it can."""
    order_id = change.order.id
    if state is None:
        return not_found(order_id)
    version, holder = state
    if version != change.expected_version:
        return StaleOrder(
            f"order {order_id} is at version {version}, not {change.expected_version}: read it again", order_id=order_id
        )
    if change.guard is not None and holder != change.guard:
        return HoldLost(f"order {order_id} is held by {holder}, not by {change.guard}", order_id=order_id)
    return None


def not_found(order_id: str) -> OrderNotFound:
    """There is no such order."""
    return OrderNotFound(f"there is no order {order_id}", order_id=order_id)


def exists(order_id: str) -> OrderExists:
    """The id is taken by an order of another content."""
    return OrderExists(
        f"order {order_id} exists with another content: use another id, or the same content", order_id=order_id
    )


def missing_rights(error: Forbidden, order_id: str | None = None) -> MissingRights:
    """Nobody's value is at fault, but the rights of the database's user."""
    return MissingRights(
        f"the database's user lacks a right: {error}; nothing was done. What it needs: {error.grant} (docs/schema.md,"
        " Rights); `orderway doctor` names each right that is missing",
        order_id=order_id,
    )


def refusal(error: Exception, order_id: str | None = None) -> InvalidValue | Unavailable:
    """Why one operation alone was refused: for a right or a lock of others', or else for a value of its own."""
    if isinstance(error, Forbidden):
        return missing_rights(error, order_id)
    if isinstance(error, Busy):
        return Unavailable(f"{error}: nothing was done", order_id=order_id)
    return InvalidValue(f"the database refused a value: {error}", order_id=order_id)


def check_epoch(stored: int | None, known: int) -> None:
    """Refuse to write by a shard map that is no longer the one in force.

    Raises:
        Unavailable: until the process is started again.
    """
    if stored != known:
        raise Unavailable(
            f"the shard map has changed (epoch {stored}, this process knows {known}): restart the process"
        )
