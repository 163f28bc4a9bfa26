"""One of several processes that give money of the same order back, told what to do by lines on a pipe.

    python refunder.py FOLDER

Each line is JSON: an order id and the requests, [[key, minor], ...]. It answers ``ready``; the next line, whatever it
says, starts all requests at once. It answers with the keys that were accepted, and sends what was reserved.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from race_shop import CURRENCY, open_app

from orderway import App, Money
from orderway.errors import RefundExceedsPayment


async def try_refund(app: App, order_id: str, key: str, minor: int) -> str | None:
    """The key, if this was accepted."""
    try:
        await app.refund(order_id, Money(minor, CURRENCY), key=key, actor="ops", reason="a race")
    except RefundExceedsPayment:
        return None
    return key


async def main(folder: Path) -> None:
    async with open_app(folder) as app:
        while line := await asyncio.to_thread(sys.stdin.readline):
            order_id, requests = json.loads(line)
            answer("ready")
            await asyncio.to_thread(sys.stdin.readline)
            keys = await asyncio.gather(*(try_refund(app, order_id, key, minor) for key, minor in requests))
            await app.forward(order_id)
            answer([key for key in keys if key is not None])


def answer(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
