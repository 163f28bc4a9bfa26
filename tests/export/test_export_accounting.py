"""The ledger as plain-text accounting: ``hledger`` itself reads it, and comes to the same balances."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Mapping
from urllib.parse import unquote

import pytest
from filling import HOSTILE, Taken, fill_ledger

from orderway.adapters import Ports
from orderway.core.money import currency, define_currency
from orderway.errors import InvalidValue
from orderway.export import Chunk, export_ledger
from orderway.ports.ledger import FUNDING, WALLET, Line, Posting
from orderway.testing.conformance.builders import NOW_US, make_posting

Balances = Mapping[str, Mapping[str, int]]


def hledger(journal: str, *words: str) -> str:
    """Run hledger on a journal; what it prints."""
    command = shutil.which("hledger")
    if command is None:
        missing = "hledger is not installed (Debian, Ubuntu: apt-get install hledger; .ci/run does it)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    run = subprocess.run(
        [command, "-f", "-", *words],
        input=journal,
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "LC_ALL": "C.UTF-8"},
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def original(name: str) -> str:
    """The text that a name was made from; an empty one is written as a lone percent sign."""
    return ":".join("" if part == "%" else unquote(part) for part in name.split(":"))


def balances_of(journal: str) -> dict[str, dict[str, int]]:
    """Per currency, what hledger says that each account holds, in minor units; accounts without money left out."""
    found: defaultdict[str, dict[str, int]] = defaultdict(dict)
    rows, _ = json.loads(hledger(journal, "balance", "--flat", "--output-format", "json"))
    for account, _, _, amounts in rows:
        for amount in amounts:
            code, quantity = amount["acommodity"], amount["aquantity"]
            exponent = 0 if code.endswith(" (minor)") else currency(code).exponent
            minor, rest = divmod(quantity["decimalMantissa"] * 10**exponent, 10 ** quantity["decimalPlaces"])
            assert rest == 0
            if minor:
                found[code.removesuffix(" (minor)")][original(account)] = minor
    return dict(found)


def by_kind(balances: Balances) -> Balances:
    """The wallets of all users added up, as a trial balance has them."""
    sums: dict[str, dict[str, int]] = {}
    for code, accounts in balances.items():
        kinds: defaultdict[str, int] = defaultdict(int)
        for account, minor in accounts.items():
            kinds[WALLET if account.startswith(f"{WALLET}:") else account] += minor
        sums[code] = {kind: minor for kind, minor in kinds.items() if minor}
    return sums


async def test_hledger_comes_to_the_same_balances(ports: Ports, taken: Taken) -> None:
    await fill_ledger(ports)
    written = await export_ledger(ports.ledger, taken.write, limit=50)
    assert written == len(HOSTILE) * 5 * 4 + 1 == sum(chunk.records for chunk in taken.chunks)
    hledger(taken.text, "check")
    found = balances_of(taken.text)
    assert by_kind(found) == by_kind(await ports.ledger.trial_balance())
    assert found.pop("BHD") == {"wallet:rich": 2**63 - 1, FUNDING: 1 - 2**63}
    for code in found:
        wallets = {account for account in found[code] if account.startswith(f"{WALLET}:")}
        assert wallets == {f"{WALLET}:{uid}" for uid in HOSTILE}
        for uid in HOSTILE:
            assert found[code][f"{WALLET}:{uid}"] == await ports.ledger.balance(uid, code)


async def test_nobody_can_forge_a_line(ports: Ports, taken: Taken) -> None:
    await fill_ledger(ports)
    count = await export_ledger(ports.ledger, taken.write)
    transactions = json.loads(hledger(taken.text, "print", "--output-format", "json"))
    assert len(transactions) == count
    assert {unquote(each["tdescription"]) for each in transactions} == {*HOSTILE, "all there is"}
    assert {each["tstatus"] for each in transactions} == {"Cleared"}
    assert {each["tcode"] for each in transactions} == {""}
    assert {each["tdate"] for each in transactions} == {"2026-09-21", "1969-12-31"}
    tags = [dict(each["ttags"]) for each in transactions]
    assert {tuple(sorted(each)) for each in tags} == {("key", "time", "uid")}
    assert {original(each["uid"]) for each in tags} == {*HOSTILE, "rich"}
    assert {(posting["pdate"], posting["ptype"]) for each in transactions for posting in each["tpostings"]} == {
        (None, "RegularPosting")
    }


async def test_an_export_goes_on_after_any_chunk(ports: Ports, taken: Taken) -> None:
    await fill_ledger(ports, ("ann", "bob"))
    await export_ledger(ports.ledger, taken.write, limit=6)
    assert len(taken.chunks) > 5
    for at, chunk in enumerate(taken.chunks[:-1], start=1):
        rest = Taken()
        await export_ledger(ports.ledger, rest.write, chunk.cursor, limit=6)
        assert rest.text == "".join(chunk.text for chunk in taken.chunks[at:])


async def test_the_books_balance_whatever_is_posted_meanwhile(ports: Ports, taken: Taken) -> None:
    for number in range(30):
        await ports.ledger.post(make_posting(f"u{number}", 500), NOW_US)

    async def write(chunk: Chunk) -> None:
        await taken.write(chunk)
        for number in range(30 if len(taken.chunks) < 5 else 0):
            lines = (Line(WALLET, -1), Line("house:late", 1))
            await ports.ledger.post(Posting(f"{len(taken.chunks)}", f"u{number}", "USD", lines), NOW_US)

    await export_ledger(ports.ledger, write, limit=8)
    found = balances_of(taken.text)["USD"]
    assert sum(found.values()) == 0
    assert found["house:cash"] == -500 * 30


async def test_an_empty_ledger_is_a_journal_too(ports: Ports, taken: Taken) -> None:
    assert await export_ledger(ports.ledger, taken.write) == 0
    assert balances_of(taken.text) == {}


async def test_thousands_and_decimals_are_not_mixed_up(ports: Ports, taken: Taken) -> None:
    for code in ("KWD", "USD", "JPY"):
        lines = (Line(WALLET, 1500), Line(FUNDING, -1500))
        await ports.ledger.post(Posting(code, "ann", code, lines), NOW_US)
    await export_ledger(ports.ledger, taken.write)
    assert '1.500 "KWD"' in taken.text
    hledger(taken.text, "check", "commodities")  # each is declared, with its decimals
    assert balances_of(taken.text) == {code: {"wallet:ann": 1500, FUNDING: -1500} for code in ("KWD", "USD", "JPY")}


async def test_a_currency_keeps_its_decimals_where_another_program_goes_on(ports: Ports, taken: Taken) -> None:
    for number in range(4):
        await ports.ledger.post(make_posting("ann", 105, key=f"{number}", currency="LATE_COIN"), NOW_US)
    await export_ledger(ports.ledger, taken.write, limit=2)
    rest = Taken()
    define_currency("LATE_COIN", 2)
    await export_ledger(ports.ledger, rest.write, taken.chunks[0].cursor, limit=2)
    journal = taken.chunks[0].text + rest.text
    assert journal == taken.text
    assert balances_of(journal) == {"LATE_COIN": {"wallet:ann": 420, "house:cash": -420}}


@pytest.mark.parametrize("cursor", ["", "x", "[]", '["a"]', "{}", "[1, []]"])
async def test_what_is_no_cursor_is_refused(cursor: str, ports: Ports, taken: Taken) -> None:
    with pytest.raises(InvalidValue, match="cursor"):
        await export_ledger(ports.ledger, taken.write, cursor)
    assert taken.chunks == []
