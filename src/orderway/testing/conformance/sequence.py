"""What every sequence must do."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from orderway.testing.conformance.backend import PROCESSES, Backend, require
from orderway.testing.conformance.racing import ProcessRaces, Racers

__all__ = ["SequenceConformance"]


@pytest.mark.asyncio
class SequenceConformance(ProcessRaces):
    """The contract of :class:`orderway.ports.sequence.Sequence`."""

    async def test_numbers_grow_from_one_on(self, backend: Backend) -> None:
        sequence = (await backend.connect()).sequence
        numbers = [await sequence.next("orders") for _ in range(20)]
        assert numbers[0] >= 1
        assert all(before < after for before, after in pairwise(numbers))

    async def test_names_are_sequences_of_their_own(self, backend: Backend) -> None:
        sequence = (await backend.connect()).sequence
        names = ["a", "A", "a ", "订单"]
        for _ in range(3):
            last = [await sequence.next(name) for name in names]
        assert last == [3, 3, 3, 3]

    async def test_no_number_is_given_out_twice_by_two_connections(self, backend: Backend) -> None:
        one, other = await backend.connect(), await backend.connect()
        numbers = await asyncio.gather(*(each.sequence.next("orders") for each in (one, other) * 100))
        assert len(set(numbers)) == 200

    async def test_no_number_is_given_out_twice_by_two_processes(self, backend: Backend, racers: Racers) -> None:
        require(backend, PROCESSES)
        first, second = await racers.race(backend, "sequence", name="orders", draws=100)
        numbers = first["numbers"] + second["numbers"]
        assert len(numbers) == len(set(numbers)) == 200
