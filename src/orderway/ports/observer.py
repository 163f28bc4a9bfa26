"""An observer: stands around the work that passes the ports. Without one, nothing is called and nothing is paid."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Literal, NamedTuple, ParamSpec, Protocol, TypeVar, cast

from orderway.core.journal import Entry
from orderway.ports.queue import Message

__all__ = ["Commits", "Observer", "Work", "observed"]

P = ParamSpec("P")
T = TypeVar("T")


class Work(NamedTuple):
    """Something that is done, by or for an order.

    Args:
        kind: ``create``: an order is created. ``forward``: a held order is carried as far as it goes now. ``step``: one
            step of that. ``channel``: a payment channel is asked. ``send``: a hint is sent.
        name: of the step (``charge``, ``deliver``, ``take_back``, ``finish``, ``refund``, ``end``), or of what the
            channel is asked (``charge``, ``hold``, ``capture``, ``query``, ``close``, ``refund``, ``query_refund``);
            otherwise the same as ``kind``.
        order_type: None where the caller does not know it.
        order_id: "" before it is made.
        channel: the channel's name, or "".
        given: what the call was given.
    """

    kind: Literal["create", "forward", "step", "channel", "send"]
    name: str
    order_type: int | None = None
    order_id: str = ""
    channel: str = ""
    given: tuple[Any, ...] = ()


class Commits(Protocol):
    """A database that commits operations in groups."""

    on_commit: Callable[[int, float], None] | None
    """Told of each group commit when it is over: how many operations, and in how many seconds. Set before the start."""


class Observer:
    """Watches one App. Override what you want to know of; all of it does nothing by itself.

    What an observer raises, the order's caller gets: it must not raise.
    """

    async def around(self, work: Work, act: Callable[[], Awaitable[T]]) -> T:
        """Await ``act()`` once, and return what it returns, or raise what it raises."""
        return await act()

    def recorded(self, order_type: int, entries: Sequence[Entry]) -> None:
        """These facts were written."""

    def received(self, message: Message) -> None:
        """A message came from the queue; what is in it is not checked yet."""

    def committed(self, database: int, operations: int, duration_s: float) -> None:
        """A group commit of the database with this number is over: so many operations, in so long."""

    async def run(self, stop: asyncio.Event) -> None:
        """Run beside the App until told to stop."""
        await stop.wait()


def observed(create: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Have an App's observers stand around its ``create``, the one that came last outermost."""

    @functools.wraps(create)
    def around(*arguments: P.args, **named: P.kwargs) -> Coroutine[Any, Any, T]:
        observers: Sequence[Observer] = arguments[0].observers  # type: ignore[attr-defined]
        if not observers:
            return create(*arguments, **named)
        act = functools.partial(create, *arguments, **named)
        work = Work("create", "create", cast(int, arguments[1] if arguments[1:] else named.get("order_type")))
        for observer in observers:
            act = functools.partial(observer.around, work, act)
        return act()

    return around
