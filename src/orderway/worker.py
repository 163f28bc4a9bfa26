"""The worker: a process that carries orders, and nothing else. ``orderway worker`` runs one."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from orderway.app import App
from orderway.listening import AsgiApp, Receive, Scope, Send, address_of, listening_at, server_of, signals_to, url_of

__all__ = ["Worker", "health_app"]

logger = logging.getLogger("orderway")


class _Threads(ThreadPoolExecutor):
    """Threads of which one can tell how many are at work."""

    def __init__(self, most: int, name: str) -> None:
        super().__init__(most, name)
        self.busy: set[Future[Any]] = set()

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        """As ``ThreadPoolExecutor.submit``."""
        future = super().submit(function, *arguments, **options)
        self.busy.add(future)
        future.add_done_callback(self.busy.discard)
        return future


class Worker:
    """Runs an App until it is told to stop.

    On SIGTERM or SIGINT it takes nothing new, finishes what it has in hand, or hands it back after the App's
    ``close_within_s``, and leaves; whatever it had begun is carried on by others at once. A second signal hands back
    right away. Killed, frozen or cut off, it is missed by the others within ``dead_after_s``.

    Args:
        app: with its businesses, not started.
        listen: ``host:port`` where ``/livez``, ``/readyz`` and, if ``metrics`` is given, ``/metrics`` are answered;
            port 0 for any free one. None to answer nowhere.
        metrics: an ASGI app.
        on_start: called when the worker carries orders, with the address that it answers at, or "".
    """

    def __init__(
        self,
        app: App,
        *,
        listen: str | None = None,
        metrics: AsgiApp | None = None,
        on_start: Callable[[str], None] | None = None,
    ) -> None:
        self.app = app
        self._listen = None if listen is None else address_of(listen)
        self._metrics = metrics
        self._on_start = on_start
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()

    def stop(self) -> None:
        """Stop in good order; called again, in a hurry. For signal handlers, on the loop's thread."""
        (self._hurry if self._stop.is_set() else self._stop).set()

    async def run(self) -> int:
        """Carry orders until stopped.

        Plain ``def`` hooks run in threads, of which there are as many as orders may be in hand at once, so that slow
        ones do not keep the others waiting.

        Returns:
            How many hooks are left behind in threads, which nothing can end but the end of the process.

        Raises:
            ConfigError, Unavailable: it could not start.
        """
        self._stop, self._hurry = asyncio.Event(), asyncio.Event()
        threads = _Threads(self.app.sweeper.most_at_once, "orderway-hook")
        asyncio.get_running_loop().set_default_executor(threads)
        with signals_to(self.stop), listening_at(self._listen) as listening:
            await self.app.start(sweep=True)
            try:
                if listening is None:
                    await self._carry("")
                else:
                    await self._carry_and_answer(listening)
            finally:
                await self._close()
        return len(threads.busy)

    async def _carry(self, url: str) -> None:
        logger.info("worker %s carries orders%s", self.app.membership.name, url and f", and answers at {url}")
        if self._on_start is not None:
            self._on_start(url)
        await self._stop.wait()

    async def _carry_and_answer(self, listening: socket.socket) -> None:
        server = server_of(health_app(self.app, self._metrics, self._stop))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            await self._carry(url_of(listening))
        finally:
            server.should_exit = True
            await serving

    async def _close(self) -> None:
        closing = asyncio.create_task(self.app.close())
        hurried = asyncio.create_task(self._hurry.wait())
        await asyncio.wait({closing, hurried}, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if not closing.done():
            self.app._drop()
        await closing


def health_app(app: App, metrics: AsgiApp | None = None, stopping: asyncio.Event | None = None) -> AsgiApp:
    """An ASGI app that says how a process is: ``/livez`` (else restart it) and ``/readyz`` (else give it no work).

    A database that does not answer makes it unready, and not dead: a restart would not help.

    Args:
        app: the App of this process.
        metrics: answers ``/metrics``.
        stopping: set when the process is about to stop.
    """

    def unready() -> str:
        beaten_at_s, within_s = app.membership.beaten_at_s, app.membership.dead_after_s
        if stopping is not None and stopping.is_set():
            return "it is about to stop"
        if beaten_at_s is None or app.clock.monotonic_s() - beaten_at_s > within_s:
            return f"the database has taken no heartbeat for {within_s:g} s"
        return ""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path == "/metrics" and metrics is not None:
            await metrics(scope, receive, send)
        elif path in {"/livez", "/readyz"}:
            ill = "" if app._is_running else "a part of it has ended"
            problem = ill or (unready() if path == "/readyz" else "")
            await _send(send, 503 if problem else 200, {"status": problem or "ok", "worker": app.membership.name})
        else:
            await _send(send, 404, {"error": "there are /livez, /readyz" + (" and /metrics" if metrics else "")})

    return answer


async def _send(send: Send, status: int, document: dict[str, str]) -> None:
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(document).encode() + b"\n"})
