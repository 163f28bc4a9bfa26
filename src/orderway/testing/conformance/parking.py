"""What every parking must do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from orderway.errors import InvalidValue
from orderway.ports.parking import ParkedPayment
from orderway.testing.conformance.backend import PROCESSES, Backend, require
from orderway.testing.conformance.builders import NOW_US, make_parked
from orderway.testing.conformance.racing import ProcessRaces, Racers

__all__ = ["ParkingConformance"]

ROUNDS = 50
PROCESS_ROUNDS = 20
HOSTILE = ["'; DROP TABLE ow_parked; --", "é'🧾\"\\", "%_[a-z]*", " R-1 ", "r-1", "R-1", "\n\t", "店铺", "", "a\x01b"]
LONGEST = {"channel": 32, "reference": 128, "order_id": 128, "key": 128, "uid": 128, "currency": 16}


def places(payments: Sequence[ParkedPayment]) -> list[tuple[str, str]]:
    return [(payment.channel, payment.reference) for payment in payments]


@pytest.mark.asyncio
class ParkingConformance(ProcessRaces):
    """The contract of :class:`orderway.ports.parking.Parking`."""

    async def test_empty_parking(self, backend: Backend) -> None:
        parking = (await backend.connect()).parking
        assert list(await parking.list()) == []
        assert list(await parking.due(NOW_US, 10)) == []
        assert await parking.release("wechat", "R-1") is False
        await parking.postpone("wechat", "R-1", NOW_US)
        assert list(await parking.list()) == []

    async def test_parked_payment_is_read_back_the_same_by_others(self, backend: Backend) -> None:
        one, other = await backend.connect(), await backend.connect()
        payment = make_parked("R-1", order_id="no such order 🧾", key="k", uid="u", cause="notice 7", tries=3)
        assert await one.parking.park(payment) is True
        assert list(await other.parking.list()) == [payment]

    async def test_parking_again_keeps_the_first(self, backend: Backend) -> None:
        one, other = await backend.connect(), await backend.connect()
        payment = make_parked("R-1")
        assert await one.parking.park(payment) is True
        for again in (payment, replace(payment), replace(payment, amount_minor=7, order_id="another")):
            assert await one.parking.park(again) is False
            assert await other.parking.park(again) is False
        assert list(await other.parking.list()) == [payment]

    async def test_same_reference_at_another_channel_is_another_payment(self, backend: Backend) -> None:
        parking = (await backend.connect()).parking
        both = [make_parked("R-1", channel=channel) for channel in ("alipay", "wechat")]
        assert [await parking.park(each) for each in both] == [True, True]
        assert await parking.release("alipay", "R-1") is True
        assert list(await parking.list()) == both[1:]

    @pytest.mark.parametrize("amount_minor", [-(2**63), 0, 2**63 - 1])
    async def test_amounts_fit_to_the_edge(self, backend: Backend, amount_minor: int) -> None:
        parking = (await backend.connect()).parking
        payment = make_parked("R-1", amount_minor=amount_minor)
        assert await parking.park(payment) is True
        assert list(await parking.list()) == [payment]

    async def test_hostile_texts_are_kept_byte_for_byte(self, backend: Backend) -> None:
        one, other = await backend.connect(), await backend.connect()
        made = [
            make_parked(text, order_id=text, key=text, uid=text, channel=text[:32], cause=text * 50) for text in HOSTILE
        ]
        assert [await one.parking.park(each) for each in made] == [True] * len(HOSTILE)
        assert list(await other.parking.list()) == sorted(made, key=lambda each: (each.channel, each.reference))
        for each in made:
            assert await other.parking.release(each.channel, each.reference) is True
        assert list(await one.parking.list()) == []

    @pytest.mark.parametrize("column", LONGEST)
    async def test_text_too_long_for_its_column_is_refused(self, backend: Backend, column: str) -> None:
        parking = (await backend.connect()).parking
        longest: dict[str, Any] = {column: "\U0001f9fe" * LONGEST[column]}
        fitting = replace(make_parked("R-1"), **longest)
        with pytest.raises(InvalidValue, match=f"{column} has .* at most {LONGEST[column]} are allowed"):
            await parking.park(replace(fitting, **{column: longest[column] + "x"}))
        assert list(await parking.list()) == []
        assert await parking.park(fitting) is True
        assert list(await parking.list()) == [fitting]

    async def test_value_that_fits_no_column_is_refused_alone(self, backend: Backend) -> None:
        parking = (await backend.connect()).parking
        good = [make_parked(f"R-{number}") for number in range(4)]
        bad = [
            make_parked("R-8", amount_minor=2**63),
            make_parked("R-9", cause="\ud800"),
            make_parked("\ud800"),
            make_parked("R-7", due_at_us=-(2**63) - 1),
        ]
        mixed = [each for pair in zip(good, bad, strict=True) for each in pair]
        results = await asyncio.gather(*map(parking.park, mixed), return_exceptions=True)
        assert results[::2] == [True] * 4
        assert [type(result) for result in results[1::2]] == [InvalidValue] * 4
        assert list(await parking.list()) == good

    async def test_due_ones_come_the_longest_due_first(self, backend: Backend) -> None:
        one, other = await backend.connect(), await backend.connect()
        for reference, later_us in (("c", 0), ("a", -5), ("d", 1), ("b", -5), ("e", -9)):
            await one.parking.park(make_parked(reference, due_at_us=NOW_US + later_us))
        assert [each.reference for each in await other.parking.due(NOW_US, 10)] == ["e", "a", "b", "c"]
        assert [each.reference for each in await other.parking.due(NOW_US, 2)] == ["e", "a"]
        assert [each.reference for each in await other.parking.due(NOW_US + 1, 1000)] == ["e", "a", "b", "c", "d"]
        assert list(await other.parking.due(NOW_US - 10, 10)) == []

    async def test_postponed_payment_is_due_later_and_counted(self, backend: Backend) -> None:
        one, other = await backend.connect(), await backend.connect()
        payment, calm = make_parked("R-1"), make_parked("R-2", due_at_us=NOW_US + 9)
        await one.parking.park(payment)
        await one.parking.park(calm)
        await other.parking.postpone("wechat", "R-1", NOW_US + 50)
        assert list(await one.parking.due(NOW_US + 49, 10)) == [calm]
        await one.parking.postpone("wechat", "R-1", NOW_US + 60)
        assert list(await other.parking.list()) == [replace(payment, due_at_us=NOW_US + 60, tries=2), calm]

    async def test_postponing_what_is_gone_brings_nothing_back(self, backend: Backend) -> None:
        one, other = await backend.connect(), await backend.connect()
        await one.parking.park(make_parked("R-1"))
        assert await one.parking.release("wechat", "R-1") is True
        await other.parking.postpone("wechat", "R-1", NOW_US + 1)
        assert await other.parking.release("wechat", "R-1") is False
        assert list(await one.parking.list()) == []

    async def test_what_was_released_may_be_parked_again(self, backend: Backend) -> None:
        parking = (await backend.connect()).parking
        await parking.park(make_parked("R-1"))
        await parking.release("wechat", "R-1")
        again = make_parked("R-1", amount_minor=7)
        assert await parking.park(again) is True
        assert list(await parking.list()) == [again]

    async def test_pages_add_up_to_the_whole(self, backend: Backend) -> None:
        parking = (await backend.connect()).parking
        every = [make_parked(f"R-{number}", channel=channel) for channel in ("alipay", "wechat") for number in range(4)]
        for each in reversed(every):
            await parking.park(each)
        for limit in (1, 3, 8, 1000):
            found: list[ParkedPayment] = []
            while page := await parking.list(places(found)[-1] if found else None, limit):
                assert len(page) <= limit
                found += page
            assert found == every
        assert list(await parking.list(("alipay", "R-10"))) == every[2:]  # a cursor need not be there any more

    @pytest.mark.parametrize("limit", [0, -1, 1001])
    async def test_limit_beyond_its_bounds_is_refused(self, backend: Backend, limit: int) -> None:
        parking = (await backend.connect()).parking
        with pytest.raises(InvalidValue, match="1 to 1,000"):
            await parking.list(limit=limit)
        with pytest.raises(InvalidValue, match="1 to 1,000"):
            await parking.due(NOW_US, limit)

    async def test_what_was_parked_outlives_its_connection(self, backend: Backend) -> None:
        one = await backend.connect()
        payment = make_parked("R-🧾")
        await one.parking.park(payment)
        await one.parking.postpone("wechat", "R-🧾", NOW_US + 5)
        await one.store.close()
        other = await backend.connect()
        assert list(await other.parking.list()) == [replace(payment, due_at_us=NOW_US + 5, tries=1)]
        assert await other.parking.park(payment) is False

    async def test_two_connections_park_one_payment(self, backend: Backend) -> None:
        one, other = await backend.connect(), await backend.connect()
        for number in range(ROUNDS):
            offers = [make_parked(f"R-{number}", order_id=order_id) for order_id in ("first", "second")]
            kept = await asyncio.gather(one.parking.park(offers[0]), other.parking.park(offers[1]))
            assert sorted(kept) == [False, True]
            assert list(await one.parking.due(NOW_US, 10)) == [offers[kept.index(True)]]
            released = await asyncio.gather(*(each.parking.release("wechat", f"R-{number}") for each in (one, other)))
            assert sorted(released) == [False, True]

    async def test_two_processes_park_one_payment(self, backend: Backend, racers: Racers) -> None:
        require(backend, PROCESSES)
        parking = (await backend.connect()).parking
        for number in range(PROCESS_ROUNDS):
            answers = await racers.race(backend, "park", reference=f"R-{number}")
            assert sorted(answer["parked"] for answer in answers) == [False, True]
            winner = [answer["parked"] for answer in answers].index(True)
            assert list(await parking.list()) == [make_parked(f"R-{number}", order_id=f"racer-{winner}")]
            assert await parking.release("wechat", f"R-{number}") is True
