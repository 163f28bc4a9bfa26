"""A config service that speaks Apollo's HTTP interface on a loopback port: a fake, but one that is really spoken to."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import socket
import threading
import time
import uuid
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

HOLD_S = 60.0
CLOCK_TOLERANCE_S = 60.0


class ApolloService:
    """One application's namespaces. A context manager that listens from ``with`` to the end of its block.

    Args:
        app_id: the application.
        secret: if given, requests without its signature are refused.
        port: 0 is any free one; that of another service takes its place.

    Attributes:
        url: where it listens.
        answers: the path and the status of each answer, in order.
        polling: is set once a long poll waits for a change.
    """

    def __init__(self, app_id: str = "shop", *, secret: str | None = None, port: int = 0) -> None:
        self._app_id = app_id
        self._secret = secret
        self._releases: dict[str, tuple[str, Mapping[str, str]]] = {}
        self._notified: dict[str, int] = {}
        self._changed: asyncio.Event
        self._loop: asyncio.AbstractEventLoop
        self._closing = False
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.answers: list[tuple[str, int]] = []
        self.polling = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Answer no more. Idempotent."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop)
            self._thread.join(10)

    def publish(self, namespace: str, configurations: Mapping[str, str]) -> None:
        """Release a namespace, and tell whoever waits for it."""
        done = threading.Event()
        self._loop.call_soon_threadsafe(self._publish, namespace, dict(configurations), done)
        done.wait(10)

    def statuses(self, path: str) -> list[int]:
        """The statuses of the answers under this path."""
        return [status for asked, status in self.answers if asked.startswith(path)]

    def _publish(self, namespace: str, configurations: Mapping[str, str], done: threading.Event) -> None:
        number = self._notified.get(namespace, 0) + 1
        self._notified[namespace] = number
        self._releases[namespace] = (uuid.uuid4().hex, configurations)
        self._changed.set()
        self._changed = asyncio.Event()
        done.set()

    def _stop(self) -> None:
        self._closing = True
        self._changed.set()
        self._server.should_exit = True
        self._server.force_exit = True

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        routes = [
            Route("/configs/{app}/{cluster}/{namespace}", self._configs),
            Route("/notifications/v2", self._notifications),
        ]
        config = uvicorn.Config(Starlette(routes=routes), log_level="warning", lifespan="off", ws="none")
        self._server = _Server(config, self._ready)
        await self._server.serve(sockets=[self._socket])

    async def _configs(self, request: Request) -> Response:
        release = self._releases.get(request.path_params["namespace"])
        if not self._is_signed(request):
            return self._answer(request, Response(status_code=401))
        if release is None or request.path_params["app"] != self._app_id:
            return self._answer(request, Response(status_code=404))
        key, configurations = release
        if request.query_params.get("releaseKey") == key:
            return self._answer(request, Response(status_code=304))
        names = {"appId": self._app_id, "cluster": "default", "namespaceName": request.path_params["namespace"]}
        return self._answer(request, JSONResponse({**names, "configurations": configurations, "releaseKey": key}))

    async def _notifications(self, request: Request) -> Response:
        if not self._is_signed(request):
            return self._answer(request, Response(status_code=401))
        asked = {
            each["namespaceName"]: each["notificationId"] for each in json.loads(request.query_params["notifications"])
        }
        changed = self._changed
        while not (newer := [name for name, seen in asked.items() if self._notified.get(name, -1) > seen]):
            self.polling.set()
            try:
                async with asyncio.timeout(HOLD_S):
                    await changed.wait()
            except TimeoutError:
                return self._answer(request, Response(status_code=304))
            if self._closing:
                return self._answer(request, Response(status_code=503))
            changed = self._changed
        answer = [{"namespaceName": name, "notificationId": self._notified[name]} for name in newer]
        return self._answer(request, JSONResponse(answer))

    def _is_signed(self, request: Request) -> bool:
        if self._secret is None:
            return True
        timestamp = request.headers.get("Timestamp", "0")
        path = request.scope["raw_path"].decode() + (f"?{request.url.query}" if request.url.query else "")
        digest = hmac.new(self._secret.encode(), f"{timestamp}\n{path}".encode(), hashlib.sha1).digest()
        wanted = f"Apollo {self._app_id}:{base64.b64encode(digest).decode()}"
        fresh = abs(time.time() - int(timestamp) / 1000) < CLOCK_TOLERANCE_S
        return fresh and hmac.compare_digest(request.headers.get("Authorization", ""), wanted)

    def _answer(self, request: Request, response: Response) -> Response:
        self.answers.append((request.url.path, response.status_code))
        return response


class _Server(uvicorn.Server):
    """A server that says when it can be asked."""

    def __init__(self, config: uvicorn.Config, ready: threading.Event) -> None:
        super().__init__(config)
        self._is_ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._is_ready.set()
