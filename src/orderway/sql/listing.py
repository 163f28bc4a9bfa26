"""Lists and counts of orders, written with SQLAlchemy for every dialect."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Integer,
    Select,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal,
    null,
    select,
    text,
    union,
    union_all,
)
from sqlalchemy.sql.selectable import CompoundSelect

from orderway.core.order import Status
from orderway.core.payment import LegState
from orderway.ports.store import Query
from orderway.sql.rows import LEG_COLUMNS, ORDER_COLUMNS
from orderway.sql.tables import ShardTables

__all__ = ["counts_select", "money_select", "page_select", "page_shape", "page_values"]

_COMMON = (Status.FORWARDING, Status.FINISHED)
_SINGLE = ("uid", "order_type", "created_from_us", "created_to_us", "own_number", "reference", "after")


def page_values(query: Query) -> dict[str, Any]:
    """The values of the query's conditions, by the names of the parameters that ``page_select`` gives them."""
    values: dict[str, Any] = {"page_size": query.limit + 1}
    for name in _SINGLE:
        value = getattr(query, name)
        if value is not None:
            values[f"of_{name}"] = value
    values |= {f"status_{at}": int(status) for at, status in enumerate(query.statuses or ())}
    values |= {f"stage_{at}": stage.value for at, stage in enumerate(query.stages or ())}
    return values


def page_shape(query: Query) -> Hashable:
    """What two queries must have in common to be the same statement with other values."""
    return (
        tuple(page_values(query)),
        query.statuses is None or _is_rare(query),
        (query.statuses is None, query.stages is None, query.needs_person, query.descending),
    )


def page_select(tables: ShardTables, query: Query) -> Select[Any]:
    """One shard's part of a page: the rows of ``limit + 1`` orders, joined to their legs, by id."""
    orders, legs = tables.orders, tables.legs
    order_by = orders.c.id.desc() if query.descending else orders.c.id
    page = (
        select(*(orders.c[name] for name in ORDER_COLUMNS))
        .where(*_conditions(tables, query))
        .order_by(order_by)
        .limit(bindparam("page_size", type_=Integer, required=False))
        .subquery("page")
    )
    return (
        select(*page.c, *(legs.c[name] for name in LEG_COLUMNS))
        .select_from(page.outerjoin(legs, legs.c.order_id == page.c.id))
        .order_by(page.c.id.desc() if query.descending else page.c.id, legs.c.number)
    )


def _conditions(tables: ShardTables, query: Query) -> list[ColumnElement[bool]]:
    """The conditions. Those of partial indexes are repeated word for word: a planner does not infer them."""
    column, leg, given = tables.orders.c, tables.legs.c, page_values(query)
    conditions: list[Any] = []
    if query.uid is not None:
        conditions.append(column.uid == bindparam("of_uid", required=False))
    if query.statuses is not None:
        conditions.append(_one_of(column.status, "status_", given))
        if _is_rare(query):
            conditions.append(text("status <> 1 AND status <> 2"))
    if query.stages is not None:
        conditions.append(_one_of(column.stage, "stage_", given))
    if query.order_type is not None:
        conditions.append(column.type == bindparam("of_order_type", required=False))
    if query.created_from_us is not None:
        conditions.append(column.created_at_us >= bindparam("of_created_from_us", required=False))
    if query.created_to_us is not None:
        conditions.append(column.created_at_us < bindparam("of_created_to_us", required=False))
    if query.own_number is not None:
        conditions.append(column.own_number == bindparam("of_own_number", required=False))
        conditions.append(text("own_number <> ''"))
    if query.reference is not None:
        paid = select(leg.order_id).where(
            leg.reference == bindparam("of_reference", required=False), text("reference <> ''")
        )
        conditions.append(column.id.in_(paid))
    if query.needs_person is not None:
        conditions.append(text("needs_person = 1" if query.needs_person else "needs_person = 0"))
    if query.after is not None:
        after: BindParameter[str] = bindparam("of_after", required=False)
        conditions.append(column.id < after if query.descending else column.id > after)
    return conditions


def _one_of(column: ColumnElement[Any], prefix: str, given: Mapping[str, Any]) -> ColumnElement[bool]:
    names = [name for name in given if name.startswith(prefix)]
    return column.in_([bindparam(name, type_=column.type, required=False) for name in names])


def _is_rare(query: Query) -> bool:
    """True if only statuses are asked for that few orders have: there is an index for these."""
    return not set(query.statuses or ()) & set(_COMMON)


def counts_select(tables: ShardTables, now_us: int) -> CompoundSelect[Any]:
    """One shard's counts, in one snapshot, each from an index: rows of (what, key, count, oldest due).

    ``total`` counts all orders; ``status`` those of a status other than finished, which are the rest; ``due`` those
    due by now, by type.
    """
    column = tables.orders.c
    count = func.count()
    nothing = cast(null(), BigInteger)  # else some databases take it for a text
    total = select(literal("total"), nothing, count, nothing).select_from(tables.orders)
    forwarding = select(literal("status"), literal(1), count, nothing).where(text("status = 1"))
    other = (
        select(literal("status"), column.status, count, nothing)
        .where(text("status <> 1 AND status <> 2"))
        .group_by(column.status)
    )
    is_due_at = case((column.due_at_us <= now_us, column.due_at_us))
    due = (
        select(literal("due"), column.type, func.count(is_due_at), func.min(is_due_at))
        .where(column.due_at_us.is_not(None))
        .group_by(column.type)
    )
    return union_all(total, forwarding.select_from(tables.orders), other, due)


def money_select(tables: ShardTables) -> CompoundSelect[Any]:
    """What stands still in one shard, and the money in it: rows of (what, key, count or sum, oldest).

    ``stuck`` counts stuck orders by reason. ``held`` sums up by currency what is put aside for orders that are not
    over, and not taken; ``unknown`` counts their payments of which nobody knows what became, since the order changed
    last. Orders that are over are not looked at: their number only grows.
    """
    order, leg, count = tables.orders.c, tables.legs.c, func.count()
    is_stuck = and_(text("status <> 1 AND status <> 2"), order.status == int(Status.STUCK))
    stuck = select(literal("stuck"), order.why, count, cast(null(), BigInteger)).where(is_stuck).group_by(order.why)
    columns = (order.id, order.updated_at_us)
    alive = union(
        select(*columns).where(text("status = 1 OR due_at_us IS NOT NULL")), select(*columns).where(is_stuck)
    ).subquery("alive")
    of_alive = alive.join(tables.legs, leg.order_id == alive.c.id)
    aside = func.sum(leg.authorized_minor - leg.captured_minor)
    held = (
        select(literal("held"), leg.currency, aside, cast(null(), BigInteger))
        .select_from(of_alive)
        .where(leg.state.in_([LegState.HELD.value, LegState.CLOSING.value]), leg.authorized_minor > leg.captured_minor)
        .group_by(leg.currency)
    )
    unknown = (
        select(literal("unknown"), literal(""), count, func.min(alive.c.updated_at_us))
        .select_from(of_alive)
        .where(leg.state == LegState.UNKNOWN.value)
    )
    return union_all(stuck, held, unknown)
