"""The shop that a fleet of workers serves: the module that ``orderway worker fleet_shop:app`` loads.

Where the orders are, and where the hooks write what they do, the environment says. Its deliveries take their time, so
that workers die in the middle of them.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from orderway import App, Business, Retry
from orderway.anchored_clock import AnchoredClock
from orderway.core.order import Order
from orderway.system_clock import SystemClock

__all__ = ["KINDS", "WrongClock", "app"]

LOG = os.open(os.environ["FLEET_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
SLOWEST_S = 4.0
FAILURES = 2


class WrongClock(SystemClock):
    """A wall clock that is set wrong, by as many microseconds as a file says at the moment."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def now_us(self) -> int:
        """The machine's time, and what the file says on top."""
        return super().now_us() + int(self._path.read_text())


def tell(what: str, order: Order[Any]) -> None:
    """Write down what happens now; all processes of a machine share its monotonic clock."""
    line = {"pid": os.getpid(), "what": what, "id": order.id, "number": order.own_number, "at_s": time.monotonic()}
    os.write(LOG, json.dumps(line).encode() + b"\n")  # one short write to the end of a file is never torn


def slowness_s(order: Order[Any]) -> float:
    """How long this order's delivery takes: each time the same."""
    return random.Random(order.own_number).uniform(0.05, SLOWEST_S)


class Told(Business[dict[str, Any]]):
    """What all kinds of orders share: their hooks say what they do."""

    retry = Retry(first=timedelta(milliseconds=100), cap=timedelta(milliseconds=400), deadline=timedelta(hours=1))

    pay_within = timedelta(minutes=30)

    async def can_forward(self, order: Order[Any]) -> None:
        tell("carried", order)

    def hand_over(self, order: Order[Any], delivery: Any) -> None:
        delivery.execute("INSERT INTO goods VALUES (:number)", {"number": order.own_number}, expect=1)
        tell("handed over", order)


class Coins(Told):
    order_type = 1

    async def deliver(self, order: Order[Any], delivery: Any) -> None:
        tell("delivering", order)
        await asyncio.sleep(slowness_s(order))
        self.hand_over(order, delivery)


class Gifts(Told):
    """Delivered in a thread."""

    order_type = 2

    def deliver(self, order: Order[Any], delivery: Any) -> None:
        tell("delivering", order)
        time.sleep(slowness_s(order))
        self.hand_over(order, delivery)


class Cards(Coins):
    """With a closing hook, which may be all that is left to do when a worker dies."""

    order_type = 3

    async def finished(self, order: Order[Any]) -> None:
        tell("carried", order)


class Parcels(Coins):
    """Each fails a few times first."""

    order_type = 4

    async def deliver(self, order: Order[Any], delivery: Any) -> None:
        if order.attempts < FAILURES:
            tell("delivering", order)
            raise ConnectionError("the warehouse does not answer")
        await super().deliver(order, delivery)


KINDS: dict[str, type[Told]] = {"coins": Coins, "gifts": Gifts, "cards": Cards, "parcels": Parcels}

wrong = os.environ.get("FLEET_CLOCK")
app = App(os.environ["FLEET_URL"], clock=AnchoredClock(WrongClock(Path(wrong))) if wrong else None)
for kind in KINDS.values():
    app.register(kind())
