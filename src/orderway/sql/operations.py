"""What the writer is asked to do: one small object an operation, which carries its caller's future and its outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from typing import Any, Generic, TypeVar

from sqlalchemy import Delete, Insert, Select, Update

from orderway.core.journal import Entry
from orderway.core.order import Order
from orderway.errors import OrderwayError
from orderway.ports.ledger import Posting
from orderway.ports.parking import ParkedPayment
from orderway.ports.store import Change
from orderway.sql.rows import Unreadable

__all__ = [
    "Alter",
    "Beat",
    "Bury",
    "Claim",
    "Create",
    "Fetch",
    "Get",
    "Hint",
    "Hold",
    "Join",
    "NextBlock",
    "Operation",
    "Park",
    "Post",
    "Postpone",
    "PostponeParked",
    "Record",
    "Release",
    "TakeLetters",
    "fail_all",
]

T = TypeVar("T")


class Operation(Generic[T]):
    """One operation. Whoever runs it sets ``result`` or ``error``; the group commit then tells ``future``.

    ``order_id`` is the one order that it is about; None if it is about none, or many.
    """

    __slots__ = ("error", "future", "order_id", "result")

    future: asyncio.Future[T]
    result: T
    error: Exception | None
    order_id: str | None

    def __init__(self) -> None:
        self.order_id = None
        self.error = None


class Create(Operation[Order[Any]]):
    """Insert an order with its first entry."""

    __slots__ = ("entry", "order")

    def __init__(self, order: Order[Any], entry: Entry) -> None:
        self.order = order
        self.entry = entry
        self.order_id = order.id
        self.error = None


class Record(Operation[None]):
    """Write a change."""

    __slots__ = ("change",)

    def __init__(self, change: Change) -> None:
        self.change = change
        self.order_id = change.order.id
        self.error = None


class Hold(Operation[Order[Any]]):
    """Take hold of an order and read it."""

    __slots__ = ("due_at_us", "holder")

    order_id: str

    def __init__(self, order_id: str, holder: int, due_at_us: int) -> None:
        super().__init__()
        self.order_id = order_id
        self.holder = holder
        self.due_at_us = due_at_us


class Claim(Operation[Sequence[Order[Any]]]):
    """Take hold of due orders; only in these shards, or in all (None)."""

    __slots__ = ("due_at_us", "holder", "limit", "now_us", "shards", "types", "unreadable")

    def __init__(
        self,
        types: Sequence[int],
        holder: int,
        now_us: int,
        due_at_us: int,
        limit: int,
        shards: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.shards = shards
        self.unreadable: list[Unreadable] = []
        """Those that were due and cannot be read."""
        self.types = types
        self.holder = holder
        self.now_us = now_us
        self.due_at_us = due_at_us
        self.limit = limit


class Postpone(Operation[bool]):
    """Let go of an order until a time."""

    __slots__ = ("attempts", "due_at_us", "holder", "last_error", "version")

    order_id: str

    def __init__(
        self, order_id: str, version: int, holder: int, due_at_us: int | None, attempts: int, last_error: str
    ) -> None:
        super().__init__()
        self.order_id = order_id
        self.version = version
        self.holder = holder
        self.due_at_us = due_at_us
        self.attempts = attempts
        self.last_error = last_error


class Hint(Operation[bool]):
    """Make an order due now."""

    __slots__ = ("now_us",)

    order_id: str

    def __init__(self, order_id: str, now_us: int) -> None:
        super().__init__()
        self.order_id = order_id
        self.now_us = now_us


class Join(Operation[None]):
    """Enter an incarnation."""

    __slots__ = ("incarnation", "name")

    def __init__(self, incarnation: int, name: str) -> None:
        super().__init__()
        self.incarnation = incarnation
        self.name = name


class Beat(Operation[bool]):
    """Count an incarnation's counter up."""

    __slots__ = ("incarnation",)

    def __init__(self, incarnation: int) -> None:
        super().__init__()
        self.incarnation = incarnation


class Bury(Operation[None]):
    """Take an incarnation out."""

    __slots__ = ("incarnation",)

    def __init__(self, incarnation: int) -> None:
        super().__init__()
        self.incarnation = incarnation


class Post(Operation[bool]):
    """Apply a posting. ``write_id`` is random: it tells after a lost answer whether this very write happened."""

    __slots__ = ("at_us", "fingerprint", "posting", "write_id")

    def __init__(self, posting: Posting, fingerprint: str, write_id: str, at_us: int) -> None:
        super().__init__()
        self.posting = posting
        self.fingerprint = fingerprint
        self.write_id = write_id
        self.at_us = at_us


class NextBlock(Operation[int]):
    """Take a block of a sequence's numbers; the result is the first one."""

    __slots__ = ("name", "size")

    def __init__(self, name: str, size: int) -> None:
        super().__init__()
        self.name = name
        self.size = size


class Park(Operation[bool]):
    """Keep a payment whose order is not known."""

    __slots__ = ("payment",)

    def __init__(self, payment: ParkedPayment) -> None:
        super().__init__()
        self.payment = payment


class PostponeParked(Operation[None]):
    """Look for a parked payment's order again at a time."""

    __slots__ = ("channel", "due_at_us", "reference")

    def __init__(self, channel: str, reference: str, due_at_us: int) -> None:
        super().__init__()
        self.channel = channel
        self.reference = reference
        self.due_at_us = due_at_us


class Release(Operation[bool]):
    """Let go of a parked payment."""

    __slots__ = ("channel", "reference")

    def __init__(self, channel: str, reference: str) -> None:
        super().__init__()
        self.channel = channel
        self.reference = reference


class Alter(Operation[int]):
    """Run a statement written with SQLAlchemy, one that is not hot; the result is how many rows it touched."""

    __slots__ = ("statement",)

    def __init__(self, statement: Insert | Update | Delete) -> None:
        super().__init__()
        self.statement = statement


class TakeLetters(Operation[list[tuple[Any, ...]]]):
    """Read rows, which begin with their number, under a lock, and change them; the result is what was read."""

    __slots__ = ("change", "query")

    def __init__(self, query: Select[Any], change: Callable[[Sequence[int]], Update]) -> None:
        super().__init__()
        self.query = query
        self.change = change


class Get(Operation[Order[Any]]):
    """Read an order."""

    __slots__ = ()

    order_id: str

    def __init__(self, order_id: str) -> None:
        super().__init__()
        self.order_id = order_id


class Fetch(Operation[list[tuple[Any, ...]]]):
    """Run a query in the database's own dialect."""

    __slots__ = ("parameters", "sql")

    def __init__(self, sql: str, parameters: Sequence[Any]) -> None:
        super().__init__()
        self.sql = sql
        self.parameters = parameters


def fail_all(operations: Iterable[Operation[Any]], error: Exception) -> None:
    """Give operations that failed together their outcome.

    Each caller gets an error of its own, which names its order: a traceback grows with every caller that it passes
    through.
    """
    for operation in operations:
        operation.error = error
        if isinstance(error, OrderwayError):
            operation.error = own = copy(error)
            own.order_id = operation.order_id
