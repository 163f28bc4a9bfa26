"""The store: where orders and their journal live, and where due work is found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from orderway.core.journal import Entry
from orderway.core.order import Order, Stage, Status
from orderway.errors import OrderUnreadable

__all__ = ["Change", "Page", "Query", "Statement", "Store", "Transaction"]


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement of the user's own, run in the transaction of the fact that it goes with.

    Args:
        sql: one statement, with named parameters (``:name``).
        parameters: their values.
        expect: how many rows it must touch; None for any number.
    """

    sql: str
    parameters: Mapping[str, Any]
    expect: int | None


@dataclass(slots=True)
class Change:
    """Facts to be written together with the row that they lead to.

    Args:
        order: the order after the facts, with its operational columns as they shall be (``holder`` included).
        entries: the facts' journal entries; the first one's version less one is the version that the row must have.
        guard: the incarnation that must hold the order, or None where the version alone decides.
        keep_holder: True for facts from outside: the row keeps the holder it has (``order.holder`` is ignored).
        statements: the user's own statements, run in the same transaction, in this order.
    """

    order: Order[Any]
    entries: Sequence[Entry]
    guard: int | None = None
    keep_holder: bool = False
    statements: Sequence[Statement] = ()

    @property
    def expected_version(self) -> int:
        """The version that the row must have for this change to apply."""
        return self.entries[0].version - 1


@dataclass(frozen=True, slots=True)
class Query:
    """Which orders to list; conditions left at None do not restrict.

    Args:
        uid: of this user.
        statuses: in one of these states.
        stages: in one of these stages.
        order_type: of this type.
        created_from_us, created_to_us: created at or after, and before (microseconds since 1970).
        own_number: made from this number of the business's own.
        reference: with a payment that has this number at its channel.
        needs_person: True: where a person must decide something (see ``Order.needs_person``); False: where not.
        descending: newest first (by id) instead of oldest first.
        after: the cursor of the page before.
        limit: at most this many, 1 to 1,000.
    """

    uid: str | None = None
    statuses: Sequence[Status] | None = None
    stages: Sequence[Stage] | None = None
    order_type: int | None = None
    created_from_us: int | None = None
    created_to_us: int | None = None
    own_number: str | None = None
    reference: str | None = None
    needs_person: bool | None = None
    descending: bool = False
    after: str | None = None
    limit: int = 50

    def following(self, cursor: str) -> Query:
        """The same query, for the page after this cursor."""
        return replace(self, after=cursor)


@dataclass(frozen=True, slots=True)
class Page:
    """A page of orders in the order of their ids, and the cursor of the next one (None: this is the last).

    Args:
        orders: those that can be read.
        next: the cursor.
        unreadable: for each order of this page that cannot be read, the error that ``get`` raises for it.
    """

    orders: Sequence[Order[Any]]
    next: str | None
    unreadable: Sequence[OrderUnreadable] = ()


class Transaction(Protocol):
    """A transaction of the user's own, given out by ``Store.transaction``."""

    async def execute(self, sql: str, parameters: Mapping[str, Any] | Sequence[Any] = ()) -> int:
        """Run one statement; returns the number of rows that it touched."""

    async def fetch(self, sql: str, parameters: Mapping[str, Any] | Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one query; returns all of its rows."""

    async def commit_with(self, change: Change) -> None:
        """Run the change's own statements, apply the change as the last one, and commit all of it together.

        Raises:
            DeliveryFailed: a statement of the change touched another number of rows than expected, or failed;
                everything is rolled back.
            StaleOrder, HoldLost, OrderNotFound: as ``Store.record``; then everything is rolled back.
        """


class Store(Protocol):
    """Orders, their journal, and due work. Every method is atomic and durable when it returns.

    All methods raise ``Unavailable`` (retryable, nothing was done) when the database does not answer, and
    ``CommitUnknown`` where a commit's answer was lost and could not be looked up.
    A write whose caller is cancelled may still happen; its result is then found by reading.
    """

    async def start(self) -> None:
        """Open the database, creating the tables where there are none, and check its schema and shard map.

        Raises:
            ConfigError: the shard map stored is another one; SchemaTooNew: the schema is newer than this package.
        """

    async def close(self) -> None:
        """Finish what was accepted, and release connections. Idempotent."""

    async def create(self, order: Order[Any], entry: Entry) -> Order[Any]:
        """Insert an order with its first journal entry.

        Idempotent: with the id taken by an order of the same fingerprint, that order is returned as it stands now.

        Raises:
            OrderExists: the id is taken by an order of another fingerprint.
            OrderUnreadable: the id is taken by an order that cannot be read.
            InvalidValue: a value does not fit its column; only this operation fails.
        """

    async def record(self, change: Change) -> None:
        """Write facts, row and the user's statements together, if the row's version (and holder) are as expected.

        Raises:
            StaleOrder: the version is another one.
            HoldLost: the version is right but ``guard`` does not hold the order.
            OrderNotFound: there is no such order.
            DeliveryFailed: a statement touched another number of rows than expected, or failed; nothing was written.
        """

    async def get(self, order_id: str) -> Order[Any]:
        """The order as committed last.

        Raises:
            OrderNotFound: there is none.
            OrderUnreadable: its row says something that this version does not know.
        """

    async def entries(self, order_id: str) -> Sequence[Entry]:
        """The journal of an order, oldest first.

        Raises:
            OrderNotFound: there is no such order.
        """

    async def list(self, query: Query) -> Page:
        """Orders that satisfy the query, by id; stable: an order is neither shown twice nor left out between pages.

        One that cannot be read keeps nobody from the others: see ``Page``.
        """

    async def hold(self, order_id: str, holder: int, due_at_us: int) -> Order[Any]:
        """Take hold of an unfinished order unless another living worker has it, and return it.

        The caller holds it if the returned order's ``holder`` is its own. ``due_at_us`` becomes the time at which
        others look at the order again. A finished order is returned as it is.

        Raises:
            OrderNotFound: there is none.
            OrderUnreadable: its row says something that this version does not know.
        """

    async def claim(
        self, types: Sequence[int], holder: int, now_us: int, due_at_us: int, limit: int
    ) -> Sequence[Order[Any]]:
        """Take hold of due orders of these types, the longest due first, at most ``limit``.

        Due means ``due_at_us <= now_us``, and held by nobody, by this worker, or by one that is not in the workers'
        table any more. The claimed orders get the new ``due_at_us``. Two claims never give out the same order
        while its holder lives. One that cannot be read is let go, logged, and due again a minute later: it keeps
        nobody from the others, and a newer version may be there by then that reads it.
        """

    async def postpone(
        self, order_id: str, version: int, holder: int, due_at_us: int | None, attempts: int, last_error: str
    ) -> bool:
        """Let go of an order, to be looked at again at this time; None where nothing is due any more.

        False, and nothing changes, if the holder does not hold it any more, or if its version is another one: then
        a fact came from outside, and its ``due_at_us`` must not be put off. Changes operational columns only: no
        fact, no new version.
        """

    async def hint(self, order_id: str, now_us: int) -> bool:
        """Make an unfinished order due now, unless it is due earlier; False if nothing is due for it."""

    def transaction(self, order_id: str, time_limit_s: float) -> AbstractAsyncContextManager[Transaction]:
        """A transaction of the user's own in this order's database, which ``Transaction.commit_with`` ends.

        Left without ``commit_with``, or past the time limit, it is rolled back; past the limit every use raises
        ``Unavailable``.
        """

    async def overview(self, now_us: int) -> Mapping[str, Any]:
        """Counts, each from an index; of each key what there is, and nothing of what there is not.

        ``by_status`` {status: n}, ``due`` n, ``due_by_type`` {type: n}, ``oldest_due_at_us`` and ``oldest_due_by_type``
        {type: at_us} of orders that are due; ``stuck_by_reason`` {why: n}; of orders that are not over,
        ``held_minor_by_currency`` {currency: minor units put aside for them and not taken yet}, and
        ``oldest_unknown_payment_at_us``, when the order changed last that waits longest to hear of a payment.
        """
