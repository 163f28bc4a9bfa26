"""Rows of orders and legs: what is derived for them, and when they are written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlite_file import Open

from orderway.core.order import Order, Stage
from orderway.core.payment import Refund, RefundState
from orderway.sql.orders import _LEAVES_LEGS_ALONE
from orderway.sql.rows import INSERT_COLUMNS, UPDATE_COLUMNS, insert_row, update_row
from orderway.testing.conformance import situations
from orderway.testing.conformance.builders import NOW_US, make_order


def order_of(stage: Stage, kind: Any) -> Order[Any]:
    order, _ = make_order(amount_minor=situations.PRICE, legs=situations.UNPAID)
    return situations.in_situation(order, stage, kind)


def test_legs_are_written_after_the_facts_that_change_them() -> None:
    changing = set()
    for stage, kind in situations.allowed():
        order = order_of(stage, kind)
        if order.after(situations.FACTS[kind], NOW_US).legs != order.legs:
            changing.add(kind)
    every = {kind for _, kind in situations.allowed()}
    assert {kind.__name__ for kind in every - changing} == _LEAVES_LEGS_ALONE


@pytest.mark.parametrize("with_legs", [True, False])
def test_needs_person_is_what_the_order_says(with_legs: bool) -> None:
    seen = set()
    for stage, kind in situations.allowed():
        order = order_of(stage, kind)
        for each in (order, order.after(situations.FACTS[kind], NOW_US)):
            told = each if with_legs else replace(each, legs=(), refunds=())
            for columns, row in ((INSERT_COLUMNS, insert_row(told, 0)), (UPDATE_COLUMNS, update_row(told))):
                assert row[columns.index("needs_person")] == int(told.needs_person)
            seen.add((stage, told.needs_person))
    assert {needs_person for _, needs_person in seen} == {True, False}


async def test_refunds_are_readable_for_people(open_file: Open) -> None:
    opened = await open_file()
    order, entry = make_order()
    order.refunds = (Refund(1, 0, 70, 70, "k-🧾", "requested", 9, RefundState.PENDING, "B-1"),)
    await opened.store.create(order, entry)
    plain = await opened.store.create(*make_order())
    stored = dict(opened.run("SELECT id, refunds FROM ow_orders_0"))
    assert stored == {
        order.id: '[{"amount_minor":70,"deadline_at_us":9,"key":"k-🧾","leg":0,"number":1,"reference":"B-1",'
        '"state":"pending","why":"requested","worth_minor":70}]',
        plain.id: "[]",
    }
