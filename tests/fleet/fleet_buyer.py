"""A process that buys, and carries nothing: it does what stands on each line of its input, all of it side by side.

    {"top_up": UID, "amount_minor": 5000, "key": KEY}
    {"create": ORDER}      an order of the manifest
    {"pay": ORDER}         tells that the shop's own gateway was paid for it

Whoever hears that the database does not answer asks again; each answer is one line.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from fleet_shop import KINDS

from orderway import App, Money
from orderway.errors import Unavailable

CURRENCY = "CNY"
PAUSE_S = 0.1


async def do(app: App, wish: dict[str, Any]) -> None:
    """Do what one line asks for; it may be asked any number of times."""
    if "top_up" in wish:
        await app.wallet.top_up(wish["top_up"], Money(wish["amount_minor"], CURRENCY), key=wish["key"])
        return
    order = wish.get("create") or wish["pay"]
    order_type, uid = KINDS[order["kind"]].order_type, order["uid"]
    if "create" in wish:
        channels = [part["channel"] for part in order["parts"]]
        amount = Money(order["price_minor"], CURRENCY) if channels else None
        await app.create(order_type, uid, amount=amount, pay=channels or None, own_number=order["own_number"])
        return
    order_id = app.order_id_from(order_type, uid, order["own_number"])
    paid = Money(order["price_minor"], CURRENCY)
    await app.record_payment(order_id, paid, reference=f"paid-{order['own_number']}")


async def serve(app: App, line: str) -> None:
    """Do it, however often that takes, and say so."""
    never = asyncio.Event()
    while True:
        try:
            await do(app, json.loads(line))
        except Unavailable:
            await app.clock.wait(never, PAUSE_S)
        else:
            sys.stdout.write("done\n")
            sys.stdout.flush()
            return


async def main() -> None:
    app = App(os.environ["FLEET_URL"], sweep=False)
    for kind in KINDS.values():
        app.register(kind())
    async with app, asyncio.TaskGroup() as wishes:
        while line := await asyncio.to_thread(sys.stdin.readline):
            wishes.create_task(serve(app, line))


if __name__ == "__main__":
    asyncio.run(main())
