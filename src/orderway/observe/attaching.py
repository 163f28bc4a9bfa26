"""Attaching: puts an observer around the ports of an App. The only place where engine and observers meet."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from orderway.core.hints import decode
from orderway.core.order import Order, Stage
from orderway.errors import InvalidValue, UsageError
from orderway.journey import Journey
from orderway.moves import Move
from orderway.ports.channel import Channel, Charge, RefundOrder
from orderway.ports.observer import Observer, Work
from orderway.ports.queue import Message, Queue
from orderway.ports.store import Change, Store
from orderway.run import Run

if TYPE_CHECKING:
    from orderway.app import App

__all__ = ["STEPS", "attach"]

STEPS: dict[Stage, str] = {
    Stage.CREATED: "charge",
    Stage.PAID: "deliver",
    Stage.RETURNING: "take_back",
    Stage.DELIVERED: "finish",
    Stage.CANCELLING: "refund",
    Stage.REJECTING: "refund",
    Stage.CLOSING: "refund",
    Stage.REFUNDING: "refund",
    Stage.FAILING: "end",
}
"""What the step of each stage is called: money that goes back is ``refund``, whatever it goes back for."""

CALLS = ("charge", "hold", "capture", "query", "close", "refund", "query_refund")
"""What a channel is asked of which it keeps people, or money, waiting."""


def attach(app: App, observer: Observer) -> None:
    """Have an observer around all that this App does. The one that comes last is outermost.

    Raises:
        UsageError: the App is started already.
    """
    if app._pid is not None:
        raise UsageError("this App is started already: give it its observers before")
    app.observers.append(observer)
    app.recorder.store = _store(app.recorder.store, observer)
    app.holds.journey = _journey(app.holds.journey, observer)
    for stage, step in STEPS.items():
        app.journey.steps[stage] = _step(app.journey.steps[stage], step, observer)
    for name, channel in app.channels.items():
        app.channels[name] = _channel(channel, observer)
    if app.hinting is not None:
        app.hinting.queue = _queue(app.hinting.queue, observer)
    for number, commits in enumerate(app.ports.commits):
        commits.on_commit = _both(commits.on_commit, partial(observer.committed, number))


class _Observed:
    """A port as it is, with some of its methods replaced. Typed as ``Any``: it stands in for whatever it wraps."""

    def __init__(self, port: Any, **methods: Callable[..., Any]) -> None:
        self.__dict__.update(methods)
        self._port = port

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)


def _store(store: Store, observer: Observer) -> Any:
    async def create(order: Order[Any], entry: Any) -> Order[Any]:
        stored = await store.create(order, entry)
        if stored.digest == entry.digest:  # else it had been created before
            observer.recorded(order.type, (entry,))
        return stored

    async def record(change: Change) -> None:
        await store.record(change)
        observer.recorded(change.order.type, change.entries)

    @asynccontextmanager
    async def transaction(order_id: str, time_limit_s: float) -> AsyncIterator[Any]:
        async with store.transaction(order_id, time_limit_s) as opened:

            async def commit_with(change: Change) -> None:
                await opened.commit_with(change)
                observer.recorded(change.order.type, change.entries)

            yield _Observed(opened, commit_with=commit_with)

    return _Observed(store, create=create, record=record, transaction=transaction)


def _journey(journey: Journey, observer: Observer) -> Any:
    carry = journey.forward

    async def forward(order: Order[Any]) -> Order[Any]:
        return await observer.around(Work("forward", "forward", order.type, order.id), partial(carry, order))

    return _Observed(journey, forward=forward)


def _step(act: Callable[[Run], Awaitable[Move | None]], name: str, observer: Observer) -> Any:
    async def observed(run: Run) -> Move | None:
        return await observer.around(Work("step", name, run.order.type, run.order.id), partial(act, run))

    return observed


def _channel(channel: Channel, observer: Observer) -> Any:
    def call(name: str, ask: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def observed(asked: Charge | RefundOrder) -> Any:
            work = Work("channel", name, None, asked.order_id, channel.name, (asked,))
            return await observer.around(work, partial(ask, asked))

        return observed

    return _Observed(channel, **{name: call(name, getattr(channel, name)) for name in CALLS})


def _queue(queue: Queue, observer: Observer) -> Any:
    async def send(body: bytes, headers: dict[str, str], delay_s: float = 0) -> None:
        # The observer may add headers: they are its own to write.
        work = Work("send", "send", order_id=_order_of(body), given=(headers,))
        await observer.around(work, partial(queue.send, body, headers, delay_s))

    async def receive() -> Message:
        message = await queue.receive()
        observer.received(message)
        return message

    return _Observed(queue, send=send, receive=receive)


def _order_of(body: bytes) -> str:
    try:
        return decode(body).order_id
    except InvalidValue:
        return ""


def _both(
    first: Callable[[int, float], None] | None, second: Callable[[int, float], None]
) -> Callable[[int, float], None]:
    if first is None:
        return second

    def tell(operations: int, duration_s: float) -> None:
        first(operations, duration_s)
        second(operations, duration_s)

    return tell
