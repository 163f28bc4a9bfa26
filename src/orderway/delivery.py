"""What ``deliver`` is given: three ways to hand goods over exactly once, and steps that are done only once.

- ``delivery.execute(sql, ...)``: statements that commit together with the fact *delivered*, run by the store's writer.
- ``async with delivery.transaction() as connection``: a transaction of your own that the fact ends.
- ``delivery.receipt(connection)``: a receipt in your own transaction on another database.

For goods kept by somebody else (an API), ``delivery.key`` is the idempotency key: the same on every attempt.
"""

from __future__ import annotations

import contextlib
import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

from orderway import receipts
from orderway.core.facts import Delivered, Fact, StepDone, TakenBack
from orderway.core.journal import compact_json
from orderway.errors import InvalidValue, NestedCall, UsageError
from orderway.ports.store import Statement, Transaction
from orderway.run import Run, with_data

__all__ = ["Delivery", "forbid_nesting", "nesting_forbidden"]

MOST_STATEMENTS = 100
_in_transaction: ContextVar[str | None] = ContextVar("orderway_in_transaction", default=None)


def forbid_nesting() -> None:
    """Refuse a call that would wait for the transaction that its own caller holds open.

    Raises:
        NestedCall: says for which order the transaction is open.
    """
    order_id = _in_transaction.get()
    if order_id is not None:
        raise NestedCall(
            f"delivery.transaction() of order {order_id} is open here and holds the database: a call to the App would "
            "wait for itself. Make the call before or after the transaction",
            order_id=order_id,
        )


@contextlib.contextmanager
def nesting_forbidden(order_id: str) -> Iterator[None]:
    """While the block runs, ``forbid_nesting`` raises in it."""
    token = _in_transaction.set(order_id)
    try:
        yield
    finally:
        _in_transaction.reset(token)


class Delivery:
    """One attempt to deliver one order, or to take its goods back.

    Args:
        run: the order.
        fact: what follows when the goods were moved: ``Delivered`` or ``TakenBack``.
    """

    def __init__(self, run: Run, fact: type[Delivered | TakenBack] = Delivered) -> None:
        self.statements: list[Statement] = []
        self.committed = False
        self.fact = fact
        self._run = run

    @property
    def key(self) -> str:
        """The idempotency key for goods that are kept elsewhere; the same on every attempt.

        Taking back has a key of its own: ``delivered_key`` is the one that the goods were delivered under.
        """
        order = self._run.order
        return order.delivery_key if self.fact is Delivered else order.take_back_key

    @property
    def delivered_key(self) -> str:
        """The idempotency key of this order's delivery, also while its goods are taken back."""
        return self._run.order.delivery_key

    def step_key(self, step: str) -> str:
        """The idempotency key of one step."""
        return f"{self.key}-{step}"

    def execute(self, sql: str, parameters: Mapping[str, Any] | None = None, *, expect: int | None = None) -> None:
        """Add a statement that commits together with the fact *delivered*: both happen, or neither.

        It runs after ``deliver`` has returned, in the store's own transaction, in the order of the calls; where there
        is a ``transaction()`` too, at its end, before it is committed.

        Args:
            sql: one statement with named parameters (``:name``).
            parameters: their values.
            expect: how many rows it must touch. If it touches another number, this order's delivery fails alone, and
                is tried again with back-off.

        Raises:
            InvalidValue: more than 100 statements.
            UsageError: after ``transaction()``: the delivery is committed already.
        """
        if self.committed:
            raise UsageError("this order is delivered: nothing more commits with it", order_id=self._run.order.id)
        if len(self.statements) >= MOST_STATEMENTS:
            raise InvalidValue(f"a delivery has at most {MOST_STATEMENTS} statements", order_id=self._run.order.id)
        self.statements.append(Statement(sql, parameters or {}, expect))

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """A transaction of your own on the orders' database; *delivered* is its last statement.

        It is committed at the end of the block, and rolled back if the block raises, if the order was taken over, or
        past ``Business.transaction_limit``. It holds the database's writer: keep it short.
        """
        async with self.open_transaction() as connection:
            with nesting_forbidden(self._run.order.id):
                yield connection

    @contextlib.asynccontextmanager
    async def open_transaction(self) -> AsyncIterator[Transaction]:
        """``transaction`` without the watch over nested calls, which must be kept where the block itself runs."""
        run = self._run
        if self.committed:
            raise UsageError("this order is delivered: one transaction a delivery", order_id=run.order.id)
        limit_s = run.business.transaction_limit / timedelta(seconds=1)
        async with run.recorder.store.transaction(run.order.id, limit_s) as connection:
            yield connection
            change = run.recorder.change(run.order, self.facts(), statements=tuple(self.statements))
            await connection.commit_with(change)
            self.committed = True
            run.adopt(change.order)

    def receipt(self, connection: Any) -> bool:
        """Enter a receipt into your own DB-API transaction; False if this delivery was made before.

        The table ``ow_receipts`` must exist there: ``orderway.receipts.create_table(connection)``. Two attempts that
        race cannot both commit: the second one's insert fails, and its retry finds the receipt.
        """
        return receipts.enter(connection, self.key)

    def tombstone(self, connection: Any) -> bool:
        """While taking back goods that were delivered by ``receipt``: True if they were, and are to be taken back.

        If they were not, the delivery's receipt is entered here, so that a late delivery cannot slip in any more.
        Use it in the same transaction as ``receipt``, which tells whether they were taken back before.
        """
        return not receipts.enter(connection, self.delivered_key)

    async def step(self, name: str, act: Callable[[str], Awaitable[Any] | Any]) -> Any:
        """Do one step of the delivery unless it was done before; returns its result, remembered in the journal.

        Args:
            name: the step's name, unique in this delivery.
            act: called with the step's idempotency key; its result must be of what JSON knows. It runs again if the
                process dies before the step was recorded: hand the key on.

        Raises:
            HoldLost: another worker has the order now.
        """
        done, result = self.find_step(name)
        if not done:
            result = act(self.step_key(name))
            if inspect.isawaitable(result):
                result = await result
            await self.record_step(name, result)
        return result

    def find_step(self, name: str) -> tuple[bool, Any]:
        """Whether a step is done, and its result."""
        done = self._run.order.steps.get(self._step_name(name))
        return done is not None, None if done is None else json.loads(done)

    async def record_step(self, name: str, result: Any) -> None:
        """Remember that a step is done, with its result."""
        run = self._run
        data = run.order.data  # the hook still has this object in its hands, and may go on changing it
        fact = StepDone(step=self._step_name(name), result=compact_json(result))
        await run.record(lambda _: (fact,))
        run.order._data = data

    def _step_name(self, name: str) -> str:
        """A step's name among the order's steps: taking back may have steps that are called as those of delivering."""
        return name if self.fact is Delivered else f"take_back {name}"

    def facts(self) -> Sequence[Fact]:
        """What follows when the hook has returned."""
        return with_data((self.fact(),), self._run.changed_data())
