"""Statements find their rows by an index, in tables with few rows and with many."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from mysql_links import Connect, value_of

from orderway.core.order import Status
from orderway.ports.store import Query
from orderway.sql.compiled import CompiledQueries
from orderway.sql.database import Tables
from orderway.sql.dialects.mysql.dialect import MARIADB
from orderway.sql.dialects.mysql.link import MysqlLink
from orderway.sql.ledger import postings_after
from orderway.sql.listing import counts_select, page_select, page_values
from orderway.sql.operations import Create, Post
from orderway.sql.rows import UPDATE_COLUMNS
from orderway.sql.steps import Read, Step
from orderway.sql.writes import Writes
from orderway.testing.conformance.builders import NOW_US, make_order, make_posting

ORDERS, POSTINGS = MARIADB.orders(0), MARIADB.postings(0)
CHANGE = ("id", 1, 1, False, 1, *[1] * len(UPDATE_COLUMNS))
LIKE_IT = ("other", *CHANGE[1:])
UNLIKE_IT = ("other", 2, None, True, None, *[2] * len(UPDATE_COLUMNS))
Plan = dict[str, tuple[str | None, int]]


@pytest.fixture(params=[3, 2000], ids=["few rows", "many rows"])
async def link(request: pytest.FixtureRequest, connect: Connect, writes: Writes) -> MysqlLink:
    """To a database with so many orders and postings, nearly all of them not due."""
    link = await connect()
    made = [make_order(f"u{n % 50}", due_at_us=NOW_US if n < 5 else None) for n in range(request.param)]
    await link.transact(writes.together([Create(*each) for each in made]))
    posts = [Post(make_posting("u7", 5, key=f"k{n}"), "f", "w", NOW_US) for n in range(request.param)]
    await link.transact(writes.together(posts))
    await link.script("UPDATE ow_orders_0 SET status = 2 WHERE due_at_us IS NULL")
    await link.script("ANALYZE TABLE ow_orders_0, ow_legs_0, ow_accounts_0, ow_postings_0, ow_lines_0")
    return link


async def explained(link: MysqlLink, step: Step) -> list[dict[str, Any]]:
    """The server's plan for a statement: for each table of it, a row by names."""
    is_mariadb = "MariaDB" in await value_of(link, "SELECT VERSION()")
    rows = await link.send([Read(f"EXPLAIN {'' if is_mariadb else 'FORMAT=TRADITIONAL '}{step.sql}", step.values)])
    further = ("rows", "Extra") if is_mariadb else ("rows", "filtered", "Extra")
    names = ("type", "possible_keys", "key", "key_len", "ref", *further)
    return [{"table": row[2], **dict(zip(reversed(names), reversed(row), strict=False))} for row in rows]


async def plan_of(link: MysqlLink, step: Step) -> Plan:
    """For each table of ours: the index that is used, and how many rows of it are expected to be looked at."""
    rows = await explained(link, step)
    return {
        row["table"]: (row["key"], int(row["rows"] or 0))
        for row in rows
        if row["table"] and not row["table"].startswith("<")
    }


def steps_of(steps: Generator[Step, Any, Any]) -> list[Step]:
    found = [next(steps)]
    try:
        while True:
            found.append(steps.send([]))
    except StopIteration:
        return found


@pytest.mark.parametrize(
    ("step", "indexes"),
    [
        (steps_of(ORDERS.record([CHANGE], [], []))[0], {"ow_orders_0": "PRIMARY"}),
        (steps_of(ORDERS.record([CHANGE, LIKE_IT], [], []))[0], {"o": "PRIMARY"}),
        (steps_of(ORDERS.record([CHANGE, UNLIKE_IT], [], []))[0], {"o": "PRIMARY"}),
        (steps_of(ORDERS.orders(["a", "b"]))[0], {"o": "PRIMARY", "l": "PRIMARY"}),
        (steps_of(ORDERS.states(["a", "b"]))[0], {"o": "PRIMARY"}),
        (steps_of(ORDERS.hold([("a", 1, 1), ("b", 1, 1)]))[0], {"o": "PRIMARY"}),
        (steps_of(ORDERS.hold([("a", 1, 1), ("b", 1, 1)]))[1], {"ow_orders_0": "PRIMARY"}),
        (ORDERS.due(1, NOW_US, 1, 5), {"ow_orders_0": "ow_orders_0_due"}),
        (steps_of(ORDERS.claim(1, NOW_US, 1, 5))[0], {"ow_orders_0": "ow_orders_0_due"}),
        (steps_of(ORDERS.write_id("a", 1))[0], {}),
        (steps_of(POSTINGS.keys([("u7", "k1"), ("u7", "k2")]))[0], {"ow_postings_0": "PRIMARY"}),
        (steps_of(POSTINGS.accounts([("u7", "USD"), ("u8", "USD")]))[0], {"ow_accounts_0": "PRIMARY"}),
    ],
)
async def test_a_hot_statement_finds_its_rows_by_an_index(link: MysqlLink, step: Step, indexes: dict[str, str]) -> None:
    plan = await plan_of(link, step)
    assert {table: index for table, (index, _) in plan.items() if table in indexes} == indexes
    assert all(rows <= 10 for rows_of, (_, rows) in plan.items() if rows_of != "ow_workers"), plan


async def test_what_is_due_longest_is_found_without_sorting(link: MysqlLink) -> None:
    for step in (ORDERS.due(1, NOW_US, 1, 5), steps_of(ORDERS.claim(1, NOW_US, 1, 5))[0]):
        rows = await explained(link, step)
        assert rows
        assert not any("filesort" in str(row["Extra"]) for row in rows)


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (Query(uid="u7"), "ow_orders_0_uid"),
        (Query(statuses=[Status.STUCK]), "ow_orders_0_status"),
        (Query(own_number="N-1"), "ow_orders_0_own_number"),
        (Query(reference="R-1"), "ow_legs_0_reference"),
        (Query(needs_person=True), "ow_orders_0_needs_person"),
    ],
)
async def test_a_list_of_few_is_found_by_its_index(link: MysqlLink, query: Query, index: str) -> None:
    statement = page_select(Tables(range(1)).shards[0], query)
    fetch = CompiledQueries(MARIADB).fetch(statement, {**page_values(query), "page_size": 5})
    plan = await plan_of(link, Step(fetch.sql, fetch.parameters))
    assert index in {name for name, _ in plan.values()}, plan


async def test_counts_of_what_is_unfinished_come_from_indexes(link: MysqlLink) -> None:
    fetch = CompiledQueries(MARIADB).fetch(counts_select(Tables(range(1)).shards[0], 1), {})
    rows = await explained(link, Step(fetch.sql, fetch.parameters))
    assert all("Using index" in row["Extra"] for row in rows if row["table"] == "ow_orders_0"), rows


async def test_a_page_of_postings_is_found_by_the_primary_key(link: MysqlLink) -> None:
    statement = postings_after(Tables(range(1)).shards[0], ("u7", "k5"), 10)
    fetch = CompiledQueries(MARIADB).fetch(statement, {})
    plan = await plan_of(link, Step(fetch.sql, fetch.parameters))
    assert plan["ow_postings_0"][0] == "PRIMARY"
    assert all(index == "PRIMARY" or rows < 10 for index, rows in plan.values()), plan
