"""The scripted channel as an HTTP server: an ASGI application over a ``ScriptedChannel``.

``docs/scripted-channel.md`` shows each endpoint. Statuses: 200 with an outcome; 400 for what cannot be read, 409 for a
key that stands for something else; 503 where the channel cannot be reached and nothing was done. Where the script
wants no answer there is none: the connection stays open, and 504 ends it after ``silence_s``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any, Literal

import anyio
import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orderway.channels.scripted import GivenBack, Held, ScriptedChannel, Taken
from orderway.channels.scripted_http.scripts import as_behaviours, as_refund_behaviours
from orderway.channels.scripted_http.wire import (
    Said,
    as_charge,
    as_refund,
    field,
    optional,
    said_of_money,
    said_of_outcome,
)
from orderway.core.money import Money
from orderway.errors import BadNotification, InvalidValue, KeyReused, OrderwayError, OutcomeUnknown, Unavailable

__all__ = ["scripted_app"]

_STATUSES: tuple[tuple[type[OrderwayError], int], ...] = (
    (KeyReused, 409),
    (InvalidValue, 400),
    (Unavailable, 503),
    (OutcomeUnknown, 504),
)
_NOTIFY_TIMEOUT_S = 5.0
_DECISIONS: dict[str, Literal["won", "lost"]] = {"won": "won", "lost": "lost"}

Answer = Callable[[Said], Awaitable[object] | object]


def scripted_app(
    channel: ScriptedChannel,
    *,
    notify_url: str | None = None,
    silence_s: float = 30.0,
    stopping: asyncio.Event | None = None,
) -> Starlette:
    """An ASGI application that serves the channel and sends its notifications while it runs.

    Args:
        channel: what is served; its scripts can be changed through ``/control/script``.
        notify_url: where notifications are posted to; None leaves ``channel.notify`` as it is.
        silence_s: how long a request that gets no answer is kept waiting.
        stopping: once it is set, nobody is kept waiting any longer.
    """
    stop = asyncio.Event() if stopping is None else stopping

    async def fails(request: Request, error: Exception) -> Response:
        if isinstance(error, OutcomeUnknown):
            await _keep_silent(request, stop, silence_s)
        status = next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)
        return JSONResponse({"error": getattr(error, "code", "error"), "message": str(error)}, status)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with _notifying(channel, notify_url):
            yield

    return Starlette(
        routes=[*_of_the_port(channel), *_of_control(channel)],
        exception_handlers={OrderwayError: fails},
        lifespan=lifespan,
    )


def _of_the_port(channel: ScriptedChannel) -> list[Route]:
    async def refund(said: Said) -> object:
        return said_of_outcome(await channel.refund(as_refund(said)))

    async def query_refund(said: Said) -> object:
        return said_of_outcome(await channel.query_refund(as_refund(said)))

    def payment(name: str) -> Route:
        async def ask(said: Said) -> object:
            return said_of_outcome(await getattr(channel, name)(as_charge(said)))

        return _post(f"/{name}", ask)

    payments = [payment(name) for name in ("charge", "hold", "capture", "query", "close")]
    return [*payments, _post("/refund", refund), _post("/query-refund", query_refund)]


def _of_control(channel: ScriptedChannel) -> list[Route]:
    def script(said: Said) -> object:
        _set_script(channel, said)
        return {}

    def pay(said: Said) -> object:
        return _audited(channel.pay(field(said, "key", str), _optional_money(said), uid=optional(said, "uid", str)))

    def dispute(said: Said) -> object:
        reference = channel.dispute(field(said, "payment_reference", str), optional(said, "amount_minor", int))
        return {"reference": reference}

    def decide(said: Said) -> object:
        decision = _DECISIONS.get(field(said, "decision", str))
        if decision is None:
            raise InvalidValue(f"a dispute is decided as won or lost, not {said['decision']!r}")
        channel.decide(field(said, "reference", str), decision)
        return {}

    audits: dict[str, Callable[[], list[Any]]] = {
        "taken": channel.taken,
        "returned": channel.returned,
        "held": channel.held,
    }
    posts: dict[str, Answer] = {"script": script, "pay": pay, "dispute": dispute, "decide": decide}
    return [
        *(_post(f"/control/{name}", answer) for name, answer in posts.items()),
        *(_get(f"/control/{name}", audit) for name, audit in audits.items()),
    ]


def _post(path: str, answer: Answer) -> Route:
    async def endpoint(request: Request) -> Response:
        answered = answer(await _said(request))
        return JSONResponse(await answered if isinstance(answered, Awaitable) else answered)

    return Route(path, endpoint, methods=["POST"])


def _get(path: str, audit: Callable[[], list[Any]]) -> Route:
    async def endpoint(_: Request) -> Response:
        return JSONResponse([_audited(each) for each in audit()])

    return Route(path, endpoint, methods=["GET"])


async def _said(request: Request) -> Said:
    try:
        said = json.loads(await request.body())
    except ValueError as error:
        raise InvalidValue(f"the body is no JSON: {error}") from None
    if not isinstance(said, dict):
        raise InvalidValue("the body is to be a JSON object")
    return said


def _audited(entry: Taken | Held | GivenBack) -> dict[str, Any]:
    said = asdict(entry)
    del said["amount"]
    return {**said, **said_of_money(entry.amount)}


def _optional_money(said: Said) -> Money | None:
    if said.get("amount_minor") is None:
        return None
    return Money(field(said, "amount_minor", int), field(said, "currency", str))


def _set_script(channel: ScriptedChannel, said: Said) -> None:
    chosen = [optional(said, "order_id", str), optional(said, "amount_minor", int)]
    keys = [key for key in chosen if key is not None]
    if "payer" in said:
        behaves = as_behaviours(said["payer"])
        if callable(channel.script):
            raise InvalidValue("the script is a function: it cannot be changed from here")
        channel.script = {**channel.script, **dict.fromkeys(keys, behaves)}
    if "refund" in said:
        refunds = as_refund_behaviours(said["refund"])
        if callable(channel.refund_script):
            raise InvalidValue("the refund script is a function: it cannot be changed from here")
        channel.refund_script = {**channel.refund_script, **dict.fromkeys(keys, refunds)}
    if not keys or not {"payer", "refund"} & said.keys():
        raise InvalidValue("a script names an order_id or an amount_minor, and a payer or a refund")


async def _keep_silent(request: Request, stop: asyncio.Event, silence_s: float) -> None:
    """Wait until the client has gone, the server stops, or it has lasted long enough."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    with anyio.move_on_after(silence_s):
        async with anyio.create_task_group() as either:

            async def ends(wait: Callable[[], Awaitable[object]]) -> None:
                await wait()
                either.cancel_scope.cancel()

            either.start_soon(ends, gone)
            either.start_soon(ends, stop.wait)


@asynccontextmanager
async def _notifying(channel: ScriptedChannel, url: str | None) -> AsyncIterator[None]:
    """Send the channel's notifications meanwhile."""
    async with httpx.AsyncClient(trust_env=False, timeout=_NOTIFY_TIMEOUT_S) as client:
        if url is not None:
            channel.notify = _poster(client, url)
        if channel.notify is None:
            yield
            return
        stop = asyncio.Event()
        running = asyncio.create_task(channel.run(stop))
        try:
            yield
        finally:
            stop.set()
            await running


def _poster(client: httpx.AsyncClient, url: str) -> Callable[[bytes, Mapping[str, str]], Awaitable[None]]:
    async def post(body: bytes, headers: Mapping[str, str]) -> None:
        try:
            response = await client.post(url, content=body, headers={**headers, "Content-Type": "application/json"})
        except httpx.HTTPError as error:
            raise Unavailable(f"{url} did not take the notification: {error!r}") from error
        if response.is_client_error:
            raise BadNotification(f"{url} refused the notification for good: {response.status_code}")
        if not response.is_success:
            raise Unavailable(f"{url} answered the notification with {response.status_code}")

    return post
