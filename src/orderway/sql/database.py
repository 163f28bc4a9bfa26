"""What the adapters of this package need of a database, whatever its dialect."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

from sqlalchemy import MetaData
from sqlalchemy.sql import Select
from sqlalchemy.sql.selectable import CompoundSelect

from orderway.core.order import Order
from orderway.ports.store import Transaction
from orderway.sql.lazily import Lazily
from orderway.sql.operations import Claim, Operation
from orderway.sql.shards import ShardMap
from orderway.sql.tables import DatabaseTables, ShardTables, database_tables, shard_tables

__all__ = ["Database", "Query", "Tables"]

T = TypeVar("T")
Query = Select[Any] | CompoundSelect[Any]


class Tables:
    """All tables of one database.

    Args:
        own: the numbers of the shards that live in it.
    """

    def __init__(self, own: Sequence[int]) -> None:
        self._metadata = MetaData()
        self.common: DatabaseTables = database_tables(self._metadata)
        self.shards: Mapping[int, ShardTables] = Lazily(lambda shard: shard_tables(self._metadata, shard), own)

    @property
    def metadata(self) -> MetaData:
        """All of them, made."""
        list(self.shards.values())
        return self._metadata


class Database(Protocol):
    """One database. Everything raises ``Unavailable`` when it does not answer."""

    on_commit: Callable[[int, float], None] | None
    """See ``orderway.ports.observer.Commits``."""

    @property
    def where(self) -> str:
        """Where it is, for messages: without its password."""

    @property
    def number(self) -> int:
        """Which of the databases that belong together it is, from 0."""

    @property
    def shards(self) -> ShardMap:
        """The shard map stored in it, of all databases that belong together."""

    @property
    def epoch(self) -> int:
        """The epoch of the shard map."""

    @property
    def tables(self) -> Tables:
        """Its tables."""

    async def start(self, *, create: bool = True) -> None:
        """Connect; make the tables where there are none, unless it may not or shall not, and check them. Idempotent.

        Raises:
            NoTables: there are none.
            ConfigError: it refuses us, or has another shard map; SchemaTooNew: a newer package made it.
            Unavailable: it does not answer.
        """

    async def close(self) -> None:
        """Finish what was accepted, and disconnect. Idempotent."""

    def write(self, operation: Operation[T]) -> Awaitable[T]:
        """Have an operation done by the writer, in a group commit."""

    def get(self, order_id: str) -> Awaitable[Order[Any]]:
        """Read an order, together with others that are asked for at the same time."""

    async def due(self, claim: Claim) -> Sequence[tuple[int, str, int]]:
        """``due_at_us``, id and shard of what this claim would find, in any order, perhaps too many; costs no write."""

    async def fetch(self, query: Query, **values: Any) -> Sequence[Sequence[Any]]:
        """Run a query, out of the way of ``get`` and of the writer; returns all rows.

        Compiling a query costs more than running it: one that is given ``values`` for its named parameters is made
        once, used again and again, and compiled once.
        """

    async def now_us(self) -> int:
        """Its own time in microseconds since 1970, UTC, some time between call and return."""

    async def check_rights(self, but: Collection[str] = ()) -> None:
        """See whether its user may read and write its tables, without touching a row.

        Args:
            but: the names of tables that are not looked at.

        Raises:
            MissingRights: names what it may not do, and what to do about it.
        """

    def transaction(self, time_limit_s: float) -> AbstractAsyncContextManager[Transaction]:
        """As ``Store.transaction``, for an order that lives here."""
