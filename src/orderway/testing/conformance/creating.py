"""What every store must do: start, create, get, entries, close."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from orderway.core.journal import check_chain, differences, replay
from orderway.errors import InvalidValue, OrderExists, OrderNotFound
from orderway.testing.conformance.backend import Backend
from orderway.testing.conformance.builders import NOW_US, make_change, make_id, make_order, paid, twins, uids_in_shards

__all__ = ["HOSTILE_TEXTS", "CreateConformance"]

LOWEST, LARGEST = -(2**63), 2**63 - 1

HOSTILE_TEXTS = [
    "",
    " ",
    "trailing space ",
    "trailing tab\t",
    "'; DROP TABLE ow_orders; --",
    '"double" and `back` and \\ and %s and :name and ? and {x}',
    "100% _under_",
    "line\nbreak\r\nand \x01\x1f\x7f control",
    "emoji 🧾👩‍👩‍👧‍👦 and 4-byte 𝔘𠜎",
    "العربية \u202e right to left \u202c עברית",
    "é as one, e\u0301 as two",
    "ß ẞ ss İ i ı",
    "\ufeff\u200b invisible",
    "x" * 200,
]


@pytest.mark.asyncio
class CreateConformance:
    """``start``, ``create``, ``get``, ``entries`` and ``close``."""

    async def test_created_order_is_read_back_the_same_by_others(self, backend: Backend) -> None:
        one, other = await backend.connect(), await backend.connect()
        for uid in uids_in_shards(backend.shards):
            order, entry = make_order(uid, data='{"a":1}', remark="r", own_number="N-1", holder=7, due_at_us=NOW_US + 5)
            assert await one.store.create(order, entry) == order
            assert await other.store.get(order.id) == order
            assert list(await other.store.entries(order.id)) == [entry]

    async def test_starting_again_keeps_everything(self, backend: Backend) -> None:
        store = (await backend.connect()).store
        order, entry = make_order()
        await store.create(order, entry)
        await store.start()
        assert await store.get(order.id) == order

    async def test_what_was_created_outlives_its_connection(self, backend: Backend) -> None:
        one = await backend.connect()
        order, entry = make_order()
        await one.store.create(order, entry)
        await one.store.close()
        await one.store.close()
        assert await (await backend.connect()).store.get(order.id) == order

    async def test_creating_again_returns_the_order_as_it_stands_now(self, backend: Backend) -> None:
        one, other = await backend.connect(), await backend.connect()
        order, entry = make_order(remark="same")
        await one.store.create(order, entry)
        change = make_change(order, paid(order))
        await one.store.record(change)
        again, second_entry = make_order(remark="same", order_id=order.id, at_us=NOW_US + 9)
        assert await other.store.create(again, second_entry) == change.order
        assert list(await one.store.entries(order.id)) == [entry, *change.entries]

    async def test_other_content_under_the_same_id_is_refused(self, backend: Backend) -> None:
        one, other = await backend.connect(), await backend.connect()
        order, entry = make_order(remark="first")
        await one.store.create(order, entry)
        for store in (one.store, other.store):
            with pytest.raises(OrderExists) as caught:
                await store.create(*make_order(remark="second", order_id=order.id))
            assert caught.value.order_id == order.id
        assert await other.store.get(order.id) == order
        assert list(await one.store.entries(order.id)) == [entry]

    async def test_bad_operations_fail_alone(self, backend: Backend) -> None:
        store = (await backend.connect()).store
        taken, entry = make_order("u", remark="first")
        await store.create(taken, entry)
        good = [make_order(f"u{number}") for number in range(30)]
        exists = [make_order("u", remark=f"other {number}", order_id=taken.id) for number in range(10)]
        oversized = [make_order(f"o{number}", amount_minor=LARGEST + 1) for number in range(10)]
        mixed = [each for group in zip(good[:10], exists, oversized, strict=True) for each in group] + good[10:]
        results = await asyncio.gather(*(store.create(*each) for each in mixed), return_exceptions=True)
        assert [type(result) for result in results[1:30:3]] == [OrderExists] * 10
        assert [type(result) for result in results[2:30:3]] == [InvalidValue] * 10
        assert results[0:30:3] + results[30:] == [order for order, _ in good]
        for order, entry in good:
            assert await store.get(order.id) == order
            assert list(await store.entries(order.id)) == [entry]
        for order, _ in oversized:
            with pytest.raises(OrderNotFound):
                await store.get(order.id)

    async def test_one_id_many_times_at_once_is_one_order(self, backend: Backend) -> None:
        store = (await backend.connect()).store
        order, _ = make_order(remark="a")
        same = [make_order(remark="a", order_id=order.id) for _ in range(10)]
        others = [make_order(remark="b", order_id=order.id) for _ in range(10)]
        results = await asyncio.gather(*(store.create(*each) for each in same + others), return_exceptions=True)
        stored = await store.get(order.id)
        winners, losers = (results[:10], results[10:]) if stored.remark == "a" else (results[10:], results[:10])
        assert winners == [stored] * 10
        assert [type(result) for result in losers] == [OrderExists] * 10
        assert [entry.digest for entry in await store.entries(order.id)] == [stored.digest]

    async def test_texts_are_kept_byte_for_byte(self, backend: Backend) -> None:
        store = (await backend.connect()).store
        for text in HOSTILE_TEXTS:
            order, entry = make_order(text[:60], remark=text, own_number=text[:60], data=f'{{"t":"{len(text)} 🧾"}}')
            await store.create(order, entry)
            stored, entries = await store.get(order.id), await store.entries(order.id)
            assert stored == order
            assert list(entries) == [entry]
            assert check_chain(entries) == []
            assert differences(stored, replay(entries)) == []

    async def test_ids_that_differ_in_case_are_two_orders(self, backend: Backend) -> None:
        store = (await backend.connect()).store
        first, second = (make_order("u", order_id=order_id, remark=order_id) for order_id in twins("u"))
        await store.create(*first)
        with pytest.raises(OrderNotFound):
            await store.get(second[0].id)
        await store.create(*second)
        assert await store.get(first[0].id) == first[0]
        assert await store.get(second[0].id) == second[0]

    @pytest.mark.parametrize("amount_minor", [0, 1, LARGEST])
    async def test_amounts_fit_to_the_edge(self, backend: Backend, amount_minor: int) -> None:
        store = (await backend.connect()).store
        order, entry = make_order(amount_minor=amount_minor, order_type=65_535, holder=LARGEST, due_at_us=LARGEST)
        await store.create(order, entry)
        assert await store.get(order.id) == order

    @pytest.mark.parametrize(
        "values",
        [{"amount_minor": LARGEST + 1}, {"due_at_us": LARGEST + 1}, {"due_at_us": LOWEST - 1}, {"remark": "\ud800"}],
        ids=["amount", "due", "below", "lone surrogate"],
    )
    async def test_what_fits_no_column_is_refused(self, backend: Backend, values: dict[str, object]) -> None:
        store = (await backend.connect()).store
        order, entry = make_order()
        with pytest.raises(InvalidValue):
            await store.create(replace(order, **values), entry)  # type: ignore[arg-type]
        with pytest.raises(OrderNotFound):
            await store.get(order.id)

    @pytest.mark.parametrize(("column", "limit"), [("uid", 128), ("own_number", 191), ("currency", 16)])
    async def test_text_too_long_for_its_column_is_refused(self, backend: Backend, column: str, limit: int) -> None:
        store = (await backend.connect()).store
        for length in (limit, limit + 1):
            options: dict[str, Any] = {"uid": "u", column: "X" * length}
            order, entry = make_order(**options)
            if length == limit:
                assert await store.create(order, entry) == order
                continue
            with pytest.raises(InvalidValue, match=f"{column} has {length} characters, at most {limit} ") as caught:
                await store.create(order, entry)
            assert caught.value.order_id == order.id

    async def test_unknown_order_is_not_found(self, backend: Backend) -> None:
        store = (await backend.connect()).store
        order_id = make_id("u")
        with pytest.raises(OrderNotFound) as caught:
            await store.get(order_id)
        assert caught.value.order_id == order_id
        with pytest.raises(OrderNotFound):
            await store.entries(order_id)

    async def test_what_is_no_order_id_is_refused(self, backend: Backend) -> None:
        store = (await backend.connect()).store
        for order_id in ("", "x", make_id("u")[:-1] + "-"):
            with pytest.raises((InvalidValue, OrderNotFound)):  # a store that must find the shard looks closer
                await store.get(order_id)

    async def test_orders_given_out_are_the_callers_own(self, backend: Backend) -> None:
        store = (await backend.connect()).store
        order, entry = make_order(data='{"n":[1]}')
        returned = await store.create(order, entry)
        read = await store.get(order.id)
        for mine in (order, returned, read):
            mine.data["n"].append(2)
            mine.steps["mine"] = "1"
            mine.remark = "mine"
        stored = await store.get(order.id)
        assert (stored.data, stored.steps, stored.remark) == ({"n": [1]}, {}, "")
