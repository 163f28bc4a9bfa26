"""One racer: ``python -m orderway.testing.conformance.racer``, driven by lines on standard input.

Each race is two lines: a JSON object that names database and action (answered when the racer stands ready), then ``go``
(answered with what came of it). The process ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from orderway.adapters import Ports, open_ports, ports_for
from orderway.errors import InsufficientBalance, OrderwayError
from orderway.testing.conformance.builders import (
    NOW_US,
    make_change,
    make_order,
    make_parked,
    make_posting,
    paid,
    refund,
)
from orderway.testing.conformance.refunds import refund_until_refused

_PATIENCE_S = 5.0

Run = Callable[[], Awaitable[dict[str, Any]]]


async def create(ports: Ports, given: dict[str, Any]) -> Run:
    """Create the order with the id and remark that are given."""
    made, entry = make_order(given["uid"], order_id=given["order_id"], remark=given["remarks"][given["racer"]])

    async def run() -> dict[str, Any]:
        return {"digest": (await ports.store.create(made, entry)).digest}

    return run


async def record(ports: Ports, given: dict[str, Any]) -> Run:
    """Record ``Paid``, with a reference of this racer, on the version read before the start."""
    before = await ports.store.get(given["order_id"])
    change = make_change(before, paid(before, reference=f"racer-{given['racer']}"))

    async def run() -> dict[str, Any]:
        await ports.store.record(change)
        return {"digest": change.order.digest}

    return run


async def request_refund(ports: Ports, given: dict[str, Any]) -> Run:
    """Record a refund of this amount on the version read before the start."""
    before = await ports.store.get(given["order_id"])
    change = make_change(before, refund(before, given["amount_minor"]))

    async def run() -> dict[str, Any]:
        await ports.store.record(change)
        return {"digest": change.order.digest}

    return run


async def refund_all(ports: Ports, given: dict[str, Any]) -> Run:
    """Ask for refunds of this amount until nothing is left."""

    async def run() -> dict[str, Any]:
        return {"refunds": await refund_until_refused(ports.store, given["order_id"], given["amount_minor"])}

    return run


async def claim(ports: Ports, given: dict[str, Any]) -> Run:
    """Claim due orders as this racer's own worker."""
    holder = given["holders"][given["racer"]]

    async def run() -> dict[str, Any]:
        claimed = await ports.store.claim([1], holder, NOW_US, given["due_at_us"], given["limit"])
        return {"claimed": [each.id for each in claimed]}

    return run


async def debit(ports: Ports, given: dict[str, Any]) -> Run:
    """Debit a wallet until it is empty."""

    async def run() -> dict[str, Any]:
        debits = 0
        while True:
            key = f"racer-{given['racer']}-{debits}"
            try:
                await ports.ledger.post(make_posting(given["uid"], -given["amount_minor"], key=key), NOW_US)
            except InsufficientBalance:
                return {"debits": debits}
            debits += 1

    return run


async def sequence(ports: Ports, given: dict[str, Any]) -> Run:
    """Draw numbers."""

    async def run() -> dict[str, Any]:
        return {"numbers": [await ports.sequence.next(given["name"]) for _ in range(given["draws"])]}

    return run


async def draw(ports: Ports, given: dict[str, Any]) -> Run:
    """Draw numbers on a Redis."""
    from orderway.redis import Redis, RedisParts  # an extra, which the other races do not need

    parts = RedisParts(Redis(given["redis_url"], sequence_block=given["block"], answer_within_s=_PATIENCE_S))
    parts.start()

    async def run() -> dict[str, Any]:
        assert parts.sequence is not None
        try:
            return {"numbers": [await parts.sequence.next(given["name"]) for _ in range(given["draws"])]}
        finally:
            await parts.close()

    return run


async def acquire(ports: Ports, given: dict[str, Any]) -> Run:
    """Lock each of these names on a Redis, with a token of this racer's."""
    from orderway.redis import Redis, RedisParts  # an extra, which the other races do not need

    parts = RedisParts(Redis(given["redis_url"], answer_within_s=_PATIENCE_S))
    parts.start()

    async def run() -> dict[str, Any]:
        assert parts.lock is not None
        try:
            return {
                "acquired": [
                    name for name in given["names"] if await parts.lock.acquire(name, f"racer-{given['racer']}")
                ]
            }
        finally:
            await parts.close()

    return run


async def park(ports: Ports, given: dict[str, Any]) -> Run:
    """Park the payment of this reference, as said to be for an order of this racer's."""
    payment = make_parked(given["reference"], order_id=f"racer-{given['racer']}")

    async def run() -> dict[str, Any]:
        return {"parked": await ports.parking.park(payment)}

    return run


async def take(ports: Ports, given: dict[str, Any]) -> Run:
    """Take letters until none is due any more."""

    async def run() -> dict[str, Any]:
        taken: list[str] = []
        while letters := await ports.mailbox.take(given["now_us"], given["until_us"], given["limit"]):
            taken += [letter.body.decode() for letter in letters]
        return {"taken": taken}

    return run


_RACES = (create, record, request_refund, refund_all, claim, debit, sequence, draw, acquire, park, take)
ACTIONS: dict[str, Callable[[Ports, dict[str, Any]], Awaitable[Run]]] = {each.__name__: each for each in _RACES}


async def main() -> None:
    """Race until standard input ends; the database stays open from race to race, while it is the same one."""
    opened, ports = None, ports_for("memory://")
    try:
        while line := await asyncio.to_thread(sys.stdin.readline):
            given = json.loads(line)
            if opened != (given["url"], given["shards"]):
                await ports.close()
                ports = await open_ports(given["url"], shards=given["shards"])
                opened = given["url"], given["shards"]
            run = await ACTIONS[given["action"]](ports, given)
            _say({"ready": given["action"]})
            await asyncio.to_thread(sys.stdin.readline)
            try:
                _say(await run())
            except OrderwayError as error:
                _say({"error": error.code})
    finally:
        await ports.close()


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
