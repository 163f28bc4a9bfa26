"""One connection to a database, on which steps are performed: several at once where none waits for another's result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from sqlalchemy import Table

from orderway.errors import OrderwayError
from orderway.sql.dialect import Dialect
from orderway.sql.rights import Rights
from orderway.sql.steps import SETTLE, Conflict, Refused, Step, Steps, Write

__all__ = ["CommitLost", "Link", "Server"]

T = TypeVar("T")


class CommitLost(Exception):
    """The connection ended after a commit was sent and before its answer came: it may have happened or not."""


class Link:
    """A connection. One batch at a time; a link that has failed is closed, and another one opened in its place.

    What goes over the wire is each database's own: it says how ``send`` is done, and everything else here follows.
    """

    name: str
    """Of the lock that this session holds as long as it lives."""
    is_committing: bool = False
    """True from when a commit is sent until its answer is there: whoever stops waiting then does not know."""

    async def send(self, steps: Sequence[Step], *, begin: bool = False, commit: bool = False) -> Any:
        """Perform steps in this order; returns the result of the last one.

        All but the last are ``Write``; they travel together where the protocol allows it.

        Args:
            steps: may be empty.
            begin: begin a transaction before them, under a shared lock on the shard map's epoch.
            commit: commit after them, if each has touched as many rows as it should.

        Raises:
            Refused: one was refused, and nothing after it was done. The transaction is still open, unless ``begin``
                and ``commit`` were asked for together: then it was rolled back.
            Conflict: the transaction is over, and nothing of it was done.
            Failed: the link is good for nothing more, and nothing of the transaction was done.
            CommitLost: the link is good for nothing more, and nobody knows.
            Unavailable: the shard map's epoch is another one.
        """
        raise NotImplementedError

    async def roll_back(self) -> None:
        """End the transaction, if there is one; nothing of it was done. Never raises ``Refused``."""
        raise NotImplementedError

    async def script(self, sql: str) -> None:
        """Run statements without values, separated by semicolons: for making tables."""
        raise NotImplementedError

    async def lock(self, name: str, timeout_s: float) -> None:
        """Take the lock of this name for this session, waiting for whoever has it.

        Raises:
            Busy: nobody gave it back within this time.
        """
        raise NotImplementedError

    async def unlock(self, name: str) -> None:
        """Give a lock back."""
        raise NotImplementedError

    async def end_session(self, name: str, timeout_s: float) -> None:
        """End the session that holds the lock of this name, and wait until it is gone: what it did is then final.

        Raises:
            Busy: it is still there after this time.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Disconnect, without waiting for anybody. Never raises."""
        raise NotImplementedError

    async def transact(self, steps: Steps[T]) -> T:
        """Perform steps in one transaction, and commit it.

        Raises:
            Refused, OrderwayError: at least one step was refused; the transaction was rolled back.
            Conflict, Failed, CommitLost, Unavailable: see ``send``.
        """
        try:
            return await self._drive(steps, begin=True, commit=True)
        except (Refused, Conflict, OrderwayError):
            await self.roll_back()
            raise

    async def perform(self, steps: Steps[T]) -> T:
        """Perform steps without beginning or ending a transaction."""
        return await self._drive(steps, begin=False, commit=False)

    async def _drive(self, steps: Steps[T], *, begin: bool, commit: bool) -> T:
        pending: list[Step] = []
        result: Any = None
        problem: Refused | None = None
        while True:
            try:
                step = steps.send(result) if problem is None else steps.throw(problem)
            except (Refused, OrderwayError):
                if pending and not begin:
                    await self.send(pending)  # a roll-back to a savepoint, which must not wait for the next step
                raise
            except StopIteration as end:
                if pending or (commit and not begin):
                    await self.send(pending, begin=begin, commit=commit)
                value: T = end.value
                return value
            result = problem = None
            if isinstance(step, Write):
                pending.append(step)
                continue
            asked, pending = pending if step is SETTLE else [*pending, step], []
            if asked:
                first, begin = begin, False
                try:
                    result = await self.send(asked, begin=first)
                except Refused as error:
                    problem = error


class Server(Protocol):
    """How one database is reached."""

    @property
    def dialect(self) -> Dialect:
        """Its statements."""

    @property
    def where(self) -> str:
        """Where it is, for messages: without its password."""

    @property
    def find_meta(self) -> str:
        """A query whose one value is true if ``ow_meta`` exists."""

    @property
    def list_tables(self) -> str:
        """A query for the names of all tables that begin with ``ow_``."""

    def rights(self, tables: Sequence[Table]) -> Steps[Rights]:
        """See what our user may not do with these tables, without touching a row."""

    async def connect(self, epoch: int | None, idle_s: int = 0) -> Link:
        """Open a connection, whose session holds a lock named ``Link.name``.

        Args:
            epoch: of the shard map, which every transaction checks; None before the map is known: such a link
                begins transactions without checking.
            idle_s: after so long without a statement in the middle of a transaction the server ends the session, if
                it can: whoever is frozen must not keep what it has locked. 0 for the server's own setting.

        Raises:
            Failed: it does not answer.
            ConfigError: it refuses us: the name of the user or database, the password.
        """
