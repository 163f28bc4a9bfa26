"""A connection to PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Any

import asyncpg

from orderway.errors import Unavailable
from orderway.sql.dialects.postgresql.errors import DRIVER_ERRORS, translated
from orderway.sql.dialects.postgresql.fenced import Fenced, together
from orderway.sql.dialects.postgresql.own import own_call
from orderway.sql.dialects.postgresql.server import LOCK_TIMEOUT
from orderway.sql.network.link import CommitLost, Link
from orderway.sql.refusals import check_epoch, missing_rights
from orderway.sql.steps import (
    Busy,
    Conflict,
    Count,
    Failed,
    Forbidden,
    Mismatch,
    Own,
    OwnRead,
    Read,
    Refused,
    Step,
    Write,
)

__all__ = ["PostgresqlLink", "lock_key"]

_END_SESSIONS = (
    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND ((classid::bigint << 32) | objid::bigint) = $1 AND pid <> pg_backend_pid()"
)
_AS_SAFE_AS_ANY_COMMIT = "SELECT pg_logical_emit_message(true, 'orderway', '')"
"""A session that is ended while its commit waits for a standby has committed here alone. A commit after it comes back
when the standby has both."""

_MOST_PREPARED = 256


class PostgresqlLink(Link):
    """See ``orderway.sql.network.link.Link``.

    A transaction of a few ``Fenced`` writes is one statement, committed by itself. The driver cannot send a statement
    before the one before is answered; but statements without values travel as one script.

    Args:
        connection: of the driver, whose session has the lock of this name.
        name: of the lock.
        epoch: of the shard map; None before it is known.
    """

    def __init__(self, connection: asyncpg.Connection[Any], name: str, epoch: int | None) -> None:
        self.name = name
        self._connection = connection
        self._epoch = epoch
        self._prepared: dict[str, Any] = {}

    async def send(self, steps: Sequence[Step], *, begin: bool = False, commit: bool = False) -> Any:
        """Perform steps in this order; see ``Link.send``."""
        if self._connection.is_closed():
            raise Failed("the connection is closed")
        if begin and commit and steps:
            fenced = [step for step in steps if isinstance(step, Fenced)]
            if len(fenced) == len(steps) and (whole := together(fenced)) is not None:
                return await self._alone(whole)
        try:
            return await self._send(steps, begin, commit)
        except Refused:
            if begin and commit:
                await self.roll_back()
            raise

    async def roll_back(self) -> None:
        """End the transaction, if there is one."""
        try:
            if self._connection.is_in_transaction():
                await self._execute("ROLLBACK")
        except Refused as error:  # by the driver
            raise Failed(str(error)) from error

    async def script(self, sql: str) -> None:
        """Run statements without values."""
        await self._execute(sql)

    async def lock(self, name: str, timeout_s: float) -> None:
        """Take the lock of this name; see ``Link.lock``."""
        await self._execute(f"SET lock_timeout = {max(1, int(timeout_s * 1000))}")
        try:
            await self._execute(f"SELECT pg_advisory_lock({lock_key(name)})")
        finally:
            await self._execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")

    async def unlock(self, name: str) -> None:
        """Give a lock back."""
        await self._execute(f"SELECT pg_advisory_unlock({lock_key(name)})")

    async def end_session(self, name: str, timeout_s: float) -> None:
        """End the session that holds the lock of this name; see ``Link.end_session``.

        The server gives a session's locks back when it has rolled back, or committed, what the session was doing.
        """
        with suppress(Refused):  # sessions of another user may be out of reach: then the lock is waited for
            await self._fetch(_END_SESSIONS, (lock_key(name),))
        await self.lock(name, timeout_s)
        await self.unlock(name)
        try:
            async with asyncio.timeout(timeout_s):
                await self._execute(_AS_SAFE_AS_ANY_COMMIT)
        except TimeoutError as error:
            raise Busy(f"a standby did not confirm within {timeout_s} s") from error

    async def close(self) -> None:
        """Disconnect, without waiting for anybody."""
        self._connection.terminate()

    async def _send(self, steps: Sequence[Step], begin: bool, commit: bool) -> Any:
        script: list[str] = []
        result: Any = None
        for step in steps:
            if type(step) is Write and not step.values and step.expect is None:
                script.append(step.sql)
                continue
            await self._run(script, begin)
            script, begin = [], False
            result = await self._do(step)
        if commit:
            await self._commit(script, begin)
        else:
            await self._run(script, begin)
        return result

    async def _run(self, script: Sequence[str], begin: bool) -> None:
        """Run statements without values in one trip, in a transaction that may have to be begun."""
        if begin:
            await self._begin(script)
        elif script:
            await self._execute("; ".join(script))

    async def _begin(self, script: Sequence[str]) -> None:
        """Begin, take the shared lock on the epoch, and go on. Another epoch divides by zero."""
        fence = [] if self._epoch is None else [_fence(self._epoch)]
        try:
            await self._execute("; ".join(["BEGIN", *fence, *script]))
        except Refused as error:
            await self.roll_back()
            await self._check_epoch(error)
            raise

    async def _check_epoch(self, problem: Refused) -> None:
        """Raise if the fence was not passed. Not ``Refused``: nothing may be done by this map, by nobody.

        The transaction is over by now, so that nobody can go on in it with another operation.
        """
        if isinstance(problem, Forbidden):
            raise missing_rights(problem) from problem
        if isinstance(problem, Busy):
            raise Unavailable(f"the shard map is being changed: nothing was done, try again ({problem})") from problem
        if self._epoch is not None:
            try:
                rows = await self._fetch("SELECT epoch FROM ow_meta WHERE id = 1")
            except Refused as error:  # as the fence was: the table is not what it should be
                raise Unavailable(f"the shard map cannot be read, nothing was done: {error}") from error
            check_epoch(rows[0][0] if rows else None, self._epoch)

    async def _commit(self, script: Sequence[str], begin: bool) -> None:
        if begin:
            await self._begin(script)
            script = []
        self.is_committing = True
        try:
            status = await self._execute("; ".join([*script, "COMMIT"]))
        except Failed as error:
            raise CommitLost(str(error)) from error
        except (Refused, Conflict):  # a constraint that is looked at when the transaction ends
            self.is_committing = False
            raise
        self.is_committing = False
        if status != "COMMIT":
            raise Failed(f"COMMIT was answered by {status}")

    async def _alone(self, step: Fenced) -> None:
        """A whole transaction in one statement."""
        self.is_committing = True
        try:
            row = await self._ask(step)
        except Failed as error:
            raise CommitLost(str(error)) from error
        except (Refused, Conflict):
            self.is_committing = False
            raise
        self.is_committing = False
        await self._check(step, row)

    async def _do(self, step: Step) -> Any:
        if isinstance(step, Fenced):
            return await self._check(step, await self._ask(step))
        if isinstance(step, Write):
            touched = _count(await self._execute(step.sql, step.values))
            if step.expect is not None and touched != step.expect:
                raise Mismatch(f"{touched} rows were touched instead of {step.expect}")
            return None
        if isinstance(step, Count):
            return _count(await self._execute(step.sql, step.values))
        if isinstance(step, Read):
            return await self._fetch(step.sql, step.values)
        assert isinstance(step, Own)
        sql, values = own_call(step)
        return await (self._fetch if isinstance(step, OwnRead) else self._own)(sql, values)

    async def _ask(self, step: Fenced) -> tuple[int, int]:
        [(passed, touched)] = await self._fetch(step.sql, (self._epoch, *step.values))
        return passed, touched

    async def _check(self, step: Fenced, row: tuple[int, int]) -> None:
        passed, touched = row
        mismatch = Mismatch(f"{touched} rows were touched instead of {step.expect}")
        if not passed:
            await self._check_epoch(mismatch)
        if touched != step.expect:
            raise mismatch

    async def _own(self, sql: str, values: Sequence[Any]) -> int:
        """A statement of the user's own: prepared even without values, so that it cannot be several statements."""
        if values:
            return _count(await self._execute(sql, values))
        try:
            if sql not in self._prepared:
                if len(self._prepared) == _MOST_PREPARED:
                    self._prepared.clear()
                self._prepared[sql] = await self._connection.prepare(sql)
            await self._prepared[sql].fetch()
            return _count(self._prepared[sql].get_statusmsg())
        except DRIVER_ERRORS as error:
            self._prepared.pop(sql, None)
            raise self._translated(error) from error

    async def _execute(self, sql: str, values: Sequence[Any] = ()) -> str:
        try:
            status: str = await self._connection.execute(sql, *values)
        except DRIVER_ERRORS as error:
            raise self._translated(error) from error
        return status

    async def _fetch(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        try:
            return [tuple(row) for row in await self._connection.fetch(sql, *values)]
        except DRIVER_ERRORS as error:
            raise self._translated(error) from error

    def _translated(self, error: Exception) -> Exception:
        return Failed(str(error)) if self._connection.is_closed() else translated(error)


def _fence(epoch: int) -> str:
    return f"SELECT 1 / count(*) FROM (SELECT 1 FROM ow_meta WHERE id = 1 AND epoch = {epoch} FOR SHARE) AS fence"


def _count(status: str) -> int:
    """How many rows a statement touched, from its command tag, as in ``INSERT 0 3``; 0 where the tag does not say."""
    last = status.rpartition(" ")[2]
    return int(last) if last.isdecimal() else 0


def lock_key(name: str) -> int:
    """The 63-bit number that stands for the name of a lock: PostgreSQL's own have no names."""
    return int.from_bytes(sha256(name.encode()).digest()[:8], "big") >> 1
