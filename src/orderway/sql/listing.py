"""Lists and counts of orders, written with SQLAlchemy for every dialect."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, case, func, literal, null, select, text, union_all
from sqlalchemy.sql.selectable import CompoundSelect

from orderway.core.order import Status
from orderway.ports.store import Query
from orderway.sql.rows import LEG_COLUMNS, ORDER_COLUMNS
from orderway.sql.tables import ShardTables

__all__ = ["counts_select", "page_select"]

_COMMON = (Status.FORWARDING, Status.FINISHED)


def page_select(tables: ShardTables, query: Query) -> Select[Any]:
    """One shard's part of a page: the rows of ``limit + 1`` orders, joined to their legs, by id."""
    orders, legs = tables.orders, tables.legs
    order_by = orders.c.id.desc() if query.descending else orders.c.id
    page = (
        select(*(orders.c[name] for name in ORDER_COLUMNS))
        .where(*_conditions(tables, query))
        .order_by(order_by)
        .limit(query.limit + 1)
        .subquery("page")
    )
    return (
        select(*page.c, *(legs.c[name] for name in LEG_COLUMNS))
        .select_from(page.outerjoin(legs, legs.c.order_id == page.c.id))
        .order_by(page.c.id.desc() if query.descending else page.c.id, legs.c.number)
    )


def _conditions(tables: ShardTables, query: Query) -> list[ColumnElement[bool]]:
    """The conditions. Those of partial indexes are repeated word for word: a planner does not infer them."""
    column = tables.orders.c
    conditions: list[Any] = []
    if query.uid is not None:
        conditions.append(column.uid == query.uid)
    if query.statuses is not None:
        conditions.append(column.status.in_([int(status) for status in query.statuses]))
        if not set(query.statuses) & set(_COMMON):
            conditions.append(text("status <> 1 AND status <> 2"))
    if query.stages is not None:
        conditions.append(column.stage.in_([str(stage.value) for stage in query.stages]))
    if query.order_type is not None:
        conditions.append(column.type == query.order_type)
    if query.created_from_us is not None:
        conditions.append(column.created_at_us >= query.created_from_us)
    if query.created_to_us is not None:
        conditions.append(column.created_at_us < query.created_to_us)
    if query.own_number is not None:
        conditions.append(column.own_number == query.own_number)
        conditions.append(text("own_number <> ''"))
    if query.reference is not None:
        leg = tables.legs.c
        paid = select(leg.order_id).where(leg.reference == query.reference, text("reference <> ''"))
        conditions.append(column.id.in_(paid))
    if query.unexpected is not None:
        odd = column.id.in_(select(tables.legs.c.order_id).where(text("state = 'unexpected'")))
        conditions.append(odd if query.unexpected else ~odd)
    if query.after is not None:
        conditions.append(column.id < query.after if query.descending else column.id > query.after)
    return conditions


def counts_select(tables: ShardTables, now_us: int) -> CompoundSelect[Any]:
    """One shard's counts, in one snapshot, each from an index: rows of (what, key, count, oldest due).

    ``total`` counts all orders; ``status`` those of a status other than finished, which are the rest; ``due`` those
    due by now, by type.
    """
    column = tables.orders.c
    count = func.count()
    total = select(literal("total"), null(), count, null()).select_from(tables.orders)
    forwarding = select(literal("status"), literal(1), count, null()).where(text("status = 1"))
    other = (
        select(literal("status"), column.status, count, null())
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
