"""``python -m orderway.channels.scripted_http``: serve a scripted channel until SIGTERM or SIGINT.

The first line on standard output is its address. With ``--port 0`` that is how its caller learns the port.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import socket
import sys
from collections.abc import Sequence

import uvicorn

from orderway.channels.scripted import ScriptedChannel
from orderway.channels.scripted_http.server import scripted_app
from orderway.system_clock import SystemClock


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m orderway.channels.scripted_http", description="A payment channel that does as it is told."
    )
    parser.add_argument("--host", default="127.0.0.1", help="where it listens (default: only on this machine)")
    parser.add_argument("--port", type=int, default=0, help="its port (default: any free one)")
    parser.add_argument("--path", help="its SQLite file (default: none, all is forgotten at the end)")
    parser.add_argument("--notify", metavar="URL", help="where notifications are posted to")
    parser.add_argument("--secret", default="scripted", help="signs notifications (default: scripted)")
    parser.add_argument("--holds", action="store_true", help="money can be held first")
    parser.add_argument(
        "--silence", type=float, default=30.0, metavar="SECONDS", help="how long no answer lasts (default: 30)"
    )
    return parser.parse_args(arguments)


class _Server(uvicorn.Server):
    """Lets nobody wait for an answer that does not come, once it is told to stop."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As ``uvicorn.Server.shutdown``."""
        self._stopping.set()
        await super().shutdown(sockets)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal; returns the exit code."""
    options = _options(arguments)
    stopping = asyncio.Event()
    channel = ScriptedChannel(
        SystemClock(), path=options.path, secret=options.secret.encode(), holds=options.holds, asks_payer=True
    )
    app = scripted_app(channel, notify_url=options.notify, silence_s=options.silence, stopping=stopping)
    server = _Server(uvicorn.Config(app, http="h11", log_level="warning", timeout_graceful_shutdown=3), stopping)
    # Before the address is told: whoever knows it may send the signal, and uvicorn, which raises it again when it has
    # stopped, finds a handler that does no harm.
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, server.handle_exit)
    with socket.create_server((options.host, options.port)) as listening:
        host, port = listening.getsockname()[:2]
        sys.stdout.write(f"http://{host}:{port}\n")
        sys.stdout.flush()
        server.run(sockets=[listening])
    channel.disconnect()
    return 0


if __name__ == "__main__":
    sys.exit(main())
