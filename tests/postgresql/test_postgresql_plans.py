"""Statements find their rows by an index, also those that were planned when the tables were empty."""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Any

import pytest
from postgresql_links import Connect

from orderway.core.order import Status
from orderway.ports.store import Query
from orderway.sql.compiled import CompiledQueries
from orderway.sql.database import Tables
from orderway.sql.dialects.postgresql.dialect import POSTGRESQL
from orderway.sql.dialects.postgresql.link import PostgresqlLink
from orderway.sql.ledger import postings_after
from orderway.sql.listing import counts_select, money_select, page_select, page_values
from orderway.sql.operations import Claim
from orderway.sql.shards import ShardMap
from orderway.sql.steps import Read, Step
from orderway.sql.writes import Writes

ORDER = ("id", *[None] * 30)
ENTRY = ("id", *[None] * 7)
LEG = ("id", *[None] * 15)
ORDERS, POSTINGS = POSTGRESQL.orders(0), POSTGRESQL.postings(0)
BY_KEY = {"ow_orders_0_pkey"}


async def plan_of(link: PostgresqlLink, sql: str) -> str:
    """As the server plans it for any values, which is how the link's statements run."""
    numbers = [int(number) for number in re.findall(r"\$(\d+)", sql)]
    nulls = ", ".join(["NULL"] * max(numbers, default=0))
    await link.script(f"PREPARE asked AS {sql}")
    rows = await link.send([Read(f"EXPLAIN EXECUTE asked{f'({nulls})' if nulls else ''}")])
    await link.script("DEALLOCATE asked")
    return "\n".join(row[0] for row in rows)


def only_indexes(plan: str) -> set[str]:
    """The indexes that a plan looks into; it may walk over no table of ours."""
    assert not re.search(r"Seq Scan on ow_|Hash Join|Merge Join", plan), plan
    return set(re.findall(r"Index(?: Only)? Scan(?: Backward)? using (\w+)", plan)) | set(
        re.findall(r"Bitmap Index Scan on (\w+)", plan)
    )


def last(steps: Generator[Step, Any, Any]) -> str:
    """The text of the last step."""
    step = next(steps)
    try:
        while True:
            step = steps.send([])
    except StopIteration:
        return step.sql


@pytest.mark.parametrize(
    ("sql", "indexes"),
    [
        (last(ORDERS.record([ORDER[:21]], [ENTRY], [LEG])), BY_KEY),
        (last(ORDERS.record([ORDER[:21]], [ENTRY], [])), BY_KEY),
        (last(ORDERS.orders(["id"])), {*BY_KEY, "ow_legs_0_pkey"}),
        (last(ORDERS.states(["id"])), BY_KEY),
        (last(ORDERS.hold([("id", 1, 1)])), BY_KEY),
        (ORDERS.due(1, 1, 1, 1).sql, {"ow_orders_0_due"}),
        (last(ORDERS.claim(1, 1, 1, 1)), {"ow_orders_0_due"}),
        (last(ORDERS.postpone([("id", 1, 1, 1, 1, "")])), BY_KEY),
        (last(ORDERS.hint([("id", 1)])), BY_KEY),
        (last(ORDERS.write_id("id", 1)), {"ow_journal_0_pkey"}),
        (last(POSTINGS.keys([("u", "k")])), {"ow_postings_0_pkey"}),
        (last(POSTINGS.accounts([("u", "USD")])), {"ow_accounts_0_pkey"}),
        (last(POSTINGS.write_id("u", "k")), {"ow_postings_0_pkey"}),
    ],
)
async def test_a_hot_statement_finds_its_rows_by_an_index(connect: Connect, sql: str, indexes: set[str]) -> None:
    plan = await plan_of(await connect(), sql)
    assert only_indexes(re.sub(r".*ow_(workers|meta).*", "", plan)) == indexes, plan


@pytest.mark.parametrize("statement", ["due", "claim"])
async def test_what_is_due_longest_is_found_without_sorting(connect: Connect, statement: str) -> None:
    sql = ORDERS.due(1, 1, 1, 1).sql if statement == "due" else last(ORDERS.claim(1, 1, 1, 1))
    plan = await plan_of(await connect(), sql)
    assert "Sort" not in plan, plan


async def test_what_is_due_in_many_shards_is_found_in_each_by_its_index(connect: Connect, writes: Writes) -> None:
    link = await connect()
    for shard in (1, 2):
        await link.script(f"CREATE TABLE ow_orders_{shard} (LIKE ow_orders_0 INCLUDING ALL)")
    many = Writes(POSTGRESQL, ShardMap.even(3), range(3))
    [query] = many.orders.due(Claim([1], 1, 1, 1, 1), 1)
    plan = await plan_of(link, query.sql)
    assert len(re.findall(r"_due(?:_idx)?\b|_type_due_at_us\w*", plan)) == 3, plan
    assert "Sort" not in plan, plan


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (Query(uid="user-7"), "ow_orders_0_uid"),
        (Query(statuses=[Status.STUCK]), "ow_orders_0_status"),
        (Query(own_number="N-1"), "ow_orders_0_own_number"),
        (Query(reference="R-1"), "ow_legs_0_reference"),
        (Query(needs_person=True), "ow_orders_0_needs_person"),
    ],
)
async def test_a_list_of_few_is_found_by_its_index(connect: Connect, query: Query, index: str) -> None:
    statement = page_select(Tables(range(1)).shards[0], query)
    sql = CompiledQueries(POSTGRESQL).fetch(statement, {**page_values(query), "page_size": 5}).sql
    plan = await plan_of(await connect(), sql)
    assert index in only_indexes(plan), plan


async def test_counts_of_what_is_unfinished_come_from_indexes(connect: Connect) -> None:
    sql = CompiledQueries(POSTGRESQL).fetch(counts_select(Tables(range(1)).shards[0], 1), {}).sql
    plan = await plan_of(await connect(), sql)
    assert {"ow_orders_0_status", "ow_orders_0_due"} <= only_indexes(plan), plan


async def test_what_stands_still_is_found_without_a_look_at_what_is_over(connect: Connect) -> None:
    sql = CompiledQueries(POSTGRESQL).fetch(money_select(Tables(range(1)).shards[0]), {}).sql
    plan = await plan_of(await connect(), sql)
    assert {"ow_orders_0_status", "ow_orders_0_due"} <= only_indexes(plan), plan


async def test_a_page_of_postings_is_found_by_the_primary_key(connect: Connect) -> None:
    statement = postings_after(Tables(range(1)).shards[0], ("user-7", "key-7"), 500)
    sql = CompiledQueries(POSTGRESQL).fetch(statement, {}).sql
    plan = await plan_of(await connect(), sql)
    assert only_indexes(plan) == {"ow_postings_0_pkey", "ow_lines_0_pkey"}, plan
    assert "Index Cond: (ROW(" in plan, plan
