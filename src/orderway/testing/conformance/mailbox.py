"""What every mailbox must do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from orderway.errors import InvalidValue
from orderway.ports.limits import LARGEST_MESSAGE
from orderway.ports.mailbox import Letter, Mailbox
from orderway.testing.conformance.backend import PROCESSES, Backend, require
from orderway.testing.conformance.builders import NOW_US
from orderway.testing.conformance.racing import ProcessRaces, Racers

__all__ = ["MailboxConformance"]

LATER_US = NOW_US + 30_000_000
RACED = 60
PROCESS_ROUNDS = 5


@pytest.mark.asyncio
class MailboxConformance(ProcessRaces):
    """The contract of :class:`orderway.ports.mailbox.Mailbox`."""

    async def test_empty_mailbox(self, backend: Backend) -> None:
        mailbox = (await backend.connect()).mailbox
        assert list(await mailbox.take(NOW_US, LATER_US, 10)) == []
        assert list(await mailbox.buried(10)) == []

    async def test_letter_is_read_back_the_same_by_others(self, backend: Backend) -> None:
        one, other = (await backend.connect()).mailbox, (await backend.connect()).mailbox
        body = bytes(range(256)) * (LARGEST_MESSAGE // 256)
        headers = {"traceparent": "00-0af7-b7ad-01", "quoted": "'\"\\ ; %s :n ?"}
        await one.put(body, headers, NOW_US - 7, NOW_US)
        await one.put(b"", {}, NOW_US, NOW_US + 1)
        first, second = await other.take(NOW_US + 1, LATER_US, 10)
        assert (first.body, dict(first.headers), first.sent_at_us, first.tries) == (body, headers, NOW_US - 7, 0)
        assert (second.body, dict(second.headers), second.taken_until_us) == (b"", {}, LATER_US)
        assert first.number != second.number

    async def test_the_longest_due_come_first(self, backend: Backend) -> None:
        mailbox = (await backend.connect()).mailbox
        for after_us in (30, 10, 50, 20, 40):
            await mailbox.put(str(after_us).encode(), {}, NOW_US, NOW_US + after_us)
        assert bodies(await mailbox.take(NOW_US + 9, LATER_US, 10)) == []
        assert bodies(await mailbox.take(NOW_US + 45, LATER_US, 3)) == [b"10", b"20", b"30"]
        assert bodies(await mailbox.take(NOW_US + 45, LATER_US, 3)) == [b"40"]
        assert bodies(await mailbox.take(NOW_US + 50, LATER_US, 3)) == [b"50"]

    async def test_letter_is_its_takers_until_then(self, backend: Backend) -> None:
        one, other = (await backend.connect()).mailbox, (await backend.connect()).mailbox
        await one.put(b"hint", {}, NOW_US, NOW_US)
        (first,) = await one.take(NOW_US, LATER_US, 10)
        assert not await other.take(LATER_US - 1, LATER_US + 9, 10)
        (again,) = await other.take(LATER_US, LATER_US + 9, 10)
        assert (again.number, again.tries, again.taken_until_us) == (first.number, 1, LATER_US + 9)

    async def test_letter_that_was_taken_again_is_not_the_first_takers(self, backend: Backend) -> None:
        one, other = (await backend.connect()).mailbox, (await backend.connect()).mailbox
        await one.put(b"hint", {}, NOW_US, NOW_US)
        (stale,) = await one.take(NOW_US, LATER_US, 10)
        (held,) = await other.take(LATER_US, LATER_US + 9, 10)
        await one.remove(stale)
        await one.put_back(stale, NOW_US)
        await one.bury(stale, "unreadable", NOW_US)
        assert not await one.take(LATER_US, LATER_US + 9, 10)
        assert list(await one.buried(10)) == []
        await other.put_back(held, NOW_US)
        (last,) = await one.take(NOW_US, LATER_US, 10)
        assert (last.body, last.tries) == (b"hint", 2)

    async def test_letter_that_was_settled_is_settled(self, backend: Backend) -> None:
        mailbox = (await backend.connect()).mailbox
        for body in (b"removed", b"buried"):
            await mailbox.put(body, {}, NOW_US, NOW_US)
        taken = {letter.body: letter for letter in await mailbox.take(NOW_US, LATER_US, 10)}
        for _ in range(2):
            await mailbox.remove(taken[b"removed"])
            await mailbox.bury(taken[b"buried"], "unreadable", NOW_US)
        for letter in taken.values():
            await mailbox.put_back(letter, NOW_US)
            await mailbox.bury(letter, "expired", NOW_US)
        await mailbox.remove(taken[b"buried"])
        assert list(await mailbox.take(2**62, 2**62 + 1, 10)) == []
        assert [(each.body, each.reason) for each in await mailbox.buried(10)] == [(b"buried", "unreadable")]

    async def test_buried_letters_outlive_their_connection_oldest_first(self, backend: Backend) -> None:
        one = await backend.connect()
        for body in (b"second\xff", b"third", b"first"):
            await one.mailbox.put(body, {}, NOW_US, NOW_US)
        taken = {letter.body: letter for letter in await one.mailbox.take(NOW_US, LATER_US, 10)}
        await one.mailbox.bury(taken[b"second\xff"], "expired", NOW_US + 2)
        await one.mailbox.bury(taken[b"first"], "unreadable", NOW_US + 1)
        await one.mailbox.bury(taken[b"third"], "wrong_user", NOW_US + 3)
        await one.store.close()
        mailbox = (await backend.connect()).mailbox
        assert [(each.body, each.reason, each.buried_at_us) for each in await mailbox.buried(10)] == [
            (b"first", "unreadable", NOW_US + 1),
            (b"second\xff", "expired", NOW_US + 2),
            (b"third", "wrong_user", NOW_US + 3),
        ]
        assert [each.body for each in await mailbox.buried(1)] == [b"first"]

    @pytest.mark.parametrize("limit", [-1, 0, 1001])
    async def test_limits_are_checked(self, backend: Backend, limit: int) -> None:
        mailbox = (await backend.connect()).mailbox
        for asked in (mailbox.take(NOW_US, LATER_US, limit), mailbox.buried(limit)):
            with pytest.raises(InvalidValue, match="1 to 1,000"):
                await asked

    async def test_two_connections_never_take_the_same_letter(self, backend: Backend) -> None:
        one, other = (await backend.connect()).mailbox, (await backend.connect()).mailbox
        put = await fill(one)
        taken = await asyncio.gather(*(take_all(mailbox, limit) for mailbox, limit in ((one, 3), (other, 5), (one, 7))))
        assert sorted(body for each in taken for body in each) == put

    async def test_two_processes_never_take_the_same_letter(self, backend: Backend, racers: Racers) -> None:
        require(backend, PROCESSES)
        mailbox = (await backend.connect()).mailbox
        for _ in range(PROCESS_ROUNDS):
            put = await fill(mailbox)
            answers = await racers.race(backend, "take", now_us=NOW_US, until_us=LATER_US, limit=4)
            assert sorted(body.encode() for answer in answers for body in answer["taken"]) == put


def bodies(letters: Sequence[Letter]) -> list[bytes]:
    return [letter.body for letter in letters]


async def fill(mailbox: Mailbox) -> list[bytes]:
    """Put letters that are due; returns their bodies, sorted."""
    put = sorted(f"letter {number}".encode() for number in range(RACED))
    await asyncio.gather(*(mailbox.put(body, {}, NOW_US, NOW_US) for body in put))
    return put


async def take_all(mailbox: Mailbox, limit: int) -> list[bytes]:
    """Take until none is due any more."""
    taken: list[bytes] = []
    while letters := await mailbox.take(NOW_US, LATER_US, limit):
        taken += bodies(letters)
    return taken
