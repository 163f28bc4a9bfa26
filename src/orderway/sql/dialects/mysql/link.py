"""A connection to MariaDB or MySQL: a whole transaction travels as one packet, there and back once."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

from orderway.errors import Unavailable
from orderway.sql.dialects.mysql.errors import DRIVER_ERRORS, NEVER_SENT, OUT_OF_RANGE, number_of, translated
from orderway.sql.dialects.mysql.literals import literal
from orderway.sql.dialects.mysql.packets import Part, Role, idle_limit, packets_of, parts_of
from orderway.sql.network.link import CommitLost, Link
from orderway.sql.refusals import check_epoch, missing_rights
from orderway.sql.steps import Busy, Conflict, Failed, Forbidden, Mismatch, OwnRead, Read, Refused, Step, Write

__all__ = ["MOST_IDLE_S", "Connection", "MysqlLink", "Session", "disconnect"]

_LONGEST_LOCK_NAME = 64
MOST_IDLE_S = 31_536_000
"""A year, the most that is allowed: a connection that stands idle outside a transaction is no mistake."""


class _Result(Protocol):
    """The driver's answer to one statement."""

    rows: tuple[tuple[Any, ...], ...] | None
    affected_rows: int
    has_next: int


class Connection(Protocol):
    """What is used of the driver's connection. Its cursor would ask for the text of every warning, with a trip each."""

    _result: _Result | None
    _transport: asyncio.Transport | None

    async def query(self, sql: bytes) -> int:
        """Send statements, and read the answer to the first."""

    async def next_result(self) -> int:
        """Read the answer to the next one."""

    def close(self) -> None:
        """Disconnect; over TLS, once the server has said that it heard so."""


def disconnect(connection: Connection) -> None:
    """Disconnect at once: nobody waits until the other side, which may be gone, has taken leave."""
    transport = connection._transport
    connection.close()
    if transport is not None:
        transport.abort()


@dataclass(frozen=True, slots=True)
class Session:
    """What the server said when the connection was opened.

    Args:
        name: of the lock that the session holds.
        database: its name, which distinguishes the locks of databases on one server.
        most_bytes: of a packet.
        timeout_ends_transaction: a lock that comes too late ends the transaction, not only the statement.
        idle_s: how long it may stand idle in a transaction, if the server does not see to that; 0 for any time.
    """

    name: str
    database: str
    most_bytes: int
    timeout_ends_transaction: bool
    idle_s: int = 0


@dataclass(slots=True)
class _Progress:
    """How far the statements have got: what the one that is waited for is there for, and the last step's answer."""

    role: Role = Role.BEGIN
    answer: _Result | None = None


class MysqlLink(Link):
    """See ``orderway.sql.network.link.Link``.

    A statement in flight that is cancelled leaves answers unread: the driver closes the connection then, and so ends
    the transaction.
    """

    def __init__(self, connection: Connection, session: Session, epoch: int | None) -> None:
        self.name = session.name
        self._connection = connection
        self._session = session
        self._epoch = epoch
        self._is_open = False
        """Whether a transaction may be open."""
        self._is_limited = False
        """Whether the session ends when it stands idle now."""

    async def send(self, steps: Sequence[Step], *, begin: bool = False, commit: bool = False) -> Any:
        """Perform steps in this order; see ``Link.send``. One trip, unless they exceed a packet."""
        parts, problem = parts_of(
            steps, epoch=self._epoch, begin=begin, commit=commit, most_bytes=self._session.most_bytes
        )
        if self._session.idle_s:
            self._limit(parts, begin=begin)
        self._is_open = self._is_open or begin
        try:
            answer = await self._exchange(parts)
            if problem is not None:
                raise problem
        except Refused:
            if begin and commit:
                await self.roll_back()
            raise
        if commit:
            self._is_open = self._is_limited = False
        return _result_of(steps[-1], answer) if steps and answer else None

    async def roll_back(self) -> None:
        """End the transaction, if there is one."""
        if self._is_open:
            lifted = idle_limit(MOST_IDLE_S).sql.decode()
            await self._ask(f"ROLLBACK;{lifted}" if self._is_limited else "ROLLBACK")
            self._is_open = self._is_limited = False

    def _limit(self, parts: list[Part], *, begin: bool) -> None:
        """Have the session end where it stands idle in this transaction; one that travels in one packet never does."""
        commits = bool(parts) and parts[-1].role is Role.COMMIT
        if begin and not (commits and sum([len(part.sql) + 1 for part in parts]) <= self._session.most_bytes):
            parts.insert(1, idle_limit(self._session.idle_s))
            self._is_limited = True
        if commits and self._is_limited:
            parts.insert(-1, idle_limit(MOST_IDLE_S))

    async def script(self, sql: str) -> None:
        """Run statements without values, separated by semicolons. Those that make tables commit, each by itself."""
        await self._ask(sql)

    async def lock(self, name: str, timeout_s: float) -> None:
        """Take the lock of this name in this database; see ``Link.lock``."""
        if await self._value(f"SELECT GET_LOCK({self._local(name)}, {math.ceil(timeout_s)})") != 1:
            raise Busy(f"the lock {name!r} was not given back within {timeout_s} s")

    async def unlock(self, name: str) -> None:
        """Give a lock back."""
        await self._ask(f"DO RELEASE_LOCK({self._local(name)})")

    async def end_session(self, name: str, timeout_s: float) -> None:
        """End the session that holds the lock of this name; see ``Link.end_session``.

        The server gives a session's locks back when it has rolled back, or committed, what the session was doing.
        """
        lock = literal(name)
        number = await self._value(f"SELECT IS_USED_LOCK({lock})")
        if number is None:
            return
        with suppress(Refused):  # it has just ended by itself; if it has not, the lock tells
            await self._ask(f"KILL {number}")
        if await self._value(f"SELECT GET_LOCK({lock}, {math.ceil(timeout_s)})") != 1:
            raise Busy(f"session {number} is still there {timeout_s} s after it was ended")
        await self._ask(f"DO RELEASE_LOCK({lock})")

    async def close(self) -> None:
        """Disconnect, without waiting for anybody."""
        disconnect(self._connection)

    async def _value(self, sql: str) -> Any:
        answer = await self._ask(sql)
        return answer.rows[0][0] if answer and answer.rows else None

    async def _ask(self, sql: str) -> _Result | None:
        return await self._exchange([Part(Role.STEP, sql.encode())])

    async def _exchange(self, parts: Sequence[Part]) -> _Result | None:
        """Send statements, and read their answers; returns the last step's."""
        progress = _Progress()
        try:
            for packet in packets_of(parts, self._session.most_bytes):
                self.is_committing = packet[-1].role is Role.COMMIT
                await self._talk(packet, progress)
        except DRIVER_ERRORS as error:
            await self._stopped(error, progress.role)
        self.is_committing = False
        return progress.answer

    async def _talk(self, packet: Sequence[Part], progress: _Progress) -> None:
        connection = self._connection
        progress.role = packet[0].role
        await connection.query(b"\n;".join([part.sql for part in packet]))
        for at, part in enumerate(packet):
            if at:
                progress.role = part.role
                await connection.next_result()
            if part.role is Role.STEP:
                progress.answer = connection._result
        while connection._result is not None and connection._result.has_next:  # of a script, or of a procedure
            await connection.next_result()

    async def _stopped(self, error: BaseException, role: Role) -> NoReturn:
        """Raise what it means that a statement of this role was answered by an error, or not at all."""
        number = number_of(error)
        problem = translated(error, timeout_ends_transaction=self._session.timeout_ends_transaction)
        if self.is_committing and _may_have_committed(problem, number, role):
            raise CommitLost(str(problem)) from error
        self.is_committing = False
        if isinstance(problem, Refused):
            if role is Role.FENCE:
                await self._refuse_to_begin(problem, number)
            if role is Role.BEGIN:
                raise Failed(str(problem)) from error
            if role is Role.GUARD and number == OUT_OF_RANGE:
                raise Mismatch("not as many rows were touched as should be") from error
        raise problem from error

    async def _refuse_to_begin(self, problem: Refused, number: int) -> NoReturn:
        """The fence did not let us pass. Not ``Refused``: nothing may be done in this transaction."""
        await self.roll_back()
        if isinstance(problem, Forbidden):
            raise missing_rights(problem) from problem
        if number == OUT_OF_RANGE:
            assert self._epoch is not None
            check_epoch(await self._value("SELECT epoch FROM ow_meta WHERE id = 1"), self._epoch)
        raise Unavailable(f"the shard map is being changed: nothing was done, try again ({problem})") from problem

    def _local(self, name: str) -> str:
        """The name of a lock in this database: the server has one space of names for all of its databases."""
        return literal(f"{name} {self._session.database}"[:_LONGEST_LOCK_NAME])


def _may_have_committed(problem: Exception, number: int, role: Role) -> bool:
    """Whether a transaction whose commit was sent may have been committed in spite of an error."""
    if role is Role.COMMIT:
        return not isinstance(problem, Conflict)
    # An error of the server's own before the commit's turn stops it; what the driver says of the network does not.
    is_server = 1000 <= number < 2000 or number >= 3000
    return isinstance(problem, Failed) and not is_server and number != NEVER_SENT


def _result_of(step: Step, answer: _Result) -> Any:
    if isinstance(step, Write):
        return None
    return list(answer.rows or ()) if isinstance(step, Read | OwnRead) else answer.affected_rows
