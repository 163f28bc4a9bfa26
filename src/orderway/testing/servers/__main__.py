"""Runs one private server until Ctrl-C, to try things on: `python -m orderway.testing.servers pulsar`."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from orderway.testing.servers.binaries import ServerUnavailable
from orderway.testing.servers.shared import SERVERS


def main(arguments: list[str]) -> int:
    """Starts the server of this name, says its URL, and waits. Its data goes when it ends."""
    servers = {name.removesuffix("Server").lower(): server for name, server in SERVERS.items()}
    if len(arguments) != 1 or arguments[0] not in servers:
        sys.stderr.write(f"Which server? {', '.join(servers)} are known.\n")
        return 2
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell has ignored in what it starts with "&"
    try:
        with contextlib.suppress(KeyboardInterrupt):  # whenever it comes, the server is ended in good order
            _run(servers[arguments[0]])
    except ServerUnavailable as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _run(start: Callable[[], AbstractContextManager[Any]]) -> None:
    began_s = time.monotonic()
    with start() as server:
        took_s = time.monotonic() - began_s
        sys.stdout.write(f"Started in {took_s:.0f} s: {server.url}\nCtrl-C ends it, and removes its data.\n")
        sys.stdout.flush()
        asyncio.run(_for_ever())  # signal.pause() would sleep through a signal that came just before it


async def _for_ever() -> None:
    await asyncio.Event().wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
