"""Calling the user's hooks: ``async def`` on the loop, plain ``def`` in a thread."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from anyio.from_thread import BlockingPortal

from orderway.delivery import Delivery, nesting_forbidden
from orderway.ports.store import Transaction

__all__ = ["BlockingDelivery", "BlockingTransaction", "call"]

T = TypeVar("T")


async def call(hook: Callable[..., Any], *arguments: Any) -> Any:
    """Call a hook and wait for its result; a plain ``def`` runs in a thread and gets a blocking delivery."""
    if _is_async(hook):
        return await hook(*arguments)
    if not any(isinstance(argument, Delivery) for argument in arguments):
        return await asyncio.to_thread(hook, *arguments)
    error: BaseException | None = None
    async with BlockingPortal() as portal:
        adapted = [BlockingDelivery(each, portal) if isinstance(each, Delivery) else each for each in arguments]
        try:
            return await asyncio.to_thread(hook, *adapted)
        except Exception as raised:  # noqa: BLE001 - raised again below: the portal would wrap it in a group
            error = raised
    assert error is not None
    raise error


@functools.lru_cache(maxsize=1024)
def _is_async(hook: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(hook)


class BlockingTransaction:
    """``Transaction`` for hooks that run in a thread."""

    def __init__(self, transaction: Transaction, portal: BlockingPortal) -> None:
        self._transaction = transaction
        self._portal = portal

    def execute(self, sql: str, parameters: Mapping[str, Any] | Sequence[Any] = ()) -> int:
        """Run one statement; returns the number of rows that it touched."""
        touched: int = self._portal.call(self._transaction.execute, sql, parameters)
        return touched

    def fetch(self, sql: str, parameters: Mapping[str, Any] | Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one query; returns all of its rows."""
        rows: list[tuple[Any, ...]] = self._portal.call(self._transaction.fetch, sql, parameters)
        return rows


class BlockingDelivery:
    """``Delivery`` for hooks that run in a thread: the same methods, without ``await``."""

    def __init__(self, delivery: Delivery, portal: BlockingPortal) -> None:
        self._delivery = delivery
        self._portal = portal
        self.key = delivery.key
        self.step_key = delivery.step_key
        self.execute = delivery.execute
        self.receipt = delivery.receipt
        self.tombstone = delivery.tombstone
        self.delivered_key = delivery.delivered_key

    @contextmanager
    def transaction(self) -> Iterator[BlockingTransaction]:
        """As ``Delivery.transaction``."""
        order_id = self.key.partition("-")[0]
        opened = self._portal.wrap_async_context_manager(self._delivery.open_transaction())
        with opened as transaction, nesting_forbidden(order_id):
            yield BlockingTransaction(transaction, self._portal)

    def step(self, name: str, act: Callable[[str], T]) -> T:
        """As ``Delivery.step``; ``act`` runs in this thread."""
        done, result = self._delivery.find_step(name)
        if not done:
            result = act(self.step_key(name))
            self._portal.call(self._delivery.record_step, name, result)
        return result  # type: ignore[no-any-return]
