"""The database in memory that the adapters share."""

from __future__ import annotations

import asyncio
import sqlite3
from bisect import insort
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any
from weakref import finalize

from orderway.core.ids import SLOTS, slot_of_order
from orderway.core.journal import Entry
from orderway.core.order import Order
from orderway.errors import ConfigError, InvalidValue
from orderway.memory.gate import Gate
from orderway.ports.ledger import Posted, StatementLine
from orderway.ports.parking import ParkedPayment
from orderway.ports.queue import Buried

__all__ = ["MemoryDatabase", "Shard", "check_storable", "snapshot"]

_LOWEST, _HIGHEST = -(2**63), 2**63 - 1


@dataclass(slots=True)
class Shard:
    """The orders of one range of slots; ``due`` holds the ``due_at_us`` of those that have one."""

    orders: dict[str, Order[Any]] = field(default_factory=dict)
    journal: dict[str, list[Entry]] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    due: dict[str, int] = field(default_factory=dict)

    def insert(self, order: Order[Any], entry: Entry) -> None:
        """Add an order with the first entry of its journal."""
        insort(self.ids, order.id)
        self.journal[order.id] = [entry]
        self.replace(order)

    def replace(self, order: Order[Any]) -> None:
        """Put this row in the place of the one with its id."""
        self.orders[order.id] = order
        if order.due_at_us is None:
            self.due.pop(order.id, None)
        else:
            self.due[order.id] = order.due_at_us


class MemoryDatabase:
    """Orders, workers, ledger and sequences in memory; each adapter made from it is one connection to it.

    Nothing outlives the process. Usable from several event loops and threads at once.

    Args:
        shards: into how many ranges of slots the orders are split.

    Attributes:
        goods: an SQLite connection in memory that stands for the user's own tables: the statements of a
            delivery and of ``Store.transaction`` run here and commit together with the fact. Make your tables
            and read them through it, as with any ``sqlite3`` connection in autocommit mode; while a transaction
            of the store is open, what is written here belongs to that transaction.
    """

    def __init__(self, shards: int = 1) -> None:
        if not 1 <= shards <= SLOTS:
            raise ConfigError(f"shards is {shards}: 1 to {SLOTS} are allowed")
        self.goods = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        finalize(self, self.goods.close)  # lives as long as we do: an App that is closed may be started again
        self.shards = [Shard() for _ in range(shards)]
        self.workers: dict[int, int] = {}
        self.worker_names: dict[int, str] = {}
        self.postings: dict[tuple[str, str], Posted] = {}
        self.posted: list[Posted] = []  # the same, in the order in which they came
        self.balances: dict[tuple[str, str], int] = {}
        self.statements: dict[tuple[str, str], list[StatementLine]] = {}
        self.house: dict[tuple[str, str], int] = {}
        self.sequences: dict[str, int] = {}
        self.parked: dict[tuple[str, str], ParkedPayment] = {}
        self.letters: dict[int, Any] = {}
        self.last_letter = 0
        self.buried: list[Buried] = []
        self.gate = Gate()
        self.lock = Lock()

    def shard_of_slot(self, slot: int) -> Shard:
        """The shard whose range holds this slot."""
        return self.shards[slot * len(self.shards) // SLOTS]

    def shard_of_order(self, order_id: str) -> Shard:
        """The shard that an order id belongs to."""
        return self.shard_of_slot(slot_of_order(order_id))

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """A consistent view for a block that does not await."""
        await asyncio.sleep(0)  # as at any database, others run before the answer comes
        with self.lock:
            yield

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """The right to write, for a block that does not await: no one else reads or writes meanwhile."""
        await asyncio.sleep(0)
        await self.gate.acquire()
        try:
            with self.lock:
                yield
        finally:
            self.gate.release()


def snapshot(order: Order[Any]) -> Order[Any]:
    """A copy that shares nothing mutable with the order."""
    return replace(order, steps=dict(order.steps), _data=None, _decode=None)


def check_storable(what: str, values: Iterable[Any]) -> None:
    """Refuse what a column of a database would refuse: integers beyond 64 bits, text that is not Unicode.

    Raises:
        InvalidValue: says which value of what.
    """
    for value in values:
        if isinstance(value, int) and not _LOWEST <= value <= _HIGHEST:
            raise InvalidValue(f"{what}: {value} does not fit a column, signed 64-bit integers are allowed")
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise InvalidValue(f"{what}: {value[:40]!r} is no Unicode text ({error.reason})") from None
