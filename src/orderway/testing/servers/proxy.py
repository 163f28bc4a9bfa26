"""A proxy between a program and its database that fails where it hurts: between a commit and its answer.

    async with Proxy(url) as proxy:
        app = App(proxy.url)
        fault = proxy.cut(answered=True)  # the next commit happens, and its answer is lost
        ...
        assert fault.reached.is_set()

It reads the protocol, so connections must not be encrypted, and passes on one request at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

from orderway.testing.servers.wires import MysqlWire, PostgresqlWire, Request, Wire

__all__ = ["Fault", "Proxy", "commits"]

_WIRES: dict[str, tuple[type[Wire], int]] = {
    "mariadb": (MysqlWire, 3306),
    "mysql": (MysqlWire, 3306),
    "postgres": (PostgresqlWire, 5432),
    "postgresql": (PostgresqlWire, 5432),
}
_HOST = "127.0.0.1"


def commits(request: Request) -> bool:
    """Requests that end a transaction well."""
    return request.commits


class Fault:
    """What is to happen to one request.

    Args:
        when: which requests are meant.
        nth: the how-many-th of them, from 1.
        answered: after the database has answered it, instead of before it is passed on.
        stalls: the connection stays open and nothing moves on it, until ``released`` is set.
    """

    def __init__(self, when: Callable[[Request], bool], nth: int, *, answered: bool, stalls: bool) -> None:
        self.answered = answered
        self.stalls = stalls
        self.reached = asyncio.Event()
        """It has happened."""
        self.over = asyncio.Event()
        """The connection has ended, on the database's side too."""
        self.released = asyncio.Event()
        """What stalled may move on."""
        self._when = when
        self._still = nth

    def is_next(self, request: Request) -> bool:
        """Count a request; True for the one that is meant."""
        self._still -= self._when(request)
        return self._still == 0


class Proxy:
    """Listens on a free loopback port as long as the context lasts, and passes everything on to a database.

    Args:
        url: of the database: ``postgresql://``, ``mysql://`` or ``mariadb://``, with host and port.
    """

    def __init__(self, url: str) -> None:
        self.connections = 0
        """How many were opened."""
        self.cuts = 0
        """How many were cut, or refused."""
        self.refuses = False
        """Whether new connections are closed at once."""
        self._wire = _WIRES[urlsplit(url).scheme][0]
        self._faults: list[Fault] = []
        self._open: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.flows = asyncio.Event()
        """Cleared, nothing moves on any connection, and all of them stay open."""
        self.flows.set()
        self.lead_to(url)

    @property
    def url(self) -> str:
        """The database's URL, through the proxy."""
        return self.url_through(self._url)

    def url_through(self, url: str) -> str:
        """The URL of another database on the same server, through the proxy."""
        assert self._server is not None, "the proxy listens only inside its context"
        parts = urlsplit(url)
        user, at, _ = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{user}{at}{_HOST}:{self._server.sockets[0].getsockname()[1]}").geturl()

    def lead_to(self, url: str) -> None:
        """Pass new connections on to this database, which knows the same users."""
        parts = urlsplit(url)
        self._url = url
        self._target = (parts.hostname or _HOST, parts.port or _WIRES[parts.scheme][1])

    def cut(self, *, answered: bool, when: Callable[[Request], bool] = commits, nth: int = 1) -> Fault:
        """Cut the connection of a request to come: once it is answered (nobody hears it), or before it is passed on."""
        return self._plan(Fault(when, nth, answered=answered, stalls=False))

    def stall(self, *, answered: bool, when: Callable[[Request], bool] = commits, nth: int = 1) -> Fault:
        """Hold back a request to come, or its answer."""
        return self._plan(Fault(when, nth, answered=answered, stalls=True))

    def cut_all(self) -> None:
        """Cut all connections now."""
        for connection in tuple(self._open):
            self.cuts += 1
            connection.abort()

    def fault_of(self, request: Request) -> Fault | None:
        """What shall happen to this request."""
        for fault in self._faults:
            if fault.is_next(request):
                self._faults.remove(fault)
                return fault
        return None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, _HOST, 0)
        return self

    async def __aexit__(self, *exception: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def _plan(self, fault: Fault) -> Fault:
        self._faults.append(fault)
        return fault

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Not a coroutine: the streams would report the exceptions of one that is cancelled.
        task = asyncio.get_running_loop().create_task(self._pass(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection = _Connection(self, self._wire(), reader, writer)
        self._open.add(connection)
        try:
            if self.refuses:
                self.cuts += 1
                return
            await connection.run(*self._target)
        except OSError:
            pass  # the database is not there; the client sees its connection close
        finally:
            connection.abort()
            self._open.discard(connection)


class _Connection:
    """One client, and its connection to the database."""

    def __init__(self, proxy: Proxy, wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._wire = wire
        self._client = reader
        self._to_client = writer
        self._to_database: asyncio.StreamWriter | None = None
        self._met: list[Fault] = []
        self._after_answer: Fault | None = None

    async def run(self, host: str, port: int) -> None:
        database, self._to_database = await asyncio.open_connection(host, port)
        requests = asyncio.create_task(self._requests(self._to_database))
        try:
            await self._answers(database)
        finally:
            requests.cancel()
            await asyncio.gather(requests, return_exceptions=True)
            for fault in self._met:
                fault.over.set()

    def abort(self) -> None:
        """Close both sides at once."""
        for writer in (self._to_client, self._to_database):
            if writer is not None:
                writer.transport.abort()

    async def _requests(self, database: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                request = await self._wire.read_request(self._client)
                await self._proxy.flows.wait()
                fault = self._proxy.fault_of(request)
                if fault is not None:
                    self._met.append(fault)
                    if fault.answered:
                        self._after_answer = fault
                    elif not await self._goes_on(fault):
                        return
                database.write(request.data)
        # The client has gone. What it sent still reaches the database, which then ends the connection itself.
        with suppress(OSError):
            database.write_eof()

    async def _answers(self, database: asyncio.StreamReader) -> None:
        held_back = b""
        with suppress(ConnectionError):
            while data := await database.read(1 << 16):
                await self._proxy.flows.wait()
                is_answered = self._wire.is_answered(data)
                if self._after_answer is not None:
                    held_back += data
                    if not is_answered:
                        continue
                    fault, self._after_answer = self._after_answer, None
                    if not await self._goes_on(fault):
                        return
                    data, held_back = held_back, b""
                self._to_client.write(data)

    async def _goes_on(self, fault: Fault) -> bool:
        """Cut, or stall; whether the connection then goes on."""
        fault.reached.set()
        if fault.stalls:
            await fault.released.wait()
            return True
        self._proxy.cuts += 1
        self.abort()
        return False
