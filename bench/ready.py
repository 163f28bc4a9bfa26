"""Orders made ahead, as Orderway makes them: the same columns, sizes and order of keys."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from bench.contestants import UIDS, Shop
from orderway.core.facts import Delivered, Finished
from orderway.core.ids import RANDOM_BITS, id_by_time, slot_of_uid
from orderway.core.journal import Entry, Stamp, begin, record
from orderway.core.order import Order
from orderway.orders import created_fact

__all__ = ["HOLDER", "ReadyOrder", "ready_order"]

HOLDER = 1


@dataclass(frozen=True, slots=True)
class ReadyOrder:
    """One order with nothing to pay, as it is created and as it is finished, with its three entries."""

    created: Order[Any]
    first: Entry
    finished: Order[Any]
    second: Entry
    third: Entry


def ready_order(number: int) -> ReadyOrder:
    """An order; another one for each number."""
    now_us = time.time_ns() // 1_000
    uid = UIDS[number % len(UIDS)]
    order_id = id_by_time(now_us, number * 1_000_003 % 2**RANDOM_BITS, slot_of_uid(uid))
    fact = created_fact(Shop(), uid, None, (), None, "", "", now_us)
    created, first = begin(order_id, fact, Stamp(now_us, f"{number:016x}", ""))
    created.holder, created.due_at_us = HOLDER, now_us
    stamp = Stamp(now_us, f"{number:015x}f", "")
    delivered, second = record(created, Delivered(), stamp)
    finished, third = record(delivered, Finished(), stamp)
    finished.due_at_us = finished.holder = None
    return ReadyOrder(created, first, finished, second, third)
