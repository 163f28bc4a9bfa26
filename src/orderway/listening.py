"""Listening: a process that answers HTTP, and ends when it is told to by a signal."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

from orderway.errors import ConfigError

if TYPE_CHECKING:
    import uvicorn

__all__ = ["AsgiApp", "Receive", "Scope", "Send", "address_of", "listening_at", "server_of", "signals_to", "url_of"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def signals_to(stop: Callable[[], None]) -> Iterator[None]:
    """Have ``stop`` called on each signal, on the loop's thread; what was there before comes back at the end."""
    loop = asyncio.get_running_loop()

    def on_signal(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stop)

    before = [(each, signal.signal(each, on_signal)) for each in SIGNALS]
    try:
        yield
    finally:
        for each, old in before:
            signal.signal(each, old)


def address_of(listen: str) -> tuple[str, int]:
    """The host and the port of ``host:port``.

    Raises:
        ConfigError: it is not of this form.
    """
    host, separator, port = listen.rpartition(":")
    if not separator or not port.isdecimal() or int(port) > 65_535:
        raise ConfigError(f"{listen!r} is no address to listen at: host:port is expected, for instance 127.0.0.1:9464")
    return host.strip("[]") or "127.0.0.1", int(port)


@contextmanager
def listening_at(address: tuple[str, int] | None) -> Iterator[socket.socket | None]:
    """A socket that listens, before anything else is begun: whoever may not have the port does nothing at all.

    Raises:
        ConfigError: it cannot be had.
    """
    if address is None:
        yield None
        return
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    try:
        listening = socket.create_server(address, family=family)
    except OSError as error:
        raise ConfigError(f"{address[0]}:{address[1]} cannot be listened at: {error.strerror or error}") from error
    with listening:
        yield listening


def server_of(app: AsgiApp) -> uvicorn.Server:
    """A server for this app, which leaves the signals to whoever runs it.

    Raises:
        ConfigError: an extra is missing.
    """
    try:
        import uvicorn
    except ModuleNotFoundError as missing:
        raise ConfigError("listening needs the package uvicorn: pip install 'orderway[worker]'") from missing

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield  # they are the process's own

    return Server(
        uvicorn.Config(app, http="h11", lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=2)
    )


def url_of(listening: socket.socket) -> str:
    """Where a socket is reached."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
