"""Fifty refunds of one order at once, from several processes: what fits is accepted, and nothing else goes back."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from race_shop import CURRENCY, bank_of, open_app

from orderway import App, Money, Order, Pay, Stage
from orderway.core.journal import fact_of, replay

SEED = int(os.environ.get("ORDERWAY_SEED", "20261122"))
ROUNDS = 200 if os.environ.get("ORDERWAY_LONG") else 20
PROCESSES = 4
REFUNDS = 50
PRICE = 10_000
WITHIN_S = 60

Request = tuple[str, int]


class Refunders:
    """The processes, each started once."""

    def __init__(self, processes: Sequence[asyncio.subprocess.Process]) -> None:
        self._processes = processes

    async def race(self, order_id: str, requests: Sequence[Request]) -> set[str]:
        """Spread requests over the processes and start them all at once; the keys that were accepted."""
        for number, process in enumerate(self._processes):
            _say(process, [order_id, requests[number :: len(self._processes)]])
        assert [await _hear(process) for process in self._processes] == ["ready"] * len(self._processes)
        for process in self._processes:
            _say(process, "go")
        return {key for process in self._processes for key in await _hear(process)}


def _say(process: asyncio.subprocess.Process, value: object) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(value).encode() + b"\n")


async def _hear(process: asyncio.subprocess.Process) -> Any:
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), WITHIN_S)
    assert line, "a process of the race has ended"
    return json.loads(line)


@asynccontextmanager
async def refunders(folder: Path) -> AsyncIterator[Refunders]:
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            str(Path(__file__).with_name("refunder.py")),
            str(folder),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(PROCESSES)
    ]
    try:
        yield Refunders(processes)
    finally:
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()  # the end of its input ends it
        for process in processes:
            await asyncio.wait_for(process.wait(), WITHIN_S)
    assert [process.returncode for process in processes] == [0] * PROCESSES


async def test_of_refunds_from_racing_processes_those_that_fit_are_accepted(
    tmp_path: Path, summarize: Callable[[str, str], None]
) -> None:
    rng = random.Random(SEED)
    accepted = refused = 0
    async with open_app(tmp_path) as app, refunders(tmp_path) as racing:
        with closing(sqlite3.connect(tmp_path / "orders.db")) as connection:
            connection.execute("CREATE TABLE goods (id TEXT NOT NULL)")
        await app.wallet.top_up("ann", Money(PRICE * ROUNDS, CURRENCY), key="all")
        for nth in range(ROUNDS):
            minor = [rng.randint(100, 600)] * REFUNDS if nth % 2 else [rng.randint(1, 700) for _ in range(REFUNDS)]
            requests = [(f"r{number}", amount) for number, amount in enumerate(minor)]
            order = await bought(app, nth)
            keys = await racing.race(order.id, requests)
            await judge(app, order, dict(requests), keys)
            await judge_the_bank(app, tmp_path, order, sum(amount for key, amount in requests if key in keys))
            await all_goes_back(app, tmp_path, order)
            accepted += len(keys)
            refused += REFUNDS - len(keys)
    summarize("refunds that race", f"{ROUNDS} rounds, seed {SEED}: {accepted} accepted, {refused} refused")
    assert accepted
    assert refused


async def bought(app: App, nth: int) -> Order[Any]:
    """A finished order, paid at the bank, or half from the wallet."""
    pay = "bank" if nth % 4 < 2 else [Pay("wallet", Money(PRICE // 2, CURRENCY)), Pay("bank")]
    order = await app.forward(await app.create(1, "ann", amount=Money(PRICE, CURRENCY), pay=pay))
    assert order.stage is Stage.FINISHED
    return order


async def judge(app: App, order: Order[Any], asked: dict[str, int], keys: set[str]) -> None:
    """Accepted is what the order has reserved; whatever was refused would not have fitted, nor anything less."""
    after = await settled(app, order)
    given = sum(asked[key] for key in keys)
    assert {refund.key for refund in after.refunds} == keys
    assert sum(refund.worth_minor for refund in after.refunds) == after.refunded_minor == given <= PRICE
    assert all(asked[key] > PRICE - given for key in asked.keys() - keys), f"{PRICE - given} was left all the time"
    if len(set(asked.values())) == 1:
        assert len(keys) == min(REFUNDS, PRICE // asked["r0"])
    entries = await app.journal(order.id)
    now = replay(entries[:1])
    for entry in entries[1:]:
        now = now.after(fact_of(entry), entry.at_us)
        for leg in now.legs:
            assert leg.refunded_minor + leg.refunding_minor <= leg.captured_minor, f"version {now.version}: {leg}"


async def judge_the_bank(app: App, folder: Path, order: Order[Any], given: int) -> None:
    """Bank and wallet gave back exactly what was accepted."""
    assert await gave_back(app, folder, order) == given


async def all_goes_back(app: App, folder: Path, order: Order[Any]) -> None:
    """What was refused has taken nothing away: all that is left can be given back."""
    after = await app.get(order.id)
    if after.refunded_minor < PRICE:
        await app.refund(order.id, key="rest", actor="ops", reason="the rest")
        after = await settled(app, order)
    assert (after.stage, after.refunded_minor) == (Stage.REFUNDED, PRICE)
    assert await gave_back(app, folder, order) == PRICE


async def settled(app: App, order: Order[Any]) -> Order[Any]:
    """The order once nothing of it is on its way any more."""
    after = await app.forward(order.id)
    assert after.is_final, after
    return after


async def gave_back(app: App, folder: Path, order: Order[Any]) -> int:
    """What bank and ledger gave back for an order, as they say themselves."""
    bank = bank_of(folder)
    total = sum(back.amount.amount_minor for back in bank.returned() if back.order_id == order.id)
    bank.disconnect()
    for refund in (await app.get(order.id)).refunds:
        if order.legs[refund.leg].channel == "wallet":
            posting = await app.ports.ledger.find("ann", order.refund_key(refund))
            assert posting is not None
            total += sum(line.amount_minor for line in posting.lines if line.account == "wallet")
    return total
