"""Ports, channels and hooks with a crash point before and after each call."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import wraps
from typing import Any, cast

from orderway.adapters import Ports
from orderway.delivery import Delivery
from orderway.errors import CommitUnknown, OutcomeUnknown, Unavailable
from orderway.hooks import BlockingDelivery
from orderway.ports.business import Business
from orderway.ports.channel import Channel
from orderway.ports.store import Change, Store, Transaction
from orderway.testing.crash import CrashPoints

__all__ = ["watched_business", "watched_channel", "watched_ports"]

READS = frozenset(
    {
        "get",
        "entries",
        "list",
        "overview",
        "counters",
        "names",
        "find",
        "balance",
        "statement",
        "fetch",
        "due",
        "buried",
    }
)
HOOKS = ("can_forward", "deliver", "take_back", "finished", "ended", "alert")


def watched_ports(ports: Ports, points: CrashPoints) -> Ports:
    """These ports with points ``before store.record``, ``after store.record``, and so on."""
    names = ("workers", "ledger", "sequence", "parking", "mailbox")
    watch = {name: _Watched(getattr(ports, name), name, points) for name in names}
    return Ports(store=cast(Any, _WatchedStore(_Fenced(ports.store, points), "store", points)), **cast(Any, watch))


def watched_channel(channel: Channel, points: CrashPoints) -> Channel:
    """This channel with points ``before channel wallet.charge``, and so on."""
    return cast(Channel, _Watched(channel, f"channel {channel.name}", points, lost=OutcomeUnknown))


def watched_business(business: Business[Any], points: CrashPoints) -> Business[Any]:
    """This business with points around its hooks, and around what its delivery is used for."""
    return cast(Business[Any], _WatchedBusiness(business, points))


class _Watched:
    """Anything, with points around its coroutine methods."""

    def __init__(self, target: Any, name: str, points: CrashPoints, lost: type[Exception] = CommitUnknown) -> None:
        self._target = target
        self._name = name
        self._points = points
        self._lost = lost

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(self._target, attribute)
        if not inspect.iscoroutinefunction(value):
            return value
        call = f"{self._name}.{attribute}"
        lost = Unavailable if attribute in READS else self._lost

        @wraps(value)
        async def watched(*arguments: Any, **named: Any) -> Any:
            await self._points.reach(f"before {call}", Unavailable(f"{call} could not be asked"))
            try:
                return await value(*arguments, **named)
            finally:
                await self._points.reach(f"after {call}", lost(f"the answer of {call} was lost"))

        return watched


class _Fenced:
    """A store whose promise is checked that only the holder records what follows an effect."""

    def __init__(self, store: Store, points: CrashPoints) -> None:
        self._store = store
        self._points = points

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._store, attribute)

    async def record(self, change: Change) -> None:
        """Record, and note it if the order was held by another worker."""
        row = await self._store.get(change.order.id) if change.guard is not None else change.order
        await self._store.record(change)
        if change.guard is not None and row.holder != change.guard:
            facts = ", ".join(entry.fact for entry in change.entries)
            self._points.problems.append(f"{facts} of {row.id} was recorded by {change.guard}, who does not hold it")


class _WatchedStore(_Watched):
    def transaction(self, order_id: str, time_limit_s: float) -> AbstractAsyncContextManager[Transaction]:
        return self._transaction(order_id, time_limit_s)

    @asynccontextmanager
    async def _transaction(self, order_id: str, time_limit_s: float) -> AsyncIterator[Transaction]:
        name = "store.transaction"
        await self._points.reach(f"before {name}", Unavailable(f"{name} could not be asked"))
        async with self._target.transaction(order_id, time_limit_s) as transaction:
            self._points.open_transactions += 1
            try:
                yield cast(Transaction, _Watched(transaction, name, self._points))
            finally:
                self._points.open_transactions -= 1


class _WatchedBusiness:
    """A business with points around the hooks that it has."""

    def __init__(self, business: Business[Any], points: CrashPoints) -> None:
        self._business = business
        self._points = points

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(self._business, attribute)
        if attribute not in HOOKS:
            return value
        before, after = f"before hook {attribute}", f"after hook {attribute}"
        error = ConnectionError(f"hook {attribute} failed")
        points = self._points

        if inspect.iscoroutinefunction(value):

            @wraps(value)
            async def watched(*arguments: Any) -> Any:
                await points.reach(before, error)
                result = await value(*(_watch_delivery(each, points) for each in arguments))
                await points.reach(after, error)
                return result

            return watched

        @wraps(value)
        def watched_in_thread(*arguments: Any) -> Any:
            points.reach_plain(before, error)
            result = value(*(_watch_delivery(each, points) for each in arguments))
            points.reach_plain(after, error)
            return result

        return watched_in_thread


def _watch_delivery(argument: Any, points: CrashPoints) -> Any:
    return _WatchedDelivery(argument, points) if isinstance(argument, Delivery | BlockingDelivery) else argument


class _WatchedDelivery:
    """A delivery with points around its uses; those of ``transaction`` and of recorded steps are the store's."""

    def __init__(self, delivery: Delivery | BlockingDelivery, points: CrashPoints) -> None:
        self._delivery = delivery
        self._points = points

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._delivery, attribute)

    def execute(self, *arguments: Any, **named: Any) -> None:
        self._plain("execute", lambda: self._delivery.execute(*arguments, **named))

    def receipt(self, connection: Any) -> bool:
        entered: bool = self._plain("receipt", lambda: self._delivery.receipt(connection))
        return entered

    def tombstone(self, connection: Any) -> bool:
        was_delivered: bool = self._plain("tombstone", lambda: self._delivery.tombstone(connection))
        return was_delivered

    def step(self, name: str, act: Callable[[str], Any]) -> Any:
        """As the delivery's own: a coroutine of an async delivery, a result of a blocking one."""
        if isinstance(self._delivery, BlockingDelivery):
            return self._delivery.step(name, lambda key: self._plain(f"step {name}", lambda: act(key)))
        return self._delivery.step(name, lambda key: self._step(name, act, key))

    async def _step(self, name: str, act: Callable[[str], Awaitable[Any] | Any], key: str) -> Any:
        error = ConnectionError(f"step {name} failed")
        await self._points.reach(f"before delivery.step {name}", error)
        result = act(key)
        if inspect.isawaitable(result):
            result = await result
        await self._points.reach(f"after delivery.step {name}", error)
        return result

    def _plain(self, use: str, act: Callable[[], Any]) -> Any:
        error = ConnectionError(f"delivery.{use} failed")
        self._points.reach_plain(f"before delivery.{use}", error)
        result = act()
        self._points.reach_plain(f"after delivery.{use}", error)
        return result
