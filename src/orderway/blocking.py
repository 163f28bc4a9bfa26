"""``blocking.App``: the same App for callers without an event loop (Django, Flask, scripts).

One event loop runs in a thread of its own, with the asynchronous App in it; there is no second implementation. Many
threads may call one ``blocking.App``: their operations share commits.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import importlib
import os
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from orderway import app as asynchronous
from orderway.actions import Done
from orderway.core.journal import Entry
from orderway.core.money import Money
from orderway.core.order import Order
from orderway.core.payment import GATEWAY
from orderway.core.refunds import Allocation
from orderway.delivery import forbid_nesting
from orderway.errors import OrderwayError, UsageError, WrongThread
from orderway.explain import Explanation
from orderway.plans import Pay
from orderway.ports.business import Business
from orderway.ports.channel import Channel, DisputeNotification, Refused, Returned
from orderway.ports.ledger import StatementLine
from orderway.ports.parking import ParkedPayment
from orderway.ports.store import Page, Query
from orderway.wallet import Wallet

if TYPE_CHECKING:
    from orderway.config import Settings

__all__ = ["App", "BlockingWallet"]

T = TypeVar("T")


class BlockingWallet:
    """``Wallet`` for callers without an event loop; the same methods."""

    def __init__(self, wallet: Wallet, call: Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]) -> None:
        self._wallet = wallet
        self._call = call

    def top_up(self, uid: str, money: Money, *, key: str, memo: str = "") -> bool:
        """See ``Wallet.top_up``."""
        return bool(self._call(lambda: self._wallet.top_up(uid, money, key=key, memo=memo)))

    def debit(self, uid: str, money: Money, *, key: str, memo: str = "") -> bool:
        """See ``Wallet.debit``."""
        return bool(self._call(lambda: self._wallet.debit(uid, money, key=key, memo=memo)))

    def balance(self, uid: str, currency: str) -> Money:
        """See ``Wallet.balance``."""
        balance: Money = self._call(lambda: self._wallet.balance(uid, currency))
        return balance

    def statement(
        self, uid: str, currency: str, *, after: int = 0, limit: int = 50
    ) -> tuple[Sequence[StatementLine], int | None]:
        """See ``Wallet.statement``."""
        page: tuple[Sequence[StatementLine], int | None] = self._call(
            lambda: self._wallet.statement(uid, currency, after=after, limit=limit)
        )
        return page


class App:
    """An App whose methods wait for their result. Arguments and methods as ``orderway.App``.

    Calls on an event loop's own thread, and use after a fork, raise ``WrongThread`` instead of hanging. One that is
    still open when the process exits is closed then.

    >>> with App("memory://") as app:
    ...     app.clock is not None
    True
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._adopt(asynchronous.App(*arguments, **options))

    def _adopt(self, inner: asynchronous.App) -> None:
        self.inner = inner
        self.wallet = BlockingWallet(self.inner.wallet, self._call)
        self._opening: AbstractContextManager[BlockingPortal] | None = None
        self._portal: BlockingPortal | None = None
        self._pid = os.getpid()

    @classmethod
    def from_settings(cls, settings: Settings, *, channels: Iterable[Channel] = ()) -> App:
        """See ``orderway.App.from_settings``."""
        app = cls.__new__(cls)
        app._adopt(asynchronous.App.from_settings(settings, channels=channels))
        return app

    def register(self, business: Business[Any]) -> None:
        """See ``orderway.App.register``."""
        self.inner.register(business)

    def start(self, *, sweep: bool | None = None) -> None:
        """Start the loop's thread and the App in it. Idempotent. See ``orderway.App.start``."""
        if self._portal is not None:
            return
        self._guard()
        self._opening = start_blocking_portal("asyncio")
        self._portal = self._opening.__enter__()
        self._pid = os.getpid()
        try:
            self._portal.call(functools.partial(self.inner.start, sweep=sweep))
        except BaseException:
            self._stop_loop()
            raise
        _open.add(self)

    def close(self) -> None:
        """Close the App and end the loop's thread. Idempotent."""
        if self._portal is None:
            return
        self._guard()
        try:
            self._portal.call(self.inner.close)
        finally:
            self._stop_loop()
            _open.discard(self)

    def __enter__(self) -> App:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def clock(self) -> Any:
        """The App's clock."""
        return self.inner.clock

    def new_order_id(self, order_type: int, uid: str) -> str:
        """See ``orderway.App.new_order_id``."""
        return self.inner.new_order_id(order_type, uid)

    def order_id_from(self, order_type: int, uid: str, own_number: str) -> str:
        """See ``orderway.App.order_id_from``."""
        return self.inner.order_id_from(order_type, uid, own_number)

    def next_order_id(self, order_type: int, uid: str) -> str:
        """See ``orderway.App.next_order_id``."""
        return self._call(lambda: self.inner.next_order_id(order_type, uid))

    def create(
        self,
        order_type: int,
        uid: str,
        *,
        amount: Money | None = None,
        pay: str | Pay | Sequence[str | Pay] | None = None,
        data: Any = None,
        remark: str = "",
        order_id: str | None = None,
        own_number: str = "",
        actor: str = "system",
    ) -> Order[Any]:
        """See ``orderway.App.create``."""
        return self._call(
            lambda: self.inner.create(
                order_type,
                uid,
                amount=amount,
                pay=pay,
                data=data,
                remark=remark,
                order_id=order_id,
                own_number=own_number,
                actor=actor,
            )
        )

    def forward(self, order: Order[Any] | str) -> Order[Any]:
        """See ``orderway.App.forward``."""
        return self._call(lambda: self.inner.forward(order))

    def record_payment(
        self,
        order_id: str,
        amount: Money,
        *,
        reference: str,
        channel: str = GATEWAY,
        uid: str = "",
        key: str = "",
        actor: str = "system",
        cause: str = "",
    ) -> Order[Any] | None:
        """See ``orderway.App.record_payment``."""
        return self._call(
            lambda: self.inner.record_payment(
                order_id, amount, reference=reference, channel=channel, uid=uid, key=key, actor=actor, cause=cause
            )
        )

    def notify(self, channel: str, body: bytes, headers: Mapping[str, str]) -> Order[Any] | None:
        """See ``orderway.App.notify``."""
        return self._call(lambda: self.inner.notify(channel, body, headers))

    def record_refund(
        self, order_id: str, number: int, outcome: Returned | Refused, *, actor: str = "system", cause: str = ""
    ) -> Order[Any]:
        """See ``orderway.App.record_refund``."""
        return self._call(lambda: self.inner.record_refund(order_id, number, outcome, actor=actor, cause=cause))

    def record_dispute(self, told: DisputeNotification, *, actor: str = "system", cause: str = "") -> Order[Any]:
        """See ``orderway.App.record_dispute``."""
        return self._call(lambda: self.inner.record_dispute(told, actor=actor, cause=cause))

    def change_payment(self, order_id: str, pay: str, *, actor: str = "system") -> Order[Any]:
        """See ``orderway.App.change_payment``."""
        return self._call(lambda: self.inner.change_payment(order_id, pay, actor=actor))

    def parked_payments(self, *, after: tuple[str, str] | None = None, limit: int = 50) -> Sequence[ParkedPayment]:
        """See ``orderway.App.parked_payments``."""
        return self._call(lambda: self.inner.parked_payments(after=after, limit=limit))

    def hint(self, order_id: str) -> bool:
        """See ``orderway.App.hint``."""
        return self._call(lambda: self.inner.hint(order_id))

    def send_hint(self, order_id: str, uid: str = "", *, delay_s: float | None = None) -> None:
        """See ``orderway.App.send_hint``."""
        self._call(lambda: self.inner.send_hint(order_id, uid, delay_s=delay_s))

    def cancel(self, order_id: str, *, actor: str, reason: str) -> Order[Any]:
        """See ``orderway.App.cancel``."""
        return self._call(lambda: self.inner.cancel(order_id, actor=actor, reason=reason))

    def refund(
        self,
        order_id: str,
        amount: Money | None = None,
        *,
        key: str,
        actor: str,
        reason: str,
        leg: int | None = None,
        by: Allocation | None = None,
    ) -> Order[Any]:
        """See ``orderway.App.refund``."""
        return self._call(
            lambda: self.inner.refund(order_id, amount, key=key, actor=actor, reason=reason, leg=leg, by=by)
        )

    def resume(self, order_id: str, *, actor: str, reason: str) -> Order[Any]:
        """See ``orderway.App.resume``."""
        return self._call(lambda: self.inner.resume(order_id, actor=actor, reason=reason))

    def retry_now(self, order_id: str, *, actor: str, reason: str, delay_s: float = 0) -> Order[Any]:
        """See ``orderway.App.retry_now``."""
        return self._call(lambda: self.inner.retry_now(order_id, actor=actor, reason=reason, delay_s=delay_s))

    def hold(self, order_id: str, *, actor: str, reason: str) -> Order[Any]:
        """See ``orderway.App.hold``."""
        return self._call(lambda: self.inner.hold(order_id, actor=actor, reason=reason))

    def amend(self, order_id: str, data: Any, *, actor: str, reason: str) -> Order[Any]:
        """See ``orderway.App.amend``."""
        return self._call(lambda: self.inner.amend(order_id, data, actor=actor, reason=reason))

    def skip(self, order_id: str, step: str, *, actor: str, reason: str, result: Any = None) -> Order[Any]:
        """See ``orderway.App.skip``."""
        return self._call(lambda: self.inner.skip(order_id, step, actor=actor, reason=reason, result=result))

    def accept(self, order_id: str, leg: int, *, actor: str, reason: str) -> Order[Any]:
        """See ``orderway.App.accept``."""
        return self._call(lambda: self.inner.accept(order_id, leg, actor=actor, reason=reason))

    def confirm_payment(
        self, order_id: str, amount: Money, *, reference: str, actor: str, reason: str, channel: str = GATEWAY
    ) -> Order[Any]:
        """See ``orderway.App.confirm_payment``."""
        return self._call(
            lambda: self.inner.confirm_payment(
                order_id, amount, reference=reference, actor=actor, reason=reason, channel=channel
            )
        )

    def match_parked(self, channel: str, reference: str, order_id: str, *, actor: str, reason: str) -> Order[Any]:
        """See ``orderway.App.match_parked``."""
        return self._call(lambda: self.inner.match_parked(channel, reference, order_id, actor=actor, reason=reason))

    def each(self, query: Query, act: Callable[[str], Order[Any]], *, dry_run: bool = True) -> Iterator[Done]:
        """As ``orderway.App.each``; ``act`` is a method of this App, called in this thread."""
        pages: Query | None = query
        while pages is not None:
            page = self.list(pages)
            for order in page.orders:
                if dry_run:
                    yield Done(order, None, None)
                    continue
                try:
                    yield Done(order, act(order.id), None)
                except OrderwayError as error:
                    yield Done(order, None, error)
            pages = None if page.next is None else query.following(page.next)

    def get(self, order_id: str) -> Order[Any]:
        """See ``orderway.App.get``."""
        return self._call(lambda: self.inner.get(order_id))

    def find(self, order_id: str) -> Order[Any] | None:
        """See ``orderway.App.find``."""
        return self._call(lambda: self.inner.find(order_id))

    def overview(self) -> Mapping[str, Any]:
        """See ``orderway.App.overview``."""
        return self._call(self.inner.overview)

    def journal(self, order_id: str) -> Sequence[Entry]:
        """See ``orderway.App.journal``."""
        return self._call(lambda: self.inner.journal(order_id))

    def payment_details(self, order_id: str) -> Any | None:
        """See ``orderway.App.payment_details``."""
        return self._call(lambda: self.inner.payment_details(order_id))

    def list(self, query: Query | None = None, **conditions: Any) -> Page:
        """See ``orderway.App.list``."""
        return self._call(lambda: self.inner.list(query, **conditions))

    def explain(self, order_id: str) -> Explanation:
        """See ``orderway.App.explain``."""
        return self._call(lambda: self.inner.explain(order_id))

    def sweep(self) -> int:
        """See ``orderway.App.sweep``."""
        return self._call(self.inner.sweep)

    def _call(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        self._guard()
        forbid_nesting()  # here, in the caller's context: the loop's thread does not know of the open transaction
        if self._portal is None:
            raise UsageError("this App is not started: use `with app:` or `app.start()` first")
        result: T = self._portal.call(make)
        return result

    def _guard(self) -> None:
        if self._pid != os.getpid():
            raise WrongThread("this App was made before a fork: make and start a new App in the child process")
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return
        raise WrongThread("a blocking call on an event loop's thread would stop the loop: use orderway.App there")

    def _stop_loop(self) -> None:
        opening, self._opening, self._portal = self._opening, None, None
        if opening is not None:
            opening.__exit__(None, None, None)


_open: set[App] = set()
"""Those that are started, in this process and, in a forked child, in its parent."""


def _close_all() -> None:
    for app in list(_open):
        if app._pid == os.getpid():
            app.close()


# An open portal would keep the process from ending. ``atexit`` comes too late for closing it: by then executors take no
# more work, which hooks in hand need. ``threading`` calls the latest registered first: ours must follow the executors'.
importlib.import_module("concurrent.futures.thread")
getattr(threading, "_register_atexit", atexit.register)(_close_all)
