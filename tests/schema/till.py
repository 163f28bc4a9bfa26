"""A shop that does what it is told on standard input, in whichever version of the package it is started with.

take N          create so many orders; answers with their ids
forward ID ...  carry orders; answers with their stages
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from orderway import App, Business, Money, OrderwayError

PRICE = Money.of("1.00", "CNY")


class Toy(Business[dict[str, Any]]):
    order_type = 1

    def deliver(self, order: Any, delivery: Any) -> None:
        pass


async def serve(url: str) -> None:
    app = App(url, shards=3, sweep=False)
    app.register(Toy())
    async with app:
        await app.wallet.top_up("ann", Money.of("1000.00", "CNY"), key="float")
        answer({"ready": True})
        while line := await asyncio.to_thread(sys.stdin.readline):
            verb, *words = line.split()
            if verb == "take":
                orders = [await app.create(1, "ann", amount=PRICE, pay="wallet") for _ in range(int(words[0]))]
                answer({"ids": [order.id for order in orders]})
            else:
                answer({"stages": [str((await app.forward(order_id)).stage) for order_id in words]})


def answer(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        asyncio.run(serve(sys.argv[1]))
    except OrderwayError as error:
        answer({"error": error.code, "message": str(error)})
