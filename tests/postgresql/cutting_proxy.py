"""Stands between a client and its server, and cuts the connection at the worst moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class CuttingProxy:
    """Passes everything on, until it has a word to cut at: then once, on the connection where that word comes."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self.port = 0
        self.cut_request: bytes | None = None
        """Cut instead of passing on a request with this word: the server never sees it."""
        self.cut_answer: bytes | None = None
        """Cut instead of passing back the answer to a request with this word: what was asked has happened."""
        self.cuts = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(*self._server)
        lost = asyncio.Event()
        requests = asyncio.create_task(self._requests(reader, to_server, lost))
        answers = asyncio.create_task(self._answers(from_server, writer, lost))
        await asyncio.wait([requests, answers], return_when=asyncio.FIRST_COMPLETED)
        for end in (writer, to_server):
            end.transport.abort()
        await asyncio.gather(requests, answers)

    async def _requests(self, client: asyncio.StreamReader, server: asyncio.StreamWriter, lost: asyncio.Event) -> None:
        with suppress(OSError):
            while data := await client.read(65536):
                if self.cut_request is not None and self.cut_request in data:
                    self.cut_request = None
                    self.cuts += 1
                    return
                if self.cut_answer is not None and self.cut_answer in data:
                    self.cut_answer = None
                    lost.set()
                server.write(data)
                await server.drain()

    async def _answers(self, server: asyncio.StreamReader, client: asyncio.StreamWriter, lost: asyncio.Event) -> None:
        with suppress(OSError):
            while data := await server.read(65536):
                if lost.is_set():
                    self.cuts += 1
                    return
                client.write(data)
                await client.drain()


@asynccontextmanager
async def cutting_proxy(host: str, port: int) -> AsyncIterator[CuttingProxy]:
    """A proxy before this server, on a free port."""
    proxy = CuttingProxy(host, port)
    listening = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield proxy
