"""What every ledger must do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from orderway.core.money import MAX_MINOR
from orderway.errors import InsufficientBalance, InvalidValue, KeyReused
from orderway.ports.ledger import WALLET, Ledger, Line, Posted, Posting, StatementLine
from orderway.testing.conformance.backend import PROCESSES, Backend, require
from orderway.testing.conformance.builders import NOW_US, make_posting, uids_in_shards
from orderway.testing.conformance.racing import ProcessRaces, Racers

__all__ = ["LedgerConformance"]

ROUNDS = 50
HOSTILE = ("", " ", "'; --", '"],[', "a\nb", "%", "ü", "u\u0308", "\U0001f600", "\uffff", "\u202e", "Z", "z")
"""Texts that a cursor may trip over: empty, quoting, and characters that sort apart in UTF-8 and in UTF-16."""


async def assert_books(ledger: Ledger, expected: dict[str, dict[str, int]]) -> None:
    """The trial balance is this one, and each currency adds up to zero; accounts without money may be left out."""
    trial = await ledger.trial_balance()
    assert {code: sum(accounts.values()) for code, accounts in trial.items()} == dict.fromkeys(trial, 0)
    stated = {code: {name: total for name, total in accounts.items() if total} for code, accounts in trial.items()}
    assert {code: accounts for code, accounts in stated.items() if accounts} == expected


async def pages_of(ledger: Ledger, limit: int) -> AsyncIterator[list[Posted]]:
    """All pages of postings, one after the other."""
    after: str | None = None
    while True:
        page, following = await ledger.postings(after, limit)
        yield list(page)
        if following is None:
            return
        assert following != after, "the cursor stands still"
        after = following


@pytest.mark.asyncio
class LedgerConformance(ProcessRaces):
    """The contract of :class:`orderway.ports.ledger.Ledger`."""

    async def test_posting_moves_money(self, backend: Backend) -> None:
        one, other = await backend.connect(), await backend.connect()
        assert await one.ledger.balance("u", "USD") == 0
        assert await one.ledger.post(make_posting("u", 1000), NOW_US) is True
        assert await one.ledger.post(make_posting("u", -300, house="house:sales"), NOW_US + 1) is True
        assert await other.ledger.balance("u", "USD") == 700
        await assert_books(other.ledger, {"USD": {WALLET: 700, "house:cash": -1000, "house:sales": 300}})

    async def test_books_balance_at_any_moment(self, backend: Backend) -> None:
        one, other = await backend.connect(), await backend.connect()

        async def trade(uid: str) -> None:
            for number in range(ROUNDS):
                await one.ledger.post(make_posting(uid, 1, key=f"{number}"), NOW_US)

        trades = [asyncio.create_task(trade(uid)) for uid in ("ann", "bob", *uids_in_shards(backend.shards))]
        looks = []
        while not all(task.done() for task in trades):
            looks.append(await other.ledger.trial_balance())
        await asyncio.gather(*trades)
        assert {sum(accounts.values()) for trial in looks for accounts in trial.values()} == {0}

    async def test_currencies_and_users_are_kept_apart(self, backend: Backend) -> None:
        ledger = (await backend.connect()).ledger
        uids = ["bob", "Bob", "bob ", "б💰", *uids_in_shards(backend.shards)]
        for amount, uid in enumerate(uids, start=1):
            await ledger.post(make_posting(uid, amount, key="same"), NOW_US)
            await ledger.post(make_posting(uid, amount * 100, key="coins", currency="COIN"), NOW_US)
        assert [await ledger.balance(uid, "USD") for uid in uids] == list(range(1, len(uids) + 1))
        assert [await ledger.balance(uid, "COIN") for uid in uids] == [100 * n for n in range(1, len(uids) + 1)]
        total = sum(range(1, len(uids) + 1))
        await assert_books(
            ledger,
            {
                "USD": {WALLET: total, "house:cash": -total},
                "COIN": {WALLET: 100 * total, "house:cash": -100 * total},
            },
        )

    async def test_same_key_same_content_is_applied_once(self, backend: Backend) -> None:
        one, other = await backend.connect(), await backend.connect()
        posting = make_posting("u", 500, key="top-up", memo="gift 🎁")
        assert await one.ledger.post(posting, NOW_US) is True
        assert await other.ledger.post(posting, NOW_US + 5) is False
        assert await one.ledger.balance("u", "USD") == 500

    @pytest.mark.parametrize(
        "other",
        [
            make_posting("u", 501, key="k", memo="m"),
            make_posting("u", 500, key="k", memo="m", currency="EUR"),
            make_posting("u", 500, key="k", memo="m", house="house:gifts"),
        ],
        ids=["amount", "currency", "account"],
    )
    async def test_same_key_other_content_is_refused(self, backend: Backend, other: Posting) -> None:
        ledger = (await backend.connect()).ledger
        await ledger.post(make_posting("u", 500, key="k", memo="m"), NOW_US)
        with pytest.raises(KeyReused):
            await ledger.post(other, NOW_US)
        await assert_books(ledger, {"USD": {WALLET: 500, "house:cash": -500}})

    async def test_key_is_compared_byte_for_byte(self, backend: Backend) -> None:
        ledger = (await backend.connect()).ledger
        for amount, key in enumerate(["k", "K", "k ", "ḱ", "k'; --"], start=1):
            assert await ledger.post(make_posting("u", amount, key=key), NOW_US) is True
        assert await ledger.balance("u", "USD") == 15

    async def test_wallet_never_becomes_negative_and_the_refusal_is_not_remembered(self, backend: Backend) -> None:
        ledger = (await backend.connect()).ledger
        debit = make_posting("u", -500, key="order-1")
        with pytest.raises(InsufficientBalance):
            await ledger.post(debit, NOW_US)
        await ledger.post(make_posting("u", 499), NOW_US)
        with pytest.raises(InsufficientBalance):
            await ledger.post(debit, NOW_US)
        assert await ledger.find("u", "order-1") is None
        assert await ledger.balance("u", "USD") == 499
        await ledger.post(make_posting("u", 1), NOW_US)
        assert await ledger.post(debit, NOW_US) is True
        assert await ledger.balance("u", "USD") == 0

    async def test_find_returns_the_posting_as_it_was_given(self, backend: Backend) -> None:
        ledger = (await backend.connect()).ledger
        lines = (Line(WALLET, 90), Line("house:fees", 10), Line("house:cash", -100))
        posting = Posting("k 'ü' \U0001f600", "u", "USD", lines, "memo\twith\nlines \u202eand more")
        await ledger.post(posting, NOW_US)
        assert await ledger.find("u", posting.key) == posting
        assert await ledger.find("U", posting.key) is None
        assert await ledger.find("u", "other") is None
        await assert_books(ledger, {"USD": {WALLET: 90, "house:fees": 10, "house:cash": -100}})

    @pytest.mark.parametrize(
        "lines",
        [
            (Line(WALLET, 100), Line("house:cash", -99)),
            (Line(WALLET, 0),),
            (),
            (Line(WALLET, MAX_MINOR + 1), Line("house:cash", -MAX_MINOR - 1)),
        ],
        ids=["unbalanced", "one line", "no lines", "beyond 64 bits"],
    )
    async def test_impossible_lines_are_refused(self, backend: Backend, lines: tuple[Line, ...]) -> None:
        ledger = (await backend.connect()).ledger
        with pytest.raises(InvalidValue):
            await ledger.post(Posting("k", "u", "USD", lines), NOW_US)
        assert await ledger.find("u", "k") is None
        await assert_books(ledger, {})

    @pytest.mark.parametrize(("column", "limit"), [("uid", 128), ("key", 128), ("currency", 16), ("account", 64)])
    async def test_text_too_long_for_its_column_is_refused(self, backend: Backend, column: str, limit: int) -> None:
        ledger = (await backend.connect()).ledger
        for length in (limit, limit + 1):
            options: dict[str, Any] = {"uid": "u"}
            options["house" if column == "account" else column] = "house:".ljust(length, "x")
            posting = make_posting(amount_minor=5, **options)
            if length == limit:
                assert await ledger.post(posting, NOW_US) is True
                continue
            with pytest.raises(InvalidValue, match=f"{column} has {length} characters, at most {limit} "):
                await ledger.post(posting, NOW_US)
            assert await ledger.find(posting.uid, posting.key) is None

    async def test_largest_amount_fits_and_one_more_is_refused(self, backend: Backend) -> None:
        ledger = (await backend.connect()).ledger
        await ledger.post(make_posting("u", MAX_MINOR), NOW_US)
        with pytest.raises(InvalidValue):
            await ledger.post(make_posting("u", 1, key="more"), NOW_US)
        assert await ledger.find("u", "more") is None
        assert await ledger.balance("u", "USD") == MAX_MINOR
        await assert_books(ledger, {"USD": {WALLET: MAX_MINOR, "house:cash": -MAX_MINOR}})

    async def test_refused_posting_fails_alone(self, backend: Backend) -> None:
        ledger = (await backend.connect()).ledger
        broke = [ledger.post(make_posting(f"broke-{n}", -1), NOW_US) for n in range(10)]
        rich = [ledger.post(make_posting(f"rich-{n}", 5), NOW_US) for n in range(10)]
        results = await asyncio.gather(
            *(post for pair in zip(broke, rich, strict=True) for post in pair), return_exceptions=True
        )
        assert [type(result) for result in results[::2]] == [InsufficientBalance] * 10
        assert results[1::2] == [True] * 10
        await assert_books(ledger, {"USD": {WALLET: 50, "house:cash": -50}})

    async def test_statement_has_the_running_balance_in_pages(self, backend: Backend) -> None:
        ledger = (await backend.connect()).ledger
        amounts = [100, -30, 50, -120, 7]
        for number, amount in enumerate(amounts):
            await ledger.post(make_posting("u", amount, key=f"k{number}", memo=f"m{number}"), NOW_US + number)
            await ledger.post(make_posting("v", 1000), NOW_US + number)
        seen: list[StatementLine] = []
        cursor, sizes = 0, []
        while True:
            lines, following = await ledger.statement("u", "USD", cursor, 2)
            seen += lines
            sizes.append(len(lines))
            if following is None:
                break
            cursor = following
        assert sizes == [2, 2, 1]
        assert [(line.key, line.memo, line.at_us) for line in seen] == [
            (f"k{n}", f"m{n}", NOW_US + n) for n in range(5)
        ]
        assert [line.amount_minor for line in seen] == amounts
        assert [line.balance_minor for line in seen] == [100, 70, 120, 0, 7]

    async def test_statement_that_fits_one_page_exactly_has_no_next(self, backend: Backend) -> None:
        ledger = (await backend.connect()).ledger
        assert await ledger.statement("u", "USD") == ([], None)
        for _ in range(2):
            await ledger.post(make_posting("u", 5), NOW_US)
        lines, following = await ledger.statement("u", "USD", limit=2)
        assert (len(lines), following) == (2, None)

    async def test_postings_of_all_users_come_in_pages(self, backend: Backend) -> None:
        one, other = await backend.connect(), await backend.connect()
        assert await one.ledger.postings() == ([], None)
        made = set()
        for number, text in enumerate(HOSTILE):
            for uid in (text, *uids_in_shards(backend.shards)):
                lines = (Line(WALLET, 5), Line("house:fees", number), Line("house:cash", -5 - number))
                posted = Posted(Posting(f"{text}k", uid, "USD", lines, f"memo {text}"), NOW_US - number)
                if await one.ledger.post(posted.posting, posted.at_us):
                    made.add(posted)
        for limit in (1, 2, 7, len(made) - 1, len(made), len(made) + 1):
            pages = [page async for page in pages_of(other.ledger, limit)]
            assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)
            assert 0 < len(pages[-1]) <= limit
            found = [posted for page in pages for posted in page]
            assert len(found) == len(made)
            assert set(found) == made

    async def test_postings_added_between_pages_shift_nothing(self, backend: Backend) -> None:
        one, other = await backend.connect(), await backend.connect()
        uids = uids_in_shards(backend.shards)
        before = [make_posting(uid, 5, key=f"k{number}") for uid in uids for number in range(6)]
        for posting in before:
            await one.ledger.post(posting, NOW_US)
        found: list[Posting] = []
        added: list[Posting] = []
        async for page in pages_of(other.ledger, 2):
            found += [posted.posting for posted in page]
            for uid in uids:
                if len(added) < 40:
                    added += [make_posting(uid, 1, key=f"{first}{len(added)}") for first in ("a", "l", "z")]
                    await asyncio.gather(*(one.ledger.post(posting, NOW_US) for posting in added[-3:]))
        assert len(found) == len(set(found))
        assert set(before) <= set(found) <= {*before, *added}

    @pytest.mark.parametrize("after", ["", "no cursor", "-1", "[1, 2]", '["u"]', "{}"])
    async def test_what_is_no_cursor_of_postings_is_refused(self, backend: Backend, after: str) -> None:
        ledger = (await backend.connect()).ledger
        with pytest.raises(InvalidValue, match="cursor"):
            await ledger.postings(after)
        with pytest.raises(InvalidValue, match="limit"):
            await ledger.postings(limit=0)

    async def test_one_key_from_two_connections_is_applied_once(self, backend: Backend) -> None:
        one, other = await backend.connect(), await backend.connect()
        for round_ in range(ROUNDS):
            posting = make_posting("u", 10, key=f"round-{round_}")
            results = await asyncio.gather(one.ledger.post(posting, NOW_US), other.ledger.post(posting, NOW_US))
            assert sorted(results) == [False, True]
        assert await one.ledger.balance("u", "USD") == 10 * ROUNDS

    async def test_two_connections_debit_one_wallet_until_it_is_empty(self, backend: Backend) -> None:
        one, other = await backend.connect(), await backend.connect()
        await one.ledger.post(make_posting("u", 1003), NOW_US)
        debits = [each.ledger.post(make_posting("u", -10), NOW_US) for each in (one, other) * 60]
        results = await asyncio.gather(*debits, return_exceptions=True)
        assert results.count(True) == 100
        assert [type(result) for result in results if result is not True] == [InsufficientBalance] * 20
        lines, _ = await other.ledger.statement("u", "USD", limit=1000)
        assert [line.balance_minor for line in lines] == list(range(1003, 0, -10))
        await assert_books(one.ledger, {"USD": {WALLET: 3, "house:cash": -3}})

    async def test_two_processes_debit_one_wallet_until_it_is_empty(self, backend: Backend, racers: Racers) -> None:
        require(backend, PROCESSES)
        ledger = (await backend.connect()).ledger
        for round_ in range(5):
            await ledger.post(make_posting(f"u{round_}", 203), NOW_US)
            first, second = await racers.race(backend, "debit", uid=f"u{round_}", amount_minor=10)
            assert first["debits"] + second["debits"] == 20
            assert await ledger.balance(f"u{round_}", "USD") == 3
        await assert_books(ledger, {"USD": {WALLET: 15, "house:cash": -15}})
