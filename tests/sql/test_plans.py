"""Lists of few orders among many are found by an index, not by looking at every order."""

from __future__ import annotations

import pytest
from sqlalchemy import MetaData
from sqlalchemy.dialects import sqlite
from sqlite_file import Open

from orderway.core.order import Status
from orderway.ports.store import Query
from orderway.sql.ledger import postings_after
from orderway.sql.listing import page_select, page_values
from orderway.sql.tables import shard_tables


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
async def test_a_list_is_found_by_its_index(open_file: Open, query: Query, index: str) -> None:
    statement = page_select(shard_tables(MetaData(), 0), query).params(page_values(query))
    sql = statement.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
    plan = [row[3] for row in (await open_file()).run(f"EXPLAIN QUERY PLAN {sql}")]
    assert any(f" INDEX {index} " in step for step in plan), plan
    assert not any(step.startswith("SCAN ow_") for step in plan), plan


async def test_a_page_of_postings_is_found_by_the_primary_key(open_file: Open) -> None:
    statement = postings_after(shard_tables(MetaData(), 0), ("user-7", "key-7"), 500)
    sql = statement.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
    plan = [row[3] for row in (await open_file()).run(f"EXPLAIN QUERY PLAN {sql}")]
    assert any("ow_postings_0 USING PRIMARY KEY ((uid,key)>" in step for step in plan), plan
    assert any("ow_lines_0 USING PRIMARY KEY (uid=? AND key=?)" in step for step in plan), plan
